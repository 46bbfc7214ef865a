import { and, eq, gt, isNull, or, sql } from 'drizzle-orm'
import type { Hold, HoldMode } from '../model/hold.ts'
import type { Db } from './open.ts'
import { holds } from './schema.ts'

/** The hold on the cluster of this account, while it is in force; its end needs nobody to act. */
export async function holdOf(db: Db, connection: string): Promise<Hold | null> {
  const cluster = connection.split('#')[0]!
  const found = await db
    .select()
    .from(holds)
    .where(and(eq(holds.cluster, cluster), or(isNull(holds.until), gt(holds.until, sql`now()`))))
  return found[0] ?? null
}

/** Sets or changes the hold on a cluster. */
export async function setHold(
  db: Db,
  hold: { cluster: string; mode: HoldMode; reason: string | null; by: string; until: Date | null },
): Promise<Hold> {
  const { cluster: _, ...rest } = hold
  const set = await db
    .insert(holds)
    .values(hold)
    .onConflictDoUpdate({ target: holds.cluster, set: { ...rest, since: sql`now()` } })
    .returning()
  return set[0]!
}

/** What was lifted; null where nothing was. */
export async function liftHold(db: Db, cluster: string): Promise<Hold | null> {
  const lifted = await db.delete(holds).where(eq(holds.cluster, cluster)).returning()
  return lifted[0] ?? null
}
