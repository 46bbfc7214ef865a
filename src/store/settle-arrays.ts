import { inArray } from 'drizzle-orm'
import { readTasks } from '../model/array.ts'
import { type ArrayConclusion, arrayState, tally } from '../model/array-state.ts'
import { isFinal, type JobState } from '../model/job-state.ts'
import { type JobChange, type RetryOptions, writeJobs } from './attempts.ts'
import type { Db } from './open.ts'
import { touchRuns } from './runs.ts'
import { jobs } from './schema.ts'
import { type AttemptOfArray, attemptsOfArrays, currentTasks, tasksOfJobs } from './tasks.ts'

/**
 * What becomes of array jobs now that something has become of their tasks or attempts: each job follows from all its tasks, those that are still to
 * be handed over too. Returns the jobs that changed.
 */
export async function settleArrays(
  db: Db,
  jobIds: readonly string[],
  options: RetryOptions = {},
): Promise<readonly JobChange[]> {
  const ids = [...new Set(jobIds)].sort()
  if (ids.length === 0) return []
  const found = await db.select().from(jobs).where(inArray(jobs.id, ids)).orderBy(jobs.id).for('update')
  const attempts = Map.groupBy(await attemptsOfArrays(db, ids), attempt => attempt.jobId)
  const rowsOf = await tasksOfJobs(db, ids)
  const changes: (JobChange & { runId: string })[] = []
  for (const job of found) {
    const { array } = job.spec
    if (array === undefined || !underWay.has(job.state)) continue
    const ofJob = attempts.get(job.id) ?? []
    const ending = job.cancelReason !== null || job.runAgain
    const left = job.tasksLeft === null || job.cancelReason !== null ? null : new Set(readTasks(job.tasksLeft))
    const current = currentTasks(ofJob, rowsOf)
    const states = readTasks(array.tasks).map(
      index =>
        current.get(index) ?? {
          ...nothing,
          state: left?.has(index) === true ? ('waiting' as const) : ('skipped' as const),
        },
    )
    const after = arrayState(tally(states), { ending })
    const message = messageOf(after, ofJob)
    if (after.state === 'waiting') continue
    if (after.state === job.state && after.reason === job.reason && message === job.message) continue
    changes.push({ id: job.id, runId: job.runId, state: after.state, reason: after.reason, message })
  }
  await writeJobs(db, changes, options)
  await touchRuns(
    db,
    changes.map(change => change.runId),
  )
  return changes
}

const underWay: ReadonlySet<JobState> = new Set(['submitting', 'queued', 'running', 'suspended'])
const nothing = { reason: null, exitCode: null }

/** Why it waits, and the scheduler's words about what it did not accept, stand in its attempts. */
function messageOf(after: ArrayConclusion, attempts: readonly AttemptOfArray[]): string | null {
  if (after.reason === 'submit')
    return attempts.findLast(attempt => attempt.reason === 'submit')?.message ?? after.message
  if (isFinal(after.state) || after.message !== null) return after.message
  return attempts.find(attempt => !attempt.final && attempt.message !== null)?.message ?? null
}
