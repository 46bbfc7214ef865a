import { and, eq, inArray, isNull, or, sql } from 'drizzle-orm'
import type { JobHold } from '../model/job-hold.ts'
import type { Db } from '../store/open.ts'
import { openStates, touchRuns } from '../store/runs.ts'
import { jobs } from '../store/schema.ts'

export interface Held {
  /** Names of the jobs that are held from now on. */
  readonly held: readonly string[]
  /** Those of them that a scheduler has already: they are taken out of its queue, unless a look there finds them running. */
  readonly withdrawn: readonly string[]
}

/**
 * Holds back what has not begun of these jobs; what runs goes on, and of an array the tasks that are still to be handed over stay. A hold that stands is
 * left as it is: nobody replaces the wait for an approval by a hold of his own. Call `prepare`, `cancel` and `compose` after the transaction.
 */
export async function holdJobs(tx: Db, jobIds: readonly string[], hold: JobHold): Promise<Held> {
  if (jobIds.length === 0) return { held: [], withdrawn: [] }
  const free = and(inArray(jobs.id, [...jobIds]), isNull(jobs.hold), notCancelledForGood)
  const here = await tx
    .update(jobs)
    .set({ hold, state: 'held', message: hold.reason })
    .where(and(free, inArray(jobs.state, ['waiting', 'held'])))
    .returning({ name: jobs.name, runId: jobs.runId })
  // As a cancellation that has the job wait anew: fenced, verified, and safe against what begins at the same moment.
  const there = await tx
    .update(jobs)
    .set({
      hold,
      runAgain: true,
      cancelReason: hold.reason,
      cancelQueuedOnly: true,
      cancelNextAt: sql`now()`,
    })
    .where(and(free, inArray(jobs.state, ['submitting', 'queued'])))
    .returning({ name: jobs.name, runId: jobs.runId })
  const rest = await tx
    .update(jobs)
    .set({ hold })
    .where(and(free, inArray(jobs.state, openStates), sql`${jobs.tasksLeft} is not null`))
    .returning({ name: jobs.name, runId: jobs.runId })
  await touchRuns(
    tx,
    [...here, ...there, ...rest].map(job => job.runId),
  )
  return {
    held: [...here, ...there, ...rest].map(job => job.name),
    withdrawn: there.map(job => job.name),
  }
}

/** Lifts the holds of one kind; the jobs go on as if there had been none. Returns their names. Call `prepare` and `compose` after the transaction. */
export async function releaseJobs(
  tx: Db,
  jobIds: readonly string[],
  kind: JobHold['kind'],
): Promise<readonly string[]> {
  if (jobIds.length === 0) return []
  const released = await tx
    .update(jobs)
    .set({
      hold: null,
      state: sql`case when ${jobs.state} = 'held' then 'waiting' else ${jobs.state} end`,
      message: sql`case when ${jobs.state} = 'held' then null else ${jobs.message} end`,
    })
    .where(and(inArray(jobs.id, [...jobIds]), sql`${jobs.hold}->>'kind' = ${kind}`))
    .returning({ name: jobs.name, runId: jobs.runId })
  await touchRuns(
    tx,
    released.map(job => job.runId),
  )
  return released.map(job => job.name)
}

/** A hold takes a job out of the queue by the means of a cancellation; who wants it gone for good replaces that one too. */
export const notCancelledForGood = or(isNull(jobs.cancelReason), eq(jobs.runAgain, true))
