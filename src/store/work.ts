import { and, eq, isNull, lte, or, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { CompopsError, describeError, toError } from '../errors.ts'
import type { Db } from './open.ts'

/** The columns that any table has whose rows are work (schema.ts `work`). */
export interface WorkTable extends PgTable {
  id: PgColumn
  attempts: PgColumn
  nextAt: PgColumn
  leaseUntil: PgColumn
  parkedAt: PgColumn
}

// A mistake that repeats this often is a bug or a hostile row: it is parked, shown and counted, and no longer in the way of others.
const patience = 8

/** The part of a claim that is the same for every kind of work. Leases are by the database's clock, which all replicas share. */
export function due(table: WorkTable): SQL {
  return and(
    lte(table.nextAt, sql`now()`),
    isNull(table.parkedAt),
    or(isNull(table.leaseUntil), lte(table.leaseUntil, sql`now()`)),
  )!
}

export const leaseFor = (seconds: number): SQL => sql`now() + make_interval(secs => ${seconds})`

/** Ids of at most `limit` rows that are due, locked against other claimers until the statement's transaction ends. */
export function claimable(db: Db, table: WorkTable, condition: SQL | undefined, limit: number) {
  return db
    .select({ id: table.id })
    .from(table)
    .where(and(due(table), condition))
    .orderBy(table.nextAt)
    .limit(limit)
    .for('update', { skipLocked: true })
}

/**
 * Puts a row back after a failure: tried again after 1 s, 2 s, 4 s … 5 min. What is transient (an outage) is tried for ever;
 * anything else is parked in the end.
 */
export async function putBack(
  db: Db,
  table: WorkTable,
  id: string,
  thrown: unknown,
  minimumMs = 0,
): Promise<'later' | 'parked'> {
  const error = toError(thrown)
  const transient = error instanceof CompopsError && error.transient
  const wait = sql`greatest(${minimumMs / 1000}::float8, least(300, power(2, least(${table.attempts}, 9)))) * (0.75 + random() / 2)`
  const answer = await db
    .update(table)
    .set({
      leaseUntil: null,
      nextAt: sql`now() + make_interval(secs => ${wait})`,
      lastError: describeError(error),
      ...(transient ? {} : { parkedAt: sql`case when ${table.attempts} >= ${patience} then now() end` }),
    } as never)
    .where(eq(table.id, id))
    .returning({ parkedAt: table.parkedAt })
  return (answer as { parkedAt: unknown }[])[0]?.parkedAt === null ? 'later' : 'parked'
}
