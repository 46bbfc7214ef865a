import { and, eq, inArray, isNotNull, lte, notInArray, sql } from 'drizzle-orm'
import type { Fate } from '../cluster/cluster.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import type { Seen } from '../model/observation.ts'
import { mustHold } from '../store/leases.ts'
import { transact } from '../store/open.ts'
import { upToDate } from '../store/recovery.ts'
import { type AttemptRow, attemptsOf, finalStates, type JobRow, touchRuns } from '../store/runs.ts'
import { attempts, jobs } from '../store/schema.ts'
import { settleArrays } from '../store/settle-arrays.ts'
import { setUnreachable } from './connection.ts'
import { tasksToWatch } from './poll-array.ts'

interface Wanted {
  readonly job: JobRow
  readonly attempt: AttemptRow | null
}

/**
 * Cancels what should be cancelled on one account of a cluster. A job that was never handed over is canceled at once; one in doubt is fenced on
 * the cluster, so that it can never begin; every other is `canceled` when a round has seen its end, not when we said so. Returns how many were asked for.
 */
export async function cancelJobs(context: Context, connection: string): Promise<number> {
  const found = await context.db
    .select()
    .from(jobs)
    .where(
      and(
        eq(jobs.connection, connection),
        isNotNull(jobs.cancelReason),
        notInArray(jobs.state, finalStates),
        lte(jobs.cancelNextAt, sql`now()`),
        upToDate(context.db, jobs.projectId),
      ),
    )
    .limit(200)
  if (found.length === 0) return 0
  const rows = await attemptsOf(
    context.db,
    found.map(job => job.id),
  )
  // A large array has several under way side by side.
  const open = Map.groupBy(
    rows.filter(attempt => !attempt.final),
    attempt => attempt.jobId,
  )
  const wanted: Wanted[] = found.flatMap(job =>
    (open.get(job.id) ?? [null]).map((attempt): Wanted => ({ job, attempt })),
  )
  await markCanceled(
    context,
    wanted.filter(one => one.attempt === null),
  )
  const handedOver = wanted.filter((one): one is { job: JobRow; attempt: AttemptRow } => one.attempt !== null)
  if (handedOver.length === 0) return found.length

  await askAgainIn(context, handedOver, 10)
  try {
    const cluster = context.clusterOf(connection)
    const asked = await withoutRunning(context, connection, handedOver)
    if (asked.length === 0) return found.length
    mustHold(context.lease)
    const fates = await cluster.cancel(asked.map(({ attempt }) => attempt))
    await keepIds(context, asked, fates)
    // Without a native id it was in doubt: the fence is written and nobody has its name, so it never was. Of the others a round sees the end.
    await markCanceled(
      context,
      asked.filter(({ attempt }) => attempt.nativeId === null && fates.get(attempt.id) === 'gone'),
    )
    context.wake.call('poll')
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    context.metrics.failures.inc({ verb: 'cancel' })
    await setUnreachable(context, connection, error)
    context.log.warn({ step: 'cancel', connection, err: describeError(error) }, 'cancellation is asked again later')
  }
  return found.length
}

/** Those in doubt that had begun, perhaps ended, before anybody heard: from now on they are cancelled, or left to finish, like any other. */
export async function keepIds(
  context: Context,
  list: readonly { job: JobRow; attempt: AttemptRow }[],
  fates: ReadonlyMap<string, Fate>,
): Promise<void> {
  for (const { job, attempt } of list) {
    const fate = fates.get(attempt.id)
    if (typeof fate !== 'object') continue
    await transact(context.db, async tx => {
      const kept = await tx
        .update(attempts)
        .set({
          nativeId: fate.begunAs,
          state: 'queued',
          submittedAt: sql`now()`,
          queuedAt: sql`now()`,
          leaseUntil: null,
        })
        .where(and(eq(attempts.id, attempt.id), eq(attempts.state, 'submitting'), eq(attempts.final, false)))
        .returning({ id: attempts.id })
      if (kept.length === 0) return
      await tx
        .update(jobs)
        .set({ state: 'queued', message: null, cancelNextAt: sql`now()` })
        .where(and(eq(jobs.id, job.id), eq(jobs.state, 'submitting')))
      await touchRuns(tx, [job.runId])
    })
    context.log.info(
      { step: 'cancel', run: job.runId, job: job.id, attempt: attempt.id, nativeId: fate.begunAs },
      `${job.name} was in doubt and has begun as ${fate.begunAs}`,
    )
    context.wake.call('cancel')
  }
}

/** Our rows are as old as the last round: what was to be cancelled only while it waits is looked at once more, and left alone if it runs. */
async function withoutRunning(
  context: Context,
  connection: string,
  list: readonly { job: JobRow; attempt: AttemptRow }[],
): Promise<readonly { job: JobRow; attempt: AttemptRow }[]> {
  const tender = list.filter(({ job, attempt }) => job.cancelQueuedOnly && attempt.nativeId !== null)
  if (tender.length === 0) return list
  const round = await context.clusterOf(connection).observe(
    tender.map(({ attempt }) => ({
      ...attempt,
      tasks: attempt.array === null ? undefined : tasksToWatch(attempt.array, new Map()),
    })),
  )
  const begunJobs = new Set(
    tender
      .filter(({ attempt }) =>
        attempt.array === null
          ? hasBegun(round.seen.get(attempt.id))
          : [...(round.tasks?.get(attempt.id)?.values() ?? [])].some(hasBegun),
      )
      .map(({ job }) => job.id),
  )
  const begun = list.filter(({ job }) => begunJobs.has(job.id))
  if (begun.length > 0) {
    await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      await tx
        .update(jobs)
        .set({ cancelReason: null, cancelQueuedOnly: false, runAgain: false })
        .where(
          inArray(
            jobs.id,
            begun.map(({ job }) => job.id),
          ),
        )
    })
    context.log.info(
      { step: 'cancel', connection, jobs: begun.map(({ job }) => job.name) },
      'they have begun: they finish',
    )
    context.wake.call('poll')
  }
  return list.filter(one => !begun.includes(one))
}

function hasBegun(seen: Seen | undefined): boolean {
  const waits = seen?.queue?.state === 'queued' || seen?.queue?.state === 'held'
  return !waits || seen?.started != null
}

async function askAgainIn(context: Context, list: readonly Wanted[], seconds: number): Promise<void> {
  await context.db
    .update(jobs)
    .set({ cancelNextAt: sql`now() + make_interval(secs => ${seconds})` })
    .where(
      inArray(
        jobs.id,
        list.map(({ job }) => job.id),
      ),
    )
}

/** Only where the cancellation still stands: a commit that is wanted again has taken it back. */
async function markCanceled(context: Context, list: readonly Wanted[]): Promise<void> {
  if (list.length === 0) return
  const done = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const canceled: Wanted[] = []
    for (const one of list) {
      if (one.attempt !== null) {
        await tx
          .update(attempts)
          .set({
            state: 'canceled',
            message: one.job.cancelReason,
            final: true,
            endedAt: sql`now()`,
            leaseUntil: null,
            collectProblem: 'it never started',
          })
          .where(and(eq(attempts.id, one.attempt.id), eq(attempts.final, false)))
      }
      if (one.attempt !== null && one.attempt.array !== null) {
        const after = await settleArrays(tx, [one.job.id])
        if (after.some(job => job.state === 'canceled')) canceled.push(one)
        continue
      }
      const changed = await tx
        .update(jobs)
        .set({
          tasksLeft: null,
          state: sql`case when ${jobs.cancelReason} is null or ${jobs.runAgain} then 'waiting' else 'canceled' end`,
          reason: null,
          message: sql`case when ${jobs.runAgain} then null else ${jobs.cancelReason} end`,
          cancelReason: sql`case when ${jobs.runAgain} then null else ${jobs.cancelReason} end`,
          runAgain: false,
        })
        .where(
          and(
            eq(jobs.id, one.job.id),
            notInArray(jobs.state, finalStates),
            one.attempt === null ? isNotNull(jobs.cancelReason) : undefined,
          ),
        )
        .returning({ state: jobs.state })
      if (changed[0]?.state === 'canceled') canceled.push(one)
    }
    await touchRuns(
      tx,
      list.map(({ job }) => job.runId),
    )
    return canceled
  })
  for (const { job, attempt } of done) {
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
  for (const topic of ['compose', 'finish', 'prepare'] as const) context.wake.call(topic)
}
