import { mostChains, type Why } from '../model/why.ts'
import { renderWhy } from '../render/why.ts'
import { type RunCommand, readCommandLine, terminalStyle, UsageError } from './command.ts'
import { askOperator } from './operator.ts'

/**
 * `compops why <what you have in hand>`: the chain from delivery to report, and where it stands. Exit code 0 when something was found, 1 when
 * nothing was. `--json` for scripts; `--last N` for more than the newest match.
 */
export const run: RunCommand = async (args, io) => {
  const { config, flags, values, files } = readCommandLine(args, io.env, {
    flags: ['json'],
    values: ['last'],
    files: 20,
  })
  const asked = files.join(' ').trim()
  if (asked === '')
    throw new UsageError(
      'what is asked for? A delivery, key, branch, commit, run, native id, a CI job by its number or address, or a branch and a job: compops why calc/heat',
    )
  const last = Number(values.get('last') ?? '1')
  if (!Number.isInteger(last) || last < 1 || last > mostChains)
    throw new UsageError(`--last takes a number from 1 to ${mostChains}`)
  const path = `/why?${new URLSearchParams({ q: asked, last: String(last) })}`
  const answer = await askOperator<Why>(config, io.env, { method: 'GET', path })
  io.stdout.write(flags.has('json') ? `${JSON.stringify(answer, null, 2)}\n` : renderWhy(answer, terminalStyle(io)))
  return answer.chains.length > 0 ? 0 : 1
}
