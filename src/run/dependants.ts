import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { isFinal } from '../model/job-state.ts'
import type { Db } from '../store/open.ts'
import { type AttemptRow, jobsOf, touchRuns } from '../store/runs.ts'
import { attempts, jobs } from '../store/schema.ts'
import { setUnreachable } from './connection.ts'

/**
 * Jobs that wait in the scheduler's queue for a job that will never complete (Slurm: DependencyNeverSatisfied) would wait there for ever.
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
        sql`jsonb_array_length(${attempts.dependsOn}) > 0`,
      ),
    )
  const dead: AttemptRow[] = []
  for (const [runId, group] of Map.groupBy(queued, attempt => attempt.runId)) {
    const all = await jobsOf(context.db, runId)
    const state = new Map(all.map(job => [job.name, job.state]))
    for (const attempt of group) {
      const needs = all.find(job => job.id === attempt.jobId)?.spec.needs ?? []
      const never = needs.some(name => {
        const needed = state.get(name)
        return needed !== undefined && isFinal(needed) && needed !== 'completed'
      })
      if (never) dead.push(attempt)
    }
  }
  if (dead.length === 0) return 0
  try {
    const fates = await context.clusterOf(connection).cancel(dead, { fence: true })
    const gone = dead.filter(attempt => fates.get(attempt.id) === 'gone')
    await putBackToWaiting(context, gone)
    return gone.length
  } catch (error) {
    context.metrics.failures.inc({ verb: 'release dependants' })
    await setUnreachable(context, connection, error)
    context.log.warn(
      { step: 'submit', connection, err: describeError(error) },
      'dependants are taken out of the queue later',
    )
    return 0
  }
}

async function putBackToWaiting(context: Context, gone: readonly AttemptRow[]): Promise<void> {
  if (gone.length === 0) return
  const message = 'taken out of the queue: what it needed did not complete'
  await context.db.transaction(async tx => {
    await tx
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
    await tx
      .update(jobs)
      .set({ state: 'waiting', message })
      .where(
        and(
          inArray(
            jobs.id,
            gone.map(attempt => attempt.jobId),
          ),
          eq(jobs.state, 'queued'),
        ),
      )
    await touchRuns(
      tx as unknown as Db,
      gone.map(attempt => attempt.runId),
    )
  })
  context.log.info({ step: 'submit', attempts: gone.map(attempt => attempt.id) }, message)
  context.wake.call('compose')
}
