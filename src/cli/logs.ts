import { setTimeout as sleep } from 'node:timers/promises'
import { CompopsError } from '../errors.ts'
import { largestPiece } from '../model/results.ts'
import { CommandError, type RunCommand, readCommandLine, UsageError } from './command.ts'
import { isPersons, readPersonLine } from './person/person.ts'
import { operatorsResults, personsResults } from './results.ts'

/** So much of the end is shown where not all is asked for. */
const tail = 64 * 1024

/**
 * `compops logs [BRANCH|RUN] [JOB]`: the end of what a job printed, through the running service. `--follow` goes on until the job has ended, `--all` begins at the
 * beginning, `--task N` is of a task of an array. Where the connection breaks meanwhile it goes on at the same byte.
 */
export const run: RunCommand = async (args, io) => {
  const allowed = { flags: ['follow', 'all'], values: ['task'], files: 2, short: { follow: 'f' } }
  const persons = await isPersons(args, io.env)
  const line = persons ? readPersonLine(args, io.env, allowed) : readCommandLine(args, io.env, allowed)
  const { flags, values, files } = line
  const asked = files.join(' ').trim()
  if (asked === '' && !persons)
    throw new UsageError('of which job? Its id, or a branch and its name: compops logs calc/heat mesh')
  // `4711_3` and `4711[3]` are tasks of the array 4711, as schedulers write them.
  const task = values.get('task') ?? /^\d+(?:_|\[)(\d+)\]?$/.exec(asked)?.[1]
  if (task !== undefined && !/^\d{1,9}$/.test(task)) throw new UsageError('--task takes the number of a task')
  const source = persons ? await personsResults(line, io) : await operatorsResults(line.config, io.env)
  const results = await source.find(files)
  const [job, ...others] = results.jobs
  if (job === undefined) throw new CompopsError(`the run ${results.run} of ${results.branch} has no jobs`)
  if (others.length > 0)
    throw new CompopsError(
      `${results.branch} has ${results.jobs.length} jobs; name one: ${results.jobs.map(one => one.name).join(', ')}`,
    )
  if (job.attempt === null) throw new CompopsError(`${job.name} has not been handed to its cluster: it is ${job.state}`)
  if (job.tasks.length > 0 && task === undefined)
    throw new CompopsError(
      `${job.name} is an array of ${job.tasks.length} tasks; name one: --task ${job.tasks[0]!.index}`,
    )
  const attempt = task === undefined ? job.attempt : job.tasks.find(one => one.index === Number(task))?.attempt
  if (attempt === undefined) throw new CompopsError(`${job.name} has no task ${task} that was handed to its cluster`)
  const show = io.stdout.isTTY === true ? harmless : (text: string) => text
  const decoder = new TextDecoder()
  let offset = flags.has('all') ? 0 : -tail
  let failures = 0
  for (;;) {
    const query = {
      ...{ attempt, in: 'log' as const, path: '', offset, bytes: largestPiece },
      task: task === undefined ? undefined : Number(task),
    }
    const piece = await source.log(job.id, query, flags.has('follow') ? 30 : 0).catch(error => {
      // The job goes on, and so does its log: an outage of ten minutes is no reason to lose the place.
      if (!flags.has('follow') || (error instanceof CommandError && !error.transient) || ++failures > 60) throw error
      return null
    })
    if (piece !== null) failures = 0
    if (piece !== null && 'bytes' in piece && piece.bytes.length > 0) {
      // A tail begins in the middle of a line, or of a letter.
      const cut = offset < 0 && piece.offset > 0 ? piece.bytes.indexOf(10) + 1 : 0
      io.stdout.write(show(decoder.decode(piece.bytes.subarray(cut), { stream: true })))
      offset = piece.offset + piece.bytes.length
      if (offset < piece.size) continue
    } else if (piece !== null && 'problem' in piece && (piece.ended || !flags.has('follow')))
      throw new CompopsError(`the log of ${job.name}: ${[piece.problem, ...results.removed].join('; ')}`)
    if (!flags.has('follow') || piece?.ended === true) break
    await sleep(failures > 0 ? 10_000 : 1_000)
  }
  return 0
}

/** A job's output must not steer the terminal of who looks at it: colours stay, other sequences and control characters go. */
export function harmless(text: string): string {
  return text.replace(/\x1b(?!\[[0-9;]*m)|[\0-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]/g, '')
}
