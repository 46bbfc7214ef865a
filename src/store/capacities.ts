import { inArray, lt, sql } from 'drizzle-orm'
import type { Capacity } from '../model/capacity.ts'
import type { Db } from './open.ts'
import { capacities } from './schema.ts'

export type CapacityRow = typeof capacities.$inferSelect

export async function capacitiesOf(db: Db, clusters: readonly string[]): Promise<CapacityRow[]> {
  return clusters.length === 0
    ? []
    : db
        .select()
        .from(capacities)
        .where(inArray(capacities.cluster, [...clusters]))
}

/** Whether it is now the caller's to ask this cluster: once in so many seconds, whoever wants to know and in whichever process. */
export async function claimCapacity(db: Db, cluster: string, seconds: number): Promise<boolean> {
  const claimed = await db
    .insert(capacities)
    .values({ cluster })
    .onConflictDoUpdate({
      target: capacities.cluster,
      set: { askedAt: sql`now()` },
      setWhere: lt(capacities.askedAt, sql`now() - ${seconds} * interval '1 second'`),
    })
    .returning({ cluster: capacities.cluster })
  return claimed.length > 0
}

export async function saveCapacity(db: Db, cluster: string, told: Capacity): Promise<void> {
  const set = { told, toldAt: sql`now()`, trouble: null, troubledSince: null }
  await db
    .insert(capacities)
    .values({ cluster, ...set })
    .onConflictDoUpdate({ target: capacities.cluster, set })
}

/** What was told before stands. */
export async function saveCapacityTrouble(db: Db, cluster: string, trouble: string): Promise<void> {
  await db
    .insert(capacities)
    .values({ cluster, trouble, troubledSince: sql`now()` })
    .onConflictDoUpdate({
      target: capacities.cluster,
      set: { trouble, troubledSince: sql`coalesce(${capacities.troubledSince}, now())` },
    })
}
