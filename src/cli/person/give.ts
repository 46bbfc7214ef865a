import { randomUUID } from 'node:crypto'
import { CommandAnswer } from '../../model/api.ts'
import { plain } from '../../render/plain.ts'
import { type Io, UsageError } from '../command.ts'
import { openPerson, readPersonLine } from './person.ts'
import { verdictOf, watchRun } from './watch.ts'
import { branchMeant } from './which.ts'

export interface Given {
  readonly verb: string
  /** Flags and options with a value that the verb takes besides. */
  readonly flags?: readonly string[]
  readonly values?: readonly string[]
  /** Whether it begins something, whose end `--wait` waits for. */
  readonly begins?: boolean
}

/**
 * A command of a person: `compops cancel [BRANCH] [JOB]`. One word is a job of the branch that is checked out, or a branch; of two the second is the job. Behind `--` stand
 * parameters of this one run. `--wait` follows the run to its end; then the exit code is its verdict.
 */
export async function giveCommand(given: Given, args: readonly string[], io: Io): Promise<number> {
  const end = args.indexOf('--')
  const line = readPersonLine(end === -1 ? args : args.slice(0, end), io.env, {
    flags: [...(given.flags ?? []), ...(given.begins === true ? ['wait'] : [])],
    values: given.values ?? [],
    files: 2,
  })
  const values = end === -1 ? {} : Object.fromEntries(args.slice(end + 1).map(readParameter))
  const person = await openPerson(line, io)
  const [first, second] = line.files
  const alone = second === undefined && person.clone?.branch != null
  const branch = branchMeant(person, alone ? undefined : first)
  const options = Object.fromEntries([
    ...(given.flags ?? []).filter(flag => line.flags.has(flag)).map(flag => [flag, true] as const),
    ...[...line.values].filter(([name]) => given.values?.includes(name)),
  ])
  const asked = { branch, target: (alone ? first : second) ?? null, options, values }
  const answer = await person.service.post(CommandAnswer, person.at(`/commands/${given.verb}`), asked, randomUUID())

  const json = line.flags.has('json')
  if (!json) io.stdout.write(`${plain(answer.said)}\n`)
  const { run } = answer
  const head = person.clone?.head ?? null
  if (given.begins === true && run !== null && head !== null && run.branch === person.clone?.branch && run.sha !== head)
    io.stderr.write(
      `Your commit ${head.slice(0, 8)} is not what runs: ${run.sha.slice(0, 8)} is what GitLab has. Push it.\n`,
    )
  const ended =
    line.flags.has('wait') && run !== null
      ? await watchRun(person, run.id, json ? { ...io, stdout: { write: () => {} } } : io)
      : null
  if (json) io.stdout.write(`${JSON.stringify(ended === null ? answer : { ...answer, run: ended }, null, 2)}\n`)
  return ended === null ? 0 : verdictOf(ended)
}

/** `degree=12`, behind `--`. */
export function readParameter(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new UsageError(`${JSON.stringify(text)} is no parameter: name=value`)
  return [text.slice(0, at), text.slice(at + 1)]
}
