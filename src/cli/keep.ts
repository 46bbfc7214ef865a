import { userInfo } from 'node:os'
import { type RunCommand, readCommandLine, UsageError } from './command.ts'
import { askOperator } from './operator.ts'

/** `compops keep RUN`: its directories on the cluster stay, whatever their age. `--release`: their age decides again. Exit code 1 where a directory is gone already. */
export const run: RunCommand = async (args, io) => {
  const { config, flags, files } = readCommandLine(args, io.env, { flags: ['release'], files: 2 })
  const asked = files.join(' ').trim()
  if (asked === '') throw new UsageError('which run? Its id, a commit, or a branch: compops keep calc/heat')
  const keep = !flags.has('release')
  const answer = await askOperator<{ run: string; branch: string; sha: string; gone: string[] }>(config, io.env, {
    method: 'POST',
    path: '/keep',
    body: { run: asked, keep, by: userInfo().username },
  })
  const which = `run ${answer.run} (${answer.branch} at ${answer.sha.slice(0, 8)})`
  io.stdout.write(keep ? `${which} is kept.\n` : `${which} is kept as long as any other.\n`)
  if (!keep || answer.gone.length === 0) return 0
  io.stderr.write(`Its directory on ${answer.gone.join(', ')} has been removed already, or is being removed.\n`)
  return 1
}
