import { and, eq, inArray, lt, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { mustHold } from '../store/leases.ts'
import { upToDate } from '../store/recovery.ts'
import { attempts } from '../store/schema.ts'

/** Schedulers show an end late. Only what ended longer ago can still be there by mistake. */
const lag = sql`now() - interval '5 minutes'`
const some = 100

/**
 * Jobs that a cluster has under our name although their attempts have ended by all that we know: a cancellation that the scheduler forgot, a job that came
 * back with its database, a copy that was held. They are fenced and removed, since nobody waits for what they compute. What we have no row of is left alone:
 * another service may share the account, or the database may be older than the cluster. Returns how many are gone.
 */
export async function removeOrphans(context: Context, connection: string, seen: ReadonlySet<string>): Promise<number> {
  if (seen.size === 0) return 0
  const ended = await context.db
    .select()
    .from(attempts)
    .where(
      and(
        inArray(attempts.id, [...seen].slice(0, 10 * some)),
        eq(attempts.connection, connection),
        eq(attempts.final, true),
        lt(attempts.endedAt, lag),
        upToDate(context.db, attempts.projectId),
      ),
    )
    .limit(some)
  if (ended.length === 0) return 0
  mustHold(context.lease)
  try {
    const fates = await context.clusterOf(connection).cancel(ended, { fence: true })
    const gone = ended.filter(attempt => fates.get(attempt.id) === 'gone')
    for (const { id, runId, nativeId } of gone) {
      const result = 'its attempt had ended long before: removed from the cluster'
      context.log.warn({ step: 'orphan', connection, run: runId, attempt: id, nativeId }, result)
      context.audit.record({ act: 'orphan removed', by: 'compops', cluster: connection, run: runId, nativeId, result })
    }
    return gone.length
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    // The next round sees them again.
    context.log.warn({ step: 'orphan', connection, err: describeError(error) }, 'orphans are removed later')
    return 0
  }
}

// Whether this process has looked since its start: what was left behind while no service ran is found without a job to watch.
const lookedAt = new WeakMap<object, Set<string>>()

/** True once for each account that has a past: then a round is worth its commands although nothing is under way. */
export async function isFirstLook(context: Context, connection: string): Promise<boolean> {
  const looked = lookedOf(context)
  if (looked.has(connection)) return false
  const [past] = await context.db
    .select({ id: attempts.id })
    .from(attempts)
    .where(and(eq(attempts.connection, connection), sql`${attempts.endedAt} > now() - interval '30 days'`))
    .limit(1)
  if (past === undefined) looked.add(connection)
  return past !== undefined
}

export function hasLooked(context: Context, connection: string): void {
  lookedOf(context).add(connection)
}

function lookedOf({ store }: Context): Set<string> {
  const looked = lookedAt.get(store) ?? new Set<string>()
  lookedAt.set(store, looked)
  return looked
}
