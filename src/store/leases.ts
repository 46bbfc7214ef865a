import { sql } from 'drizzle-orm'
import { type Db, first } from './open.ts'

/**
 * Takes or keeps the lease `name` for `seconds`, by the database's clock. Returns its fence, which grows with each change of holder,
 * or null while another process holds it.
 */
export async function holdLease(db: Db, name: string, holder: string, seconds: number): Promise<number | null> {
  const row = await first<{ fence: string | number }>(
    db,
    sql`insert into leases as l (name, holder, fence, until) values (${name}, ${holder}, 1, now() + make_interval(secs => ${seconds}))
      on conflict (name) do update set holder = excluded.holder, until = excluded.until,
        fence = case when l.holder = excluded.holder then l.fence else l.fence + 1 end
      where l.holder = excluded.holder or l.until <= now()
      returning fence`,
  )
  return row === undefined ? null : Number(row.fence)
}

export async function releaseLeases(db: Db, holder: string): Promise<void> {
  await db.execute(sql`update leases set until = now() where holder = ${holder}`)
}

/** Frees every row that a dead process had claimed, so that the story goes on at once. Only where no other process can be alive. */
export async function endLeases(db: Db): Promise<void> {
  for (const table of ['deliveries', 'reports', 'attempts']) {
    await db.execute(sql`update ${sql.identifier(table)} set lease_until = null where lease_until is not null`)
  }
  await db.execute(sql`update leases set until = now()`)
}

/** Whether any process holds a lease, which is to say: works on this store. */
export async function isAtWork(db: Db): Promise<boolean> {
  return (await first(db, sql`select 1 from leases where until > now() limit 1`)) !== undefined
}
