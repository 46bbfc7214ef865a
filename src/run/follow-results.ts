import { and, inArray, isNotNull, sql } from 'drizzle-orm'
import type { Db } from '../store/open.ts'
import { branches, runs } from '../store/schema.ts'

/**
 * Has these branches computed again once, each when its own parent has a new result, whatever their files say of `on_stale`: what the newest run of each says is what
 * `rerunStale` goes by. The run that follows goes by its file again. Returns how many there are that hang below something.
 */
export async function followNewResults(tx: Db, branchIds: readonly string[]): Promise<number> {
  let marked = 0
  for (let from = 0; from < branchIds.length; from += 200) {
    const some = branchIds.slice(from, from + 200)
    const found = await tx
      .update(runs)
      .set({ parent: sql`${runs.parent} || '{"rerun": true}'::jsonb` })
      .where(
        and(
          isNotNull(runs.parent),
          inArray(runs.id, tx.select({ id: branches.latestRunId }).from(branches).where(inArray(branches.id, some))),
        ),
      )
      .returning({ id: runs.id })
    marked += found.length
  }
  return marked
}
