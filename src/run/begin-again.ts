import { and, eq, inArray, isNotNull, or, sql } from 'drizzle-orm'
import { CompopsError } from '../errors.ts'
import { countTasks, readTasks } from '../model/array.ts'
import { jobNeeds, needInWords, needStands } from '../model/needs.ts'
import type { Db } from '../store/open.ts'
import { type JobRow, jobsOf, openStates, type RunRow, removalsOf, touchRuns } from '../store/runs.ts'
import { jobs, runs } from '../store/schema.ts'
import { begunAnew, listOf, openTasks } from '../store/tasks.ts'

/** Written in the transaction of a deed, so that the same cause finds what came of it and does nothing twice. */
export type Within = (tx: Db, said: string) => Promise<void>

/** The run and its jobs, under the lock that a resumption and a removal of its directory take too. Throws where nothing can begin in it any more. */
export async function openRunAgain(tx: Db, runId: string): Promise<{ run: RunRow; all: JobRow[] }> {
  const [run] = await tx.select().from(runs).where(eq(runs.id, runId)).for('update')
  if (run === undefined) throw new CompopsError(`there is no run ${runId}`)
  if (run.supersededBy !== null) throw new CompopsError('the run was superseded by a newer push')
  if ((await removalsOf(tx, runId)).length > 0)
    throw new CompopsError('what the run left on the cluster was removed by age: push again, or start a new run')
  await tx.execute(sql`select 1 from ${jobs} where ${jobs.runId} = ${runId} order by ${jobs.id} for update`)
  return { run, all: await jobsOf(tx, runId) }
}

/**
 * Jobs of the run that have ended begin again, as new attempts; of an array only the tasks that did not complete, or all where every one is meant. What was
 * skipped because of them waits for them anew. Holds of people are lifted by it, the wait for an approval is not. Returns the tasks of arrays that run again.
 */
export async function beginAgain(
  tx: Db,
  { run, all }: { run: RunRow; all: readonly JobRow[] },
  wanted: readonly JobRow[],
  { completedToo }: { readonly completedToo: boolean },
): Promise<ReadonlyMap<string, readonly number[]>> {
  const names = new Set(wanted.map(job => job.name))
  for (const job of wanted) {
    // A need that can never be met would skip it at once.
    for (const need of jobNeeds(job.spec.needs)) {
      const needed = all.find(one => one.name === need.job)
      if (needed === undefined || names.has(need.job)) continue
      const stands = needStands(need.kind, { state: needed.state, begun: needed.state === 'failed' })
      if (typeof stands === 'object')
        throw new CompopsError(`${job.name} needs ${needInWords(need)}, but ${need.job} ${stands.never}`)
    }
  }
  const tasks = new Map<string, readonly number[]>()
  for (const job of wanted) {
    const { array } = job.spec
    const list =
      array === undefined ? null : completedToo ? readTasks(array.tasks) : await openTasks(tx, job.id, array.tasks)
    if (list !== null) tasks.set(job.name, list)
    await tx
      .update(jobs)
      .set({
        state: 'waiting',
        reason: null,
        message:
          list === null || list.length === countTasks(array!.tasks) ? null : `${list.length} of its tasks run again`,
        cancelReason: null,
        cancelQueuedOnly: false,
        runAgain: false,
        hold: approvalOnly,
        tasksLeft: list === null ? null : listOf(list),
        retryAt: null,
        ladder: begunAnew,
      })
      .where(eq(jobs.id, job.id))
  }
  for (const job of wanted) {
    const skipped = dependants(job.name, all).filter(one => one.state === 'skipped' && !names.has(one.name))
    if (skipped.length === 0) continue
    await tx
      .update(jobs)
      .set({ state: 'waiting', message: `waits for ${job.name}` })
      .where(
        and(
          inArray(
            jobs.id,
            skipped.map(one => one.id),
          ),
          eq(jobs.state, 'skipped'),
        ),
      )
  }
  await tx
    .update(runs)
    .set({ endedAt: null, state: 'waiting', sweptAt: null, sweepTries: 0 })
    .where(eq(runs.id, run.id))
  await touchRuns(tx, [run.id])
  return tasks
}

/** What is being cancelled is not raced: when that has taken effect the job waits anew. Returns the names. */
export async function takeBackCancellations(tx: Db, jobIds: readonly string[]): Promise<string[]> {
  if (jobIds.length === 0) return []
  const taken = await tx
    .update(jobs)
    .set({ cancelReason: null, cancelQueuedOnly: false, runAgain: true, hold: approvalOnly })
    .where(
      and(
        inArray(jobs.id, [...jobIds]),
        inArray(jobs.state, openStates),
        or(isNotNull(jobs.cancelReason), eq(jobs.runAgain, true)),
      ),
    )
    .returning({ name: jobs.name })
  return taken.map(job => job.name)
}

/** Who wants a job to begin has no hold of a person in mind; only whoever may approve ends the wait for that. */
const approvalOnly = sql`case when ${jobs.hold}->>'kind' = 'approval' then ${jobs.hold} end`

/** Everything that needs it, directly or by others. */
function dependants(name: string, all: readonly JobRow[]): JobRow[] {
  const found = new Set<JobRow>()
  const names = [name]
  for (let next = names.pop(); next !== undefined; next = names.pop())
    for (const job of all)
      if (!found.has(job) && jobNeeds(job.spec.needs).some(need => need.job === next)) {
        found.add(job)
        names.push(job.name)
      }
  return [...found]
}
