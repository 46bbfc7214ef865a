import { desc, inArray } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { setUnreachable } from '../run/connection.ts'
import { foundOld } from '../run/recovering.ts'
import type { Db } from '../store/open.ts'
import { recoveringConnections } from '../store/recovery.ts'
import { runs } from '../store/schema.ts'

/**
 * Once a start, before the first job is handed over: is there a run directory that is younger than every run known here? A row is written before its directory, so
 * the database was put back (and nobody said `--recover`): then it recovers by itself. Returns false where the cluster could not be asked.
 */
export async function lookBack(context: Context, connection: string): Promise<boolean> {
  if ((await recoveringConnections(context.db, [connection])).length > 0) return true
  try {
    const newest = (await context.db.select({ id: runs.id }).from(runs).orderBy(desc(runs.id)).limit(1))[0]
    const younger = await context.clusterOf(connection).directories.runsYoungerThan(newest?.id ?? null, 1_000)
    const unknown = await unknownOf(context.db, younger)
    if (unknown.length > 0)
      await foundOld(context, connection, `${unknown.length} run directories are younger than every run known here`)
    return true
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    context.metrics.failures.inc({ verb: 'look back' })
    await setUnreachable(context, connection, error)
    context.log.warn(
      { step: 'recover', connection, err: describeError(error) },
      'whether the database is older than the run directories could not be seen; nothing is submitted until then',
    )
    return false
  }
}

async function unknownOf(db: Db, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return []
  const known = await db
    .select({ id: runs.id })
    .from(runs)
    .where(inArray(runs.id, [...ids]))
  return ids.filter(id => !known.some(row => row.id === id))
}
