import { dispatch } from './dispatch.ts'

/** The command line, once a fitting Node runs: see compops.mjs. */
process.exitCode = await dispatch(process.argv.slice(2), process)
