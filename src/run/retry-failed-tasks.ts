import { and, eq, inArray } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { jobNeeds, type Need, needInWords, needStands } from '../model/needs.ts'
import { transact } from '../store/open.ts'
import { removalsOf, touchRuns } from '../store/runs.ts'
import { jobs, runs } from '../store/schema.ts'
import { listOf, openTasks } from '../store/tasks.ts'

/**
 * Runs those tasks of an ended array again that did not complete, under their numbers, in a new attempt; the others keep their results. Jobs that were skipped
 * because of it wait for it anew. Returns which tasks.
 */
export async function retryFailedTasks(context: Context, jobId: string): Promise<readonly number[]> {
  const again = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const [found] = await tx.select({ runId: jobs.runId }).from(jobs).where(eq(jobs.id, jobId))
    if (found === undefined) throw new CompopsError(`there is no job ${jobId}`)
    // The lock of the run first, as whoever resumes it or removes its directory takes it.
    const [run] = await tx.select().from(runs).where(eq(runs.id, found.runId)).for('update')
    const job = (await tx.select().from(jobs).where(eq(jobs.id, jobId)).for('update'))[0]!
    const { array, needs } = job.spec
    if (array === undefined) throw new CompopsError(`${job.name} is no array: it has no tasks to retry`)
    if (job.state !== 'failed' && job.state !== 'canceled')
      throw new CompopsError(
        job.state === 'completed'
          ? `all tasks of ${job.name} have completed`
          : `${job.name} is ${job.state}: its failed tasks can be retried when it has ended`,
      )
    if (run?.supersededBy != null) throw new CompopsError(`the run of ${job.name} was superseded by a newer push`)
    if ((await removalsOf(tx, job.runId)).length > 0)
      throw new CompopsError(`what the run of ${job.name} left on the cluster was removed by age: push again`)
    const tasks = await openTasks(tx, jobId, array.tasks)
    await tx
      .update(jobs)
      .set({
        state: 'waiting',
        reason: null,
        message: `${tasks.length} of its tasks run again`,
        cancelReason: null,
        cancelQueuedOnly: false,
        runAgain: false,
        tasksLeft: listOf(tasks),
      })
      .where(eq(jobs.id, jobId))
    const ofRun = await tx.select().from(jobs).where(eq(jobs.runId, job.runId))
    const skipped = dependants(job.name, ofRun).filter(one => one.state === 'skipped')
    if (skipped.length > 0)
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
    // Needs that have not completed would skip it at once.
    for (const need of jobNeeds(needs)) {
      const needed = ofRun.find(one => one.name === need.job)
      if (needed === undefined) continue
      const stands = needStands(need.kind, { state: needed.state, begun: needed.state === 'failed' })
      if (typeof stands === 'object')
        throw new CompopsError(`${job.name} needs ${needInWords(need)}, but ${need.job} ${stands.never}`)
    }
    await tx
      .update(runs)
      .set({ endedAt: null, state: 'waiting', sweptAt: null, sweepTries: 0 })
      .where(eq(runs.id, job.runId))
    await touchRuns(tx, [job.runId])
    return { tasks, job }
  })
  context.log.info(
    { step: 'retry', run: again.job.runId, job: jobId, tasks: again.tasks.length },
    `${again.job.name}: failed tasks run again`,
  )
  for (const topic of ['prepare', 'compose'] as const) context.wake.call(topic)
  return again.tasks
}

interface Named {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly spec: { readonly needs: readonly Need[] }
}

/** Everything that needs it, directly or by others. */
function dependants<Job extends Named>(name: string, all: readonly Job[]): Job[] {
  const found = new Set<Job>()
  const names = [name]
  for (let next = names.pop(); next !== undefined; next = names.pop())
    for (const job of all)
      if (!found.has(job) && jobNeeds(job.spec.needs).some(need => need.job === next)) {
        found.add(job)
        names.push(job.name)
      }
  return [...found]
}
