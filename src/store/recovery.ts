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
