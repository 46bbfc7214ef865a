import { and, eq, type InferSelectModel, inArray, isNull, lte, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { CompopsError, describeError, toError } from '../errors.ts'
import { type Lease, LeaseLost } from './leases.ts'
import { type Db, rows } from './open.ts'

/** The columns that any table has whose rows are work (schema.ts `work`). */
export interface WorkTable extends PgTable {
  id: PgColumn
  attempts: PgColumn
  interrupted: PgColumn
  nextAt: PgColumn
  leaseUntil: PgColumn
  leaseHolder: PgColumn
  parkedAt: PgColumn
}

/** A row that was claimed, as its claimant has it. */
export interface Claimed {
  readonly id: string
  readonly leaseHolder: string | null
}

// A mistake that repeats this often is a bug or a hostile row: it is parked, shown and counted, and no longer in the way of others.
const patience = 8

/** Who claims: one lane of one process, which does one thing after another. The process comes first, see `free`. */
export const claimantOf = (holder: string, lane: string): string => `${holder} ${lane}`

/**
 * Not claimed, or the claim is over, or another process claimed it that is dead (its lease is over; leases.ts), or this very lane did: that was
 * left over by a failure, since a lane has ended its last work before it claims again.
 */
function free(table: WorkTable, claimant: string): SQL {
  const dead = sql`exists (select 1 from leases l where l.until <= now() and l.name = 'process ' || split_part(${table.leaseHolder}, ' ', 1)
    and l.holder <> split_part(${claimant}::text, ' ', 1))`
  return sql`(${table.leaseUntil} is null or ${table.leaseUntil} <= now() or ${table.leaseHolder} = ${claimant} or ${dead})`
}

/** Claims at most `limit` rows that are due and fulfil `condition`, for `seconds` by the database's clock, which all replicas share. */
export async function claim<Table extends WorkTable>(
  db: Db,
  table: Table,
  options: { claimant: string; seconds: number; limit: number; condition: SQL | undefined },
): Promise<InferSelectModel<Table>[]> {
  const { claimant, seconds, limit, condition } = options
  const due = db
    .select({ id: table.id })
    .from(table as PgTable)
    .where(and(lte(table.nextAt, sql`now()`), isNull(table.parkedAt), free(table, claimant), condition))
    .orderBy(table.nextAt)
    .limit(limit)
    .for('update', { skipLocked: true })
  const claimed = await db
    .update(table as PgTable)
    .set({
      leaseUntil: sql`now() + make_interval(secs => ${seconds})`,
      leaseHolder: claimant,
      attempts: sql`${table.attempts} + 1`,
      // A claim that nobody closed: its process died, or lost the database. It says nothing about the row.
      interrupted: sql`${table.interrupted} + case when ${table.leaseUntil} is null then 0 else 1 end`,
    } as never)
    .where(inArray(table.id, due))
    .returning()
  return claimed as InferSelectModel<Table>[]
}

/** The row, if the claim still stands: another process may have taken it over since. */
export function stillClaimed(table: WorkTable, row: Claimed): SQL {
  return and(eq(table.id, row.id), sql`${table.leaseHolder} is not distinct from ${row.leaseHolder}`)!
}

/** A claimed row as a lease: whoever writes what follows from it must still have it. */
export function rowLease(table: WorkTable, row: Claimed, process: Lease): Lease {
  const name = `the claim of ${row.id}`
  return {
    name,
    held: () => process.held(),
    async assertHeld(tx) {
      const found = await rows(tx, sql`select 1 from ${table} where ${stillClaimed(table, row)} for share`)
      if (found.length === 0) throw new LeaseLost(name)
    },
  }
}

/**
 * Puts a row back after a failure: tried again after 1 s, 2 s, 4 s … 5 min. What is transient (an outage) is tried for ever;
 * anything else is parked in the end. A row that another process has claimed since is left to it.
 */
export async function putBack(
  db: Db,
  table: WorkTable,
  row: Claimed,
  thrown: unknown,
  minimumMs = 0,
): Promise<'later' | 'parked' | 'taken over'> {
  const error = toError(thrown)
  const transient = error instanceof CompopsError && error.transient
  // Twenty tries that were killed half way are no reason to wait, nor to give up.
  const failures = sql`greatest(1, ${table.attempts} - ${table.interrupted})`
  const wait = sql`greatest(${minimumMs / 1000}::float8, least(300, power(2, least(${failures}, 9)))) * (0.75 + random() / 2)`
  const answer = (await db
    .update(table)
    .set({
      leaseUntil: null,
      nextAt: sql`now() + make_interval(secs => ${wait})`,
      attempts: failures,
      interrupted: 0,
      lastError: describeError(error),
      ...(transient ? {} : { parkedAt: sql`case when ${failures} >= ${patience} then now() end` }),
    } as never)
    .where(stillClaimed(table, row))
    .returning({ parkedAt: table.parkedAt })) as { parkedAt: unknown }[]
  if (answer.length === 0) return 'taken over'
  return answer[0]?.parkedAt === null ? 'later' : 'parked'
}

/** Puts a row back that was not tried at all, or only to hear when it may be: no failure, so the next wait is as long as was said, and no longer. */
export async function putOff(db: Db, table: WorkTable, row: Claimed, ms: number, why: string): Promise<void> {
  await db
    .update(table)
    .set({
      leaseUntil: null,
      // A little apart, so that what waited does not come back at one moment.
      nextAt: sql`now() + make_interval(secs => ${ms / 1000}::float8 + random())`,
      attempts: sql`greatest(0, ${table.attempts} - 1)`,
      lastError: why,
    } as never)
    .where(stillClaimed(table, row))
}

/** Work that goes on side by side: all of it has ended when this does; then the first failure is thrown. */
export async function sideBySide(work: readonly Promise<unknown>[]): Promise<void> {
  const ends = await Promise.allSettled(work)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

/** One after another; one that fails does not keep the others back, unless nothing is ours any more. Then the first failure is thrown. */
export async function eachInTurn<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const failures: unknown[] = []
  for (const item of items) {
    try {
      await work(item)
    } catch (error) {
      if (error instanceof LeaseLost) throw error
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}
