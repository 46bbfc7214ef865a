import { and, eq, inArray, isNotNull, lte, notInArray, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import type { Db } from '../store/open.ts'
import { type AttemptRow, attemptsOf, finalStates, type JobRow, touchRuns } from '../store/runs.ts'
import { attempts, jobs } from '../store/schema.ts'
import { setUnreachable } from './connection.ts'

/**
 * Cancels what should be cancelled on one account of a cluster, and asks the cluster afterwards: a job is `canceled` when its scheduler
 * no longer has it, not when we said so. Returns how many were asked for.
 */
export async function cancelJobs(context: Context, connection: string): Promise<number> {
  const wanted = await context.db
    .select()
    .from(jobs)
    .where(
      and(
        eq(jobs.connection, connection),
        isNotNull(jobs.cancelReason),
        notInArray(jobs.state, finalStates),
        lte(jobs.cancelNextAt, sql`now()`),
      ),
    )
    .limit(200)
  if (wanted.length === 0) return 0
  const open = new Map(
    (
      await attemptsOf(
        context.db,
        wanted.map(job => job.id),
      )
    )
      .filter(attempt => !attempt.final)
      .map(attempt => [attempt.jobId, attempt]),
  )

  const without = wanted.filter(job => !open.has(job.id))
  await markCanceled(
    context,
    without.map(job => ({ job, attempt: null })),
  )
  const onCluster = wanted.filter(job => open.has(job.id)).map(job => ({ job, attempt: open.get(job.id)! }))
  if (onCluster.length === 0) return wanted.length

  try {
    const fates = await context.clusterOf(connection).cancel(onCluster.map(({ attempt }) => attempt))
    const gone = onCluster.filter(({ attempt }) => fates.get(attempt.id) === 'gone')
    // One in doubt is fenced on the cluster, so it can never begin; one that was under way ends when a round has seen its end.
    await markCanceled(
      context,
      gone.filter(({ attempt }) => attempt.state === 'submitting' || attempt.state === 'queued'),
    )
    await context.db
      .update(jobs)
      .set({ cancelNextAt: sql`now() + interval '10 seconds'` })
      .where(
        inArray(
          jobs.id,
          onCluster.map(({ job }) => job.id),
        ),
      )
    context.wake.call('poll')
  } catch (error) {
    context.metrics.failures.inc({ verb: 'cancel' })
    await setUnreachable(context, connection, error)
    await context.db
      .update(jobs)
      .set({ cancelNextAt: sql`now() + interval '15 seconds'` })
      .where(
        inArray(
          jobs.id,
          onCluster.map(({ job }) => job.id),
        ),
      )
    context.log.warn({ step: 'cancel', connection, err: describeError(error) }, 'cancellation is asked again later')
  }
  return wanted.length
}

async function markCanceled(
  context: Context,
  fates: readonly { job: JobRow; attempt: AttemptRow | null }[],
): Promise<void> {
  if (fates.length === 0) return
  await context.db.transaction(async tx => {
    for (const { job, attempt } of fates) {
      await tx
        .update(jobs)
        .set({ state: 'canceled', reason: null, message: job.cancelReason })
        .where(and(eq(jobs.id, job.id), notInArray(jobs.state, finalStates)))
      if (attempt !== null) {
        await tx
          .update(attempts)
          .set({
            state: 'canceled',
            message: job.cancelReason,
            final: true,
            endedAt: sql`now()`,
            leaseUntil: null,
            collectProblem: 'it never started',
          })
          .where(and(eq(attempts.id, attempt.id), eq(attempts.final, false)))
      }
    }
    await touchRuns(
      tx as unknown as Db,
      fates.map(({ job }) => job.runId),
    )
  })
  for (const { job, attempt } of fates) {
    context.metrics.jobsEnded.inc({ connection: job.connection, state: 'canceled', reason: '' })
    context.log.info(
      { step: 'cancel', run: job.runId, job: job.id, nativeId: attempt?.nativeId ?? null },
      `${job.name} canceled: ${job.cancelReason}`,
    )
    context.audit.record({
      act: 'job canceled',
      by: 'compops',
      run: job.runId,
      job: job.name,
      cluster: job.cluster,
      nativeId: attempt?.nativeId ?? null,
      result: job.cancelReason ?? 'canceled',
    })
  }
  for (const topic of ['compose', 'finish', 'submit'] as const) context.wake.call(topic)
}
