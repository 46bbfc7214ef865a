import { and, eq } from 'drizzle-orm'
import { CompopsError } from '../errors.ts'
import { newId } from '../model/id.ts'
import type { Cause, Person } from '../model/run.ts'
import type { Db } from './open.ts'
import { acts } from './schema.ts'

export interface Act {
  readonly projectId: number
  readonly cause: Cause
  readonly verb: string
  readonly by: Person
  readonly said: string
}

/** What came of a cause before, in words; null where nothing did. */
export async function findAct(db: Db, projectId: number, cause: Cause): Promise<string | null> {
  const found = await db
    .select({ said: acts.said })
    .from(acts)
    .where(and(eq(acts.projectId, projectId), eq(acts.cause, cause)))
  return found[0]?.said ?? null
}

/** Writes that it was done; in the transaction of the deed. Throws a transient error where another worker did it at the same moment: then nothing is done twice. */
export async function recordAct(tx: Db, act: Act): Promise<void> {
  const written = await tx
    .insert(acts)
    .values({ id: newId(), ...act })
    .onConflictDoNothing()
    .returning({ id: acts.id })
  if (written.length === 0) throw new CompopsError(`${act.cause} was acted on at the same moment`, { transient: true })
}
