import { loadConfig } from '../config/index.ts'
import { trustPrivateCa } from '../main.ts'
import { setUpProject } from '../setup/setup.ts'
import { type RunCommand, readCommandLine, UsageError } from './command.ts'

/**
 * `compops setup PROJECT`: makes or mends the webhook of a project and the protection of its evidence branch, with a Maintainer's token from COMPOPS_SETUP_TOKEN. The
 * token is kept nowhere: revoke it afterwards.
 */
export const run: RunCommand = async (args, io) => {
  const { config: path, files } = readCommandLine(args, io.env, { files: 1 })
  const [project] = files
  if (project === undefined) throw new UsageError('which project? COMPOPS_SETUP_TOKEN=… compops setup physics/heat')
  const token = io.env.COMPOPS_SETUP_TOKEN
  if (!token)
    throw new UsageError(
      "whose token? Put a Maintainer's (scope `api`, valid for a day) into COMPOPS_SETUP_TOKEN; it is used once and kept nowhere",
    )
  const config = await loadConfig(path, io.env)
  await trustPrivateCa(config)
  for (const { did, what, sentence } of await setUpProject(config, project, token))
    io.stdout.write(`  ${marks[did]} ${what}: ${sentence}\n`)
  io.stdout.write('Revoke the token now; `compops doctor` says whether all is well.\n')
  return 0
}

const marks = { made: '+', mended: '~', left: '-', 'in order': '✓' } as const
