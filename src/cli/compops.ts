import { dispatch } from './dispatch.ts'

// `compops dump | head`: whoever read has had enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

/** The command line, once a fitting Node runs: see compops.mjs. */
process.exitCode = await dispatch(process.argv.slice(2), process)
