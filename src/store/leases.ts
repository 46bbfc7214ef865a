import { sql } from 'drizzle-orm'
import { parkingTables } from '../model/parked.ts'
import { type Db, first, rows } from './open.ts'

/** What its holder may act on. Held by our own clocks before a deed outside of the database, by its fence in a transaction that writes. */
export interface Lease {
  readonly name: string
  /** False as soon as it may have passed to another process. */
  held(): boolean
  /** Throws LeaseLost where it has passed to another process; else nobody can take it before `tx` ends. */
  assertHeld(tx: Db): Promise<void>
}

/** What was begun as owner is owned by another process now. Nobody's trouble: the other one does it, and nothing is written. */
export class LeaseLost extends Error {
  constructor(name: string) {
    super(`${name} has passed to another process`)
    this.name = 'LeaseLost'
  }
}

/** Where nobody else is: one command, one test. */
export const unshared: Lease = { name: 'unshared', held: () => true, assertHeld: async () => {} }

/** A lease of the table, as its holder has it: a takeover raises the fence, so that a late write of the former holder is seen. */
export function fencedLease(name: string, holder: string, fence: number, held: () => boolean): Lease {
  return {
    name,
    held,
    async assertHeld(tx) {
      const found = await rows(
        tx,
        sql`select 1 from leases where name = ${name} and holder = ${holder} and fence = ${fence} for share`,
      )
      if (found.length === 0) throw new LeaseLost(name)
    },
  }
}

/** Before a deed that no transaction can take back. */
export function mustHold(lease: Lease): void {
  if (!lease.held()) throw new LeaseLost(lease.name)
}

/** The lease that says that a process lives: claims of one whose lease is over are free (work.ts). */
export const processLease = (holder: string): string => `process ${holder}`

/**
 * Takes or keeps leases for `seconds`, by the database's clock. Returns those that are ours with their fences, which grow with each change of
 * holder; what another process holds is not among them.
 */
export async function holdLeases(
  db: Db,
  names: readonly string[],
  holder: string,
  seconds: number,
): Promise<Map<string, number>> {
  // In order: two replicas that ask at the same moment must not wait for each other.
  const held = await rows<{ name: string; fence: string | number }>(
    db,
    sql`insert into leases as l (name, holder, fence, until)
      select name, ${holder}, 1, now() + make_interval(secs => ${seconds})
      from jsonb_array_elements_text(${JSON.stringify([...names].sort())}::jsonb) as n(name)
      on conflict (name) do update set holder = excluded.holder, until = excluded.until,
        fence = case when l.holder = excluded.holder then l.fence else l.fence + 1 end
      where l.holder = excluded.holder or l.until <= now()
      returning name, fence`,
  )
  return new Map(held.map(row => [row.name, Number(row.fence)]))
}

/** One of them: its fence, or null while another process holds it. */
export async function holdLease(db: Db, name: string, holder: string, seconds: number): Promise<number | null> {
  return (await holdLeases(db, [name], holder, seconds)).get(name) ?? null
}

/** A clean stop: what the process owned and had claimed goes on elsewhere at once. */
export async function releaseLeases(db: Db, holder: string): Promise<void> {
  await db.execute(sql`update leases set until = now() where holder = ${holder}`)
}

/** Frees every row that a dead process had claimed, so that the story goes on at once. Only where no other process can be alive. */
export async function endLeases(db: Db): Promise<void> {
  for (const table of parkingTables) {
    await db.execute(
      sql`update ${sql.identifier(table)} set lease_until = null, interrupted = interrupted + 1 where lease_until is not null`,
    )
  }
  await db.execute(sql`update leases set until = now()`)
}

/** Whether any process holds a lease, which is to say: works on this store. */
export async function isAtWork(db: Db): Promise<boolean> {
  return (await first(db, sql`select 1 from leases where until > now() limit 1`)) !== undefined
}

/** Each process has its own lease; those of the long dead are forgotten. */
export async function pruneLeases(db: Db): Promise<void> {
  await db.execute(sql`delete from leases where starts_with(name, 'process ') and until < now() - interval '1 day'`)
}
