import { and, eq, inArray, notExists, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Db } from './open.ts'
import { connections, projects } from './schema.ts'

/**
 * The database is older than the world (a restored backup): no project starts a run before its evidence branch has been read, and nothing is handed to a cluster
 * before its run directories have been. The rows remember it, so a killed process goes on with it. Commit it before any worker runs.
 */
export async function beginRecovery(tx: Db, names: readonly string[]): Promise<void> {
  await tx.update(projects).set({ recovering: true })
  if (names.length > 0) {
    await tx
      .insert(connections)
      .values(names.map(name => ({ name, recovering: true })))
      .onConflictDoUpdate({ target: connections.name, set: { recovering: true } })
  }
}

/** Those of these accounts on clusters whose run directories are still to be read. */
export async function recoveringConnections(db: Db, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return []
  const found = await db
    .select({ name: connections.name })
    .from(connections)
    .where(and(inArray(connections.name, [...names]), eq(connections.recovering, true)))
  return found.map(row => row.name)
}

/** For a statement over rows of a project: nothing is told to GitLab of what may be yesterday's. */
export function upToDate(db: Db, projectId: PgColumn): SQL {
  return notExists(
    db
      .select({ one: sql`1` })
      .from(projects)
      .where(and(eq(projects.id, projectId), eq(projects.recovering, true))),
  )
}

/** Stands in `attempts.collect_problem` of what is known from its record alone; such a record is not written anew. */
export const fromEvidence = 'known from its evidence only'
