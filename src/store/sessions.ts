import { and, eq, lt, sql } from 'drizzle-orm'
import type { Db } from './open.ts'
import { sessions } from './schema.ts'

/** Seconds that a session lasts without use, and at most. */
const idle = 12 * 3_600
const longest = 7 * 24 * 3_600

const nextEnd = sql`least(now() + ${idle} * interval '1 second', ${sessions.createdAt} + ${longest} * interval '1 second')`

export interface SessionRow {
  readonly id: string
  readonly personId: number
  readonly sealed: string
}

/** Those that are over go with it. */
export async function insertSession(db: Db, row: SessionRow): Promise<void> {
  await db.delete(sessions).where(lt(sessions.endsAt, sql`now()`))
  await db.insert(sessions).values({ ...row, endsAt: sql`now() + ${idle} * interval '1 second'` })
}

/** null where there is none, or its time is over. One in use lasts on: written at most every five minutes. */
export async function findSession(db: Db, id: string): Promise<SessionRow | null> {
  const [found] = await db
    .select({
      ...{ id: sessions.id, personId: sessions.personId, sealed: sessions.sealed },
      over: sql<boolean>`${sessions.endsAt} < now()`,
      stale: sql<boolean>`${nextEnd} > ${sessions.endsAt} + interval '5 minutes'`,
    })
    .from(sessions)
    .where(eq(sessions.id, id))
  if (found === undefined || found.over) return null
  if (found.stale) await db.update(sessions).set({ endsAt: nextEnd }).where(eq(sessions.id, id))
  return found
}

/** Only where it still holds what was renewed. */
export async function resealSession(db: Db, id: string, before: string, after: string): Promise<void> {
  await db
    .update(sessions)
    .set({ sealed: after })
    .where(and(eq(sessions.id, id), eq(sessions.sealed, before)))
}

export async function deleteSession(db: Db, id: string): Promise<void> {
  await db.delete(sessions).where(eq(sessions.id, id))
}
