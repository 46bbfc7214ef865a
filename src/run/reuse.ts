import { and, eq, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { type ReusedFrom, reusedInWords } from '../model/cache-key.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { type Db, transact } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { type AttemptRow, findRun, type JobRow, removalsOf, touchRuns } from '../store/runs.ts'
import { attempts, jobs, runs } from '../store/schema.ts'
import { putBack } from '../store/work.ts'
import { setUnreachable } from './connection.ts'
import { asOutage } from './outage.ts'
import { sourceOf } from './source.ts'

/**
 * In the transaction that writes the attempt, under the lock that a removal of directories takes too: the result stays as long as the run that takes it over
 * is open, or it is gone already.
 */
export async function isStillThere(tx: Db, from: ReusedFrom): Promise<boolean> {
  await tx.execute(sql`select 1 from ${runs} where ${runs.id} = ${from.runId} for update`)
  return (await removalsOf(tx, from.runId)).length === 0
}

/**
 * Step 3 of a job that need not run: the files of the finished one are copied, compared with their digests, and the job is completed; then they are fetched
 * like any results. The attempt is committed before, and copying can be asked for again. What is not there any more, or was changed, is no result: it runs.
 */
export async function takeOverResult(context: Context, job: JobRow, attempt: AttemptRow): Promise<void> {
  const from = attempt.reused!
  const log = context.log.child({ step: 'reuse', run: attempt.runId, job: attempt.jobId, attempt: attempt.id })
  try {
    const [origin] = await context.db.select().from(attempts).where(eq(attempts.id, from.attemptId))
    const run = (await findRun(context.db, attempt.runId))!
    const project = (await findProject(context.db, run.projectId))!
    const source = await sourceOf(context, project, run.sha)
    mustHold(context.lease)
    const { projectId, runId, jobId } = attempt
    const { runId: fromRun, jobId: fromJob, attemptId: fromAttempt } = from
    const outcome =
      origin?.collected == null
        ? ({ kind: 'gone', why: 'nothing is known of it any more' } as const)
        : await context.clusterOf(attempt.connection).reuse({
            ...{ projectId, runId, jobId, attemptId: attempt.id, source },
            from: { runId: fromRun, jobId: fromJob, attemptId: fromAttempt },
            outputs: origin.collected.outputs,
          })
    switch (outcome.kind) {
      case 'reused':
        await close(context, attempt, 'completed', reusedInWords(from))
        context.metrics.jobsEnded.inc({ connection: attempt.connection, state: 'completed', reason: '' })
        context.audit.record({
          ...{ act: 'result reused', by: run.causedBy?.username ?? 'compops', project: project.path, ref: run.ref },
          ...{ sha: run.sha, run: run.id, job: job.name, cluster: job.cluster, result: reusedInWords(from) },
        })
        log.info({ from: from.runId }, `${job.name} ${reusedInWords(from)}`)
        break
      case 'gone':
        await close(context, attempt, 'canceled', `the result of run ${from.runId} is not reused: ${outcome.why}`)
        log.warn({ from: from.runId, err: outcome.why }, `${job.name} runs: an earlier result is not reused`)
        break
      case 'given up':
        await close(context, attempt, 'canceled', 'it was given up before its result was there')
        break
      case 'transient':
        throw new CompopsError(outcome.message, { transient: true })
    }
  } catch (thrown) {
    if (thrown instanceof LeaseLost) throw thrown
    const error = asOutage(thrown)
    context.metrics.failures.inc({ verb: 'reuse' })
    log.warn({ err: describeError(error) }, `${job.name}: an earlier result is taken over later`)
    if (error instanceof CompopsError && error.transient) await setUnreachable(context, attempt.connection, error)
    await putBack(
      context.db,
      attempts,
      attempt,
      new CompopsError(describeError(error), { transient: true, cause: error }),
    )
  }
}

async function close(
  context: Context,
  attempt: AttemptRow,
  state: 'completed' | 'canceled',
  message: string,
): Promise<void> {
  const done = state === 'completed'
  await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const closed = await tx
      .update(attempts)
      .set({
        ...{ state, message, final: true, endedAt: sql`now()`, leaseUntil: null, lastError: null, attempts: 0 },
        ...{ nextAt: sql`now()`, ...(done ? { exitCode: 0 } : { collectProblem: 'it never started' }) },
      })
      .where(and(eq(attempts.id, attempt.id), eq(attempts.final, false)))
      .returning({ id: attempts.id })
    if (closed.length === 0) return
    // Not there: the job waits anew, unless it is unwanted meanwhile.
    const otherwise = sql`case when ${jobs.cancelReason} is not null and not ${jobs.runAgain} then 'canceled' else 'waiting' end`
    await tx
      .update(jobs)
      .set({
        state: done ? 'completed' : otherwise,
        message: done
          ? message
          : sql`case when ${jobs.runAgain} then null else coalesce(${jobs.cancelReason}, ${message}::text) end`,
        cancelReason: sql`case when ${jobs.runAgain} then null else ${jobs.cancelReason} end`,
        reason: null,
        runAgain: false,
      })
      .where(and(eq(jobs.id, attempt.jobId), eq(jobs.state, 'submitting')))
    await touchRuns(tx, [attempt.runId])
  })
  for (const topic of ['collect', 'prepare', 'compose', 'finish'] as const) context.wake.call(topic)
}
