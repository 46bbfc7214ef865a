import { and, eq, isNotNull, notInArray, or, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { mustHold } from '../store/leases.ts'
import { finalStates, touchRuns } from '../store/runs.ts'
import { connections, jobs } from '../store/schema.ts'

/** A cluster did not answer. The first time is remembered and shown; states stay as they are. */
export async function setUnreachable(context: Context, connection: string, error: unknown): Promise<void> {
  // What a former owner last met says nothing of the cluster.
  mustHold(context.lease)
  // Where somebody must sign in, that is the one thing to say, whatever broke first.
  const session = await context.clusterOf(connection).needsSession()
  const lastError = session ?? describeError(error, 300)
  const known = await context.db.select().from(connections).where(eq(connections.name, connection))
  const news = session !== null && known[0]?.lastError !== session
  const answer = await context.db
    .insert(connections)
    .values({ name: connection, unreachableSince: sql`now()`, troubledSince: sql`now()`, lastError })
    .onConflictDoUpdate({
      target: connections.name,
      set: { unreachableSince: sql`coalesce(${connections.unreachableSince}, now())`, troubledSince, lastError },
    })
    .returning({ since: connections.unreachableSince, now: sql<string>`now()` })
  context.metrics.unreachable.set({ peer: connection }, 1)
  const since = answer[0]?.since
  const begins = since != null && Math.abs(new Date(answer[0]!.now).getTime() - since.getTime()) < 5
  if (begins || news) {
    context.log.warn({ step: 'cluster', connection, err: lastError }, `${connection} does not answer; states are kept`)
    await touchOpenRuns(context, connection)
  }
}

/**
 * A cluster answered. That it takes no jobs is another trouble, which stands until it takes one again (`accepts`) or nobody wants to bring one.
 */
export async function setReachable(
  context: Context,
  connection: string,
  options: { accepts?: boolean } = {},
): Promise<void> {
  mustHold(context.lease)
  const { unreachableSince, lastError } = connections
  const asked = sql`exists (select 1 from attempts a where a.connection = ${connection} and not a.final and a.state = 'submitting' and a.last_error is not null)`
  const over = options.accepts === true ? undefined : or(isNotNull(unreachableSince), sql`not ${asked}`)
  const back = await context.db
    .update(connections)
    .set({ unreachableSince: null, lastError: null, troubledSince: null })
    .where(and(eq(connections.name, connection), or(isNotNull(unreachableSince), isNotNull(lastError)), over))
    .returning({ name: connections.name })
  if (back.length === 0) return
  context.metrics.unreachable.set({ peer: connection }, 0)
  context.log.info({ step: 'cluster', connection }, `${connection} answers again`)
  await touchOpenRuns(context, connection)
}

/** Whether trouble was seen there last: then it is asked even when nothing is under way, so that its return is noticed. */
export async function isAway(context: Context, connection: string): Promise<boolean> {
  const found = await context.db
    .select({ name: connections.name })
    .from(connections)
    .where(
      and(
        eq(connections.name, connection),
        or(isNotNull(connections.unreachableSince), isNotNull(connections.lastError)),
      ),
    )
  return found.length > 0
}

/** A cluster answers but cannot take jobs (a root that may not be written, a full disk): shown in `/readyz` until it goes well again. */
export async function setTroubled(context: Context, connection: string, message: string): Promise<void> {
  mustHold(context.lease)
  const lastError = describeError(message, 300)
  const before = await context.db
    .select({ since: connections.unreachableSince })
    .from(connections)
    .where(eq(connections.name, connection))
  await context.db
    .insert(connections)
    .values({ name: connection, troubledSince: sql`now()`, lastError })
    .onConflictDoUpdate({ target: connections.name, set: { unreachableSince: null, troubledSince, lastError } })
  if (before[0]?.since == null) return
  context.metrics.unreachable.set({ peer: connection }, 0)
  await touchOpenRuns(context, connection)
}

/** Since when `last_error` has stood there without a break, whatever it said. */
const troubledSince = sql`coalesce(${connections.troubledSince}, now())`

async function touchOpenRuns(context: Context, connection: string): Promise<void> {
  const open = await context.db
    .selectDistinct({ runId: jobs.runId })
    .from(jobs)
    .where(and(eq(jobs.connection, connection), notInArray(jobs.state, finalStates)))
  await touchRuns(
    context.db,
    open.map(row => row.runId),
  )
  context.wake.call('compose')
}
