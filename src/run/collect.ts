import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError, toError } from '../errors.ts'
import { storable } from '../model/storable.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { transact } from '../store/open.ts'
import { type AttemptRow, touchRuns } from '../store/runs.ts'
import { attempts, jobs } from '../store/schema.ts'
import { claim, putBack, sideBySide } from '../store/work.ts'

// After this long the record is written without what could not be fetched.
const patience = 24 * 3_600_000

/** Fetches what ended attempts left behind on one account of a cluster: outputs with their digests, metrics, the last lines of the log, the environment. Returns how many. */
export async function collectResults(context: Context, connection: string): Promise<number> {
  const condition = and(
    eq(attempts.connection, connection),
    eq(attempts.final, true),
    isNull(attempts.collected),
    isNull(attempts.collectProblem),
  )
  const claimed = await claim(context.db, attempts, { claimant: context.claimant, seconds: 120, limit: 20, condition })
  // Three side by side, so that a thousand ends do not wait for a thousand round trips; a fourth channel is kept for what is urgent.
  const rest = claimed.values()
  const lane = async () => {
    for (const attempt of rest) {
      mustHold(context.lease)
      await collect(context, attempt)
    }
  }
  await sideBySide([lane(), lane(), lane()])
  return claimed.length
}

async function collect(context: Context, attempt: AttemptRow): Promise<void> {
  const log = context.log.child({ step: 'collect', run: attempt.runId, job: attempt.jobId, attempt: attempt.id })
  try {
    const [job] = await context.db.select({ spec: jobs.spec }).from(jobs).where(eq(jobs.id, attempt.jobId))
    const metricsFile = job?.spec.metrics ?? undefined
    const found = await context
      .clusterOf(attempt.connection)
      .collect(attempt, { ...(metricsFile === undefined ? {} : { metricsFile }) })
    const collected = redacted(context, storable(found))
    await close(context, attempt, { collected })
    log.info({ outputs: collected.outputs.length, metrics: Object.keys(collected.metrics).length }, 'results collected')
  } catch (thrown) {
    if (thrown instanceof LeaseLost) throw thrown
    const error = toError(thrown)
    const since = context.clock.now().getTime() - (attempt.endedAt?.getTime() ?? 0)
    context.metrics.failures.inc({ verb: 'collect' })
    log.warn({ err: describeError(error) }, 'results could not be collected')
    const mends = error instanceof CompopsError && error.transient
    if (since > patience || (!mends && attempt.attempts - attempt.interrupted >= 5))
      return close(context, attempt, { collectProblem: describeError(error) })
    await putBack(context.db, attempts, attempt, new CompopsError(error.message, { transient: true, cause: error }))
  }
}

/** What a job printed goes into notes and evidence: no secret that it was given, or that it found out about us. */
function redacted<T>(context: Context, value: T): T {
  if (typeof value === 'string') return context.secrets.redact(value) as T
  if (Array.isArray(value)) return value.map(item => redacted(context, item)) as T
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redacted(context, item)])) as T
}

async function close(
  context: Context,
  attempt: AttemptRow,
  what: Partial<Pick<AttemptRow, 'collected' | 'collectProblem'>>,
): Promise<void> {
  await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    await tx
      .update(attempts)
      .set({ ...what, leaseUntil: null })
      .where(eq(attempts.id, attempt.id))
    if (what.collectProblem != null) {
      const said = `its results could not be collected: ${what.collectProblem}`
      await tx
        .update(jobs)
        .set({ message: sql`coalesce(${jobs.message} || '; ', '') || ${said}::text` })
        .where(eq(jobs.id, attempt.jobId))
    }
    await touchRuns(tx, [attempt.runId])
  })
  context.wake.call('finish')
  context.wake.call('compose')
}
