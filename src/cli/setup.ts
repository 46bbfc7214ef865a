import { loadConfig } from '../config/index.ts'
import { trustPrivateCa } from '../main.ts'
import { setUpProject } from '../setup/setup.ts'
import { type RunCommand, readCommandLine, UsageError } from './command.ts'
import { hidingSecrets } from './hide-secrets.ts'

/**
 * `compops setup PROJECT [--replace OLD-URL] [--propose | --no-propose]`: makes or mends the webhook of a project and the protection of its evidence branch, and proposes a first
 * `.compops.yml` in a merge request, with a Maintainer's token from COMPOPS_SETUP_TOKEN. The token is kept nowhere: revoke it afterwards. Exit code 1 where something that is needed is left for a person.
 */
export const run: RunCommand = async (args, io) => {
  const {
    config: path,
    files,
    values,
    flags,
  } = readCommandLine(args, io.env, {
    files: 1,
    values: ['replace'],
    flags: ['propose', 'no-propose'],
  })
  const [project] = files
  if (project === undefined) throw new UsageError('which project? COMPOPS_SETUP_TOKEN=… compops setup physics/heat')
  const token = io.env.COMPOPS_SETUP_TOKEN
  if (!token)
    throw new UsageError(
      "whose token? Put a Maintainer's (scope `api`, valid for a day) into COMPOPS_SETUP_TOKEN; it is used once and kept nowhere",
    )
  const config = await loadConfig(path, io.env)
  await trustPrivateCa(config)
  return hidingSecrets(config, io, [token], async ({ stdout }) => {
    const done = await setUpProject(config, project, token, {
      replace: values.get('replace') ?? null,
      propose: flags.has('propose') ? true : flags.has('no-propose') ? false : null,
    })
    for (const { did, what, sentence } of done) stdout.write(`  ${marks[did]} ${what}: ${sentence}\n`)
    stdout.write('Revoke the token now; `compops doctor` says whether all is well.\n')
    return done.some(({ did }) => did === 'undone') ? 1 : 0
  })
}

const marks = { made: '+', mended: '~', left: '-', 'in order': '✓', undone: '✗' } as const
