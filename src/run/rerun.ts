import { eq } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { readTasks } from '../model/array.ts'
import type { Resources } from '../model/job-spec.ts'
import { isFinal } from '../model/job-state.ts'
import { notCalledFor } from '../model/needs.ts'
import { type Db, transact } from '../store/open.ts'
import type { JobRow } from '../store/runs.ts'
import { jobs } from '../store/schema.ts'
import { beginAgain, openRunAgain, takeBackCancellations, type Within } from './begin-again.ts'
import { releaseJobs } from './hold.ts'

/**
 * Runs again what failed, was cancelled or is missing in a run, whatever the reason, as new attempts of the same run; what completed keeps its result.
 * Returns the names; none: nothing is missing.
 */
export async function rerunMissing(context: Context, runId: string, within?: Within): Promise<readonly string[]> {
  const names = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const opened = await openRunAgain(tx, runId)
    // What was to follow a failure, where nothing failed, is not missing.
    const spared = notCalledFor(opened.all)
    const missing = opened.all.filter(job => isFinal(job.state) && job.state !== 'completed' && !spared.has(job.name))
    const taken = await takeBackCancellations(
      tx,
      opened.all.map(job => job.id),
    )
    if (missing.length > 0) await beginAgain(tx, opened, missing, { completedToo: false })
    const paused = await releaseJobs(
      tx,
      opened.all.map(job => job.id),
      'paused',
    )
    const again = [...missing.map(job => job.name), ...taken, ...paused]
    if (again.length > 0) await within?.(tx, `again: ${again.join(', ')}`)
    return again
  })
  if (names.length > 0) {
    context.log.info({ step: 'rerun', run: runId, jobs: names }, 'jobs run again')
    wakeFor(context)
  }
  return names
}

export interface RetryOptions {
  readonly completedToo: boolean
  readonly within?: Within | undefined
  /** What its attempts ask for from now on; its own retries raise it further. */
  readonly raised?: Pick<Resources, 'mem' | 'time'> | undefined
}

async function giveMore(tx: Db, jobId: string, raised: RetryOptions['raised']): Promise<void> {
  if (raised === undefined) return
  const [job] = await tx.select({ ladder: jobs.ladder }).from(jobs).where(eq(jobs.id, jobId))
  const { from = 0, asked } = job?.ladder ?? {}
  const ladder = { from, asked: { ...asked, resources: { ...asked?.resources, ...raised } } }
  await tx.update(jobs).set({ ladder }).where(eq(jobs.id, jobId))
}

/**
 * Runs one job of a run again, as a new attempt; of an array the tasks that did not complete. `completedToo`: also what has completed, all its tasks.
 * A job that is under way is refused, unless it is being cancelled: then it waits anew when that has taken effect.
 */
export async function retryJob(
  context: Context,
  { runId, name }: { readonly runId: string; readonly name: string },
  options: RetryOptions,
): Promise<{ readonly tasks: readonly number[] | null }> {
  const again = await retryJobs(context, { runId, names: [name] }, options)
  return { tasks: again.get(name) ?? null }
}

/** The same of several at once, as of those that a matrix has made: what is under way is let be, and what has completed unless it is meant too. Returns which run again, with the tasks of arrays. */
export async function retryJobs(
  context: Context,
  { runId, names }: { readonly runId: string; readonly names: readonly string[] },
  { completedToo, within, raised }: RetryOptions,
): Promise<ReadonlyMap<string, readonly number[] | null>> {
  const again = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const opened = await openRunAgain(tx, runId)
    const again = new Map<string, readonly number[] | null>()
    const ended: JobRow[] = []
    const not: string[] = []
    for (const name of names) {
      const job = opened.all.find(one => one.name === name)
      if (job === undefined) throw new CompopsError(`the run has no job ${name}`)
      const no = await take(tx, job, { completedToo, raised })
      if (no === 'ended') ended.push(job)
      else if (typeof no === 'string') not.push(no)
      else again.set(name, no.tasks)
    }
    if (ended.length > 0) {
      const tasks = await beginAgain(tx, opened, ended, { completedToo })
      for (const job of ended) {
        await giveMore(tx, job.id, raised)
        again.set(job.name, tasks.get(job.name) ?? null)
      }
    }
    if (again.size === 0) throw new CompopsError(not.join('; '))
    await within?.(tx, `again: ${[...again.keys()].join(', ')}`)
    return again
  })
  const jobs = [...again.keys()]
  context.log.info({ step: 'rerun', run: runId, jobs }, `${jobs.join(', ')} again`)
  wakeFor(context)
  return again
}

/** Lets one go on that only waits for that; `ended`: it is to begin again; else why it does not. */
async function take(
  tx: Db,
  job: JobRow,
  { completedToo, raised }: RetryOptions,
): Promise<{ readonly tasks: readonly number[] | null } | string> {
  if ((await releaseJobs(tx, [job.id], 'paused')).length > 0) {
    await giveMore(tx, job.id, raised)
    return { tasks: job.tasksLeft === null ? null : readTasks(job.tasksLeft) }
  }
  if (!isFinal(job.state)) {
    const taken = await takeBackCancellations(tx, [job.id])
    if (taken.length === 0) return `${job.name} is ${job.state}: it can be run again when it has ended`
    return { tasks: null }
  }
  if (job.state === 'completed' && !completedToo)
    return job.spec.array === undefined ? `${job.name} has completed` : `all tasks of ${job.name} have completed`
  return 'ended'
}

function wakeFor(context: Context): void {
  for (const topic of ['prepare', 'cancel', 'compose'] as const) context.wake.call(topic)
}
