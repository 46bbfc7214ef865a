import { and, eq, inArray, isNull, lte, notInArray, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { jobNeeds, needStands, neverStarts } from '../model/needs.ts'
import { mustHold } from '../store/leases.ts'
import { type Db, transact } from '../store/open.ts'
import { upToDate } from '../store/recovery.ts'
import { type AttemptRow, finalStates, jobsOf, touchRuns } from '../store/runs.ts'
import { attempts, jobs } from '../store/schema.ts'
import { setUnreachable } from './connection.ts'

/**
 * Jobs that wait in the scheduler's queue for a job that will never complete there (Slurm: DependencyNeverSatisfied) would wait there for ever: it
 * failed, it was handed over anew under another id, or the scheduler and we do not agree on how it ended.
 * They are taken out, verified, and go back to `waiting`, where their needs are looked at anew: skipped, or submitted without that dependency.
 */
export async function releaseDependants(context: Context, connection: string): Promise<number> {
  const queued = await context.db
    .select()
    .from(attempts)
    .where(
      and(
        eq(attempts.connection, connection),
        eq(attempts.final, false),
        eq(attempts.state, 'queued'),
        lte(attempts.nextAt, sql`now()`),
        sql`jsonb_array_length(${attempts.dependsOn}) > 0`,
        upToDate(context.db, attempts.projectId),
      ),
    )
  const dead: AttemptRow[] = []
  for (const [runId, group] of Map.groupBy(queued, attempt => attempt.runId)) {
    // Before the jobs: one whose attempt has ended meanwhile is then seen to have ended too.
    const underWay = await nativeIds(context.db, runId)
    const all = await jobsOf(context.db, runId)
    const byName = new Map(all.map(job => [job.name, job]))
    for (const attempt of group) {
      const needed = jobNeeds(all.find(job => job.id === attempt.jobId)?.spec.needs ?? []).flatMap(({ job, kind }) => {
        const found = byName.get(job)
        return kind !== 'afterok' || found === undefined ? [] : [found]
      })
      const stands = needed.map(({ state }) => needStands('afterok', { state, begun: false }))
      const never = stands.some(one => typeof one === 'object')
      // It was handed over anew since, under another id.
      const outdated = needed.some(
        ({ id }, i) => stands[i] === 'open' && !attempt.dependsOn.some(native => underWay.get(id)?.has(native)),
      )
      // All went well as we know it, but the scheduler has seen or kept it otherwise.
      const refused = attempt.message?.includes(neverStarts) === true && stands.every(one => one === 'met')
      if (never || outdated || refused) dead.push(attempt)
    }
  }
  return takeOut(context, connection, dead)
}

/** Of each job under which ids the scheduler has it. */
async function nativeIds(db: Db, runId: string): Promise<ReadonlyMap<string, ReadonlySet<string | null>>> {
  const open = await db
    .select({ jobId: attempts.jobId, nativeId: attempts.nativeId })
    .from(attempts)
    .where(and(eq(attempts.runId, runId), eq(attempts.final, false)))
  const byJob = Map.groupBy(open, one => one.jobId)
  return new Map([...byJob].map(([id, list]) => [id, new Set(list.map(one => one.nativeId))]))
}

/** Takes attempts out of the scheduler's hands, fenced and verified; their jobs wait anew. Returns how many are out; the others are asked for again. */
export async function takeOut(context: Context, connection: string, list: readonly AttemptRow[]): Promise<number> {
  if (list.length === 0) return 0
  mustHold(context.lease)
  const ids = list.map(attempt => attempt.id)
  await context.db
    .update(attempts)
    .set({ nextAt: sql`now() + interval '10 seconds'`, leaseUntil: null })
    .where(inArray(attempts.id, ids))
  // The intent before the deed: a round that sees the end first, after a crash too, puts the job back to `waiting` as we would.
  await context.db
    .update(jobs)
    .set({ runAgain: true })
    .where(
      and(
        inArray(
          jobs.id,
          list.map(attempt => attempt.jobId),
        ),
        notInArray(jobs.state, finalStates),
        isNull(jobs.cancelReason),
      ),
    )
  try {
    const fates = await context.clusterOf(connection).cancel(list, { fence: true })
    const gone = list.filter(attempt => fates.get(attempt.id) === 'gone')
    await putBackToWaiting(context, gone)
    return gone.length
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    context.metrics.failures.inc({ verb: 'take out' })
    await setUnreachable(context, connection, error)
    context.log.warn({ step: 'submit', connection, err: describeError(error) }, 'jobs are taken out of the queue later')
    return 0
  }
}

async function putBackToWaiting(context: Context, gone: readonly AttemptRow[]): Promise<void> {
  if (gone.length === 0) return
  const message = 'taken out of the queue: what it waits for there will not complete there'
  await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const closed = await tx
      .update(attempts)
      .set({ state: 'canceled', message, final: true, endedAt: sql`now()`, collectProblem: 'it never started' })
      .where(
        and(
          inArray(
            attempts.id,
            gone.map(attempt => attempt.id),
          ),
          eq(attempts.final, false),
        ),
      )
      .returning({ jobId: attempts.jobId, runId: attempts.runId })
    if (closed.length === 0) return
    await tx
      .update(jobs)
      .set({ state: 'waiting', reason: null, message, runAgain: false, tasksLeft: null })
      .where(
        and(
          inArray(
            jobs.id,
            closed.map(row => row.jobId),
          ),
          notInArray(jobs.state, finalStates),
          // Of a large array others may still be there; they come out too.
          sql`not exists (select 1 from attempts a where a.job_id = ${jobs.id} and not a.final)`,
        ),
      )
    await touchRuns(
      tx,
      closed.map(row => row.runId),
    )
  })
  context.log.info({ step: 'submit', attempts: gone.map(attempt => attempt.id) }, message)
  context.wake.call('prepare')
  context.wake.call('compose')
}
