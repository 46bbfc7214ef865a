import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError, toError } from '../errors.ts'
import { type AttemptArray, nativeNumber, readTasks, writeTasks } from '../model/array.ts'
import type { Collected } from '../model/observation.ts'
import { storable } from '../model/storable.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { transact } from '../store/open.ts'
import { type AttemptRow, touchRuns } from '../store/runs.ts'
import { attempts, jobs } from '../store/schema.ts'
import { tasksOfAttempts } from '../store/tasks.ts'
import { claim, putBack, sideBySide } from '../store/work.ts'
import { type Brought, bringCopies, keepCopies, nothingOf } from './copies.ts'
import { knowSecrets } from './known-secrets.ts'

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
    await knowSecrets(context, attempt.id)
    const [job] = await context.db
      .select({ name: jobs.name, spec: jobs.spec })
      .from(jobs)
      .where(eq(jobs.id, attempt.jobId))
    const metricsFile = job?.spec.metrics ?? undefined
    const array = attempt.array === null ? undefined : await arrayOf(context, attempt, attempt.array)
    const found = await context
      .clusterOf(attempt.connection)
      .collect(attempt, { array, ...(metricsFile === undefined ? {} : { metricsFile }) })
    const brought = await bring(
      context,
      attempt,
      job?.name ?? attempt.jobId,
      storable(array === undefined ? found : { ...found, ran: writeTasks(array.tasks) }),
    )
    // Behind the fetching: a file is found by the name that it has.
    const collected = redacted(context, brought.collected)
    await close(context, attempt, { brought: { ...brought, collected } })
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

/** Copies are a kindness: whatever else is wrong with them must not keep back the rest of what the job left behind. */
async function bring(context: Context, attempt: AttemptRow, job: string, collected: Collected): Promise<Brought> {
  try {
    return await bringCopies(context, attempt, job, collected)
  } catch (error) {
    if (error instanceof CompopsError && error.transient && attempt.attempts - attempt.interrupted < 5) throw error
    context.log.warn({ step: 'collect', attempt: attempt.id, err: describeError(error) }, 'no copies of outputs came')
    return nothingOf(collected)
  }
}

/** Its tasks that began, and the first few that failed: whose last lines are worth a look. */
async function arrayOf(context: Context, attempt: AttemptRow, array: AttemptArray) {
  const known = (await tasksOfAttempts(context.db, [attempt.id])).get(attempt.id)
  const began = readTasks(array.tasks)
    .flatMap(index => known?.get(index) ?? [])
    .filter(task => task.startedAt !== null)
  const failed = began.filter(task => task.state === 'failed')
  return {
    tasks: began.map(task => task.index),
    logsOf: (failed.length > 0 ? failed : began)
      .slice(0, failed.length > 0 ? 5 : 1)
      .map(({ index }) => ({ index, native: nativeNumber(array, index) })),
  }
}

async function close(
  context: Context,
  attempt: AttemptRow,
  what: { readonly brought: Brought } | { readonly collectProblem: string },
): Promise<void> {
  await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const found = 'brought' in what ? { collected: await keepCopies(tx, attempt, what.brought) } : what
    await tx
      .update(attempts)
      .set({ ...found, leaseUntil: null })
      .where(eq(attempts.id, attempt.id))
    if ('collectProblem' in what) {
      const said = `its results could not be collected: ${what.collectProblem}`
      await tx
        .update(jobs)
        .set({ message: sql`coalesce(${jobs.message} || '; ', '') || ${said}::text` })
        .where(eq(jobs.id, attempt.jobId))
    }
    await touchRuns(tx, [attempt.runId])
  })
  // A job with `cache` waits for them.
  for (const topic of ['finish', 'compose', 'prepare'] as const) context.wake.call(topic)
}
