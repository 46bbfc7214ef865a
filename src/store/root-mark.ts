import { eq, sql } from 'drizzle-orm'
import { type Db, transact } from './open.ts'
import { connections } from './schema.ts'

/**
 * The word that stands in the root of an account on a cluster (cluster/shared-root.ts). The first that is kept holds, for everybody: a write that comes
 * late changes nothing, so it needs no lease.
 */
export function rootMarkOf(db: Db, connection: string) {
  return {
    async known(root: string): Promise<string | null> {
      const [row] = await db
        .select({ mark: connections.rootMark })
        .from(connections)
        .where(eq(connections.name, connection))
      return row?.mark?.root === root ? row.mark.word : null
    },
    /** A root that the configuration names anew has a word of its own. */
    async keep(root: string, word: string): Promise<string> {
      const mine = { root, word }
      const kept = await transact(db, tx =>
        tx
          .insert(connections)
          .values({ name: connection, rootMark: mine })
          .onConflictDoUpdate({
            target: connections.name,
            set: {
              rootMark: sql`case when ${connections.rootMark}->>'root' = excluded.root_mark->>'root' then ${connections.rootMark} else excluded.root_mark end`,
            },
          })
          .returning({ mark: connections.rootMark }),
      )
      return kept[0]?.mark?.word ?? word
    },
  }
}
