import { BranchAnswer, RunList } from '../model/api.ts'
import { renderRun, renderRuns } from '../render/run-table.ts'
import { CommandError, exitCodes, type RunCommand, terminalStyle, UsageError } from './command.ts'
import { openPerson, type Person, readPersonLine } from './person/person.ts'
import { verdictOf, watchRun } from './person/watch.ts'
import { findRun } from './person/which.ts'

/**
 * `compops status [BRANCH|RUN|COMMIT]`: how a run stands, each job in a line; without a word that of the branch that is checked out, or, where it has none or with
 * `--all`, the latest of the project. `--watch` follows it to its end; only then the exit code is its verdict.
 */
export const run: RunCommand = async (args, io) => {
  const line = readPersonLine(args, io.env, {
    flags: ['all', 'watch'],
    values: ['last'],
    files: 1,
    short: { watch: 'w' },
  })
  const last = Number(line.values.get('last') ?? '20')
  if (!Number.isInteger(last) || last < 1 || last > 100) throw new UsageError('--last takes a number from 1 to 100')
  const person = await openPerson(line, io)
  const [word] = line.files
  const style = { ...terminalStyle(io), now: new Date() }
  const list = line.flags.has('all') || (word === undefined && !line.flags.has('watch') && !(await isComputed(person)))
  if (list) {
    const { runs } = await person.service.get(RunList, person.at('/runs'), { limit: last, branch: word })
    if (line.flags.has('json')) io.stdout.write(`${JSON.stringify(runs, null, 2)}\n`)
    else io.stdout.write(runs.length === 0 ? `${person.project} has computed nothing yet.\n` : renderRuns(runs, style))
    return 0
  }
  const found = await findRun(person, word)
  const watched = line.flags.has('watch')
  const json = line.flags.has('json')
  const quiet = { ...io, stdout: { write: () => {} } }
  const shown = watched ? await watchRun(person, found.id, json ? quiet : io) : found
  if (json) io.stdout.write(`${JSON.stringify(shown, null, 2)}\n`)
  else if (!watched) io.stdout.write(renderRun(shown, style))
  return watched ? verdictOf(shown) : 0
}

/** Whether the branch that is checked out has a run. */
async function isComputed({ clone, service, at }: Person): Promise<boolean> {
  if (clone?.branch == null) return false
  try {
    return (await service.get(BranchAnswer, at('/branch'), { name: clone.branch })).run !== null
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === exitCodes.unknown) return false
    throw error
  }
}
