import { and, eq, sql } from 'drizzle-orm'
import type { Db } from './open.ts'
import { mergeRequests } from './schema.ts'

export type MergeRequestRow = typeof mergeRequests.$inferSelect
export type MergeRequestToStore = Omit<typeof mergeRequests.$inferInsert, 'updatedAt'>

export async function saveMergeRequest(db: Db, row: MergeRequestToStore): Promise<void> {
  await db
    .insert(mergeRequests)
    .values(row)
    .onConflictDoUpdate({
      target: [mergeRequests.projectId, mergeRequests.iid],
      set: { ...row, updatedAt: sql`now()` },
    })
}

/** The open merge requests whose source is this branch of the project itself (a fork's branches are not computation branches of ours). */
export async function openMergeRequests(db: Db, projectId: number, branch: string): Promise<MergeRequestRow[]> {
  return db
    .select()
    .from(mergeRequests)
    .where(
      and(
        eq(mergeRequests.projectId, projectId),
        eq(mergeRequests.sourceProjectId, projectId),
        eq(mergeRequests.sourceBranch, branch),
        eq(mergeRequests.state, 'opened'),
      ),
    )
    .orderBy(mergeRequests.iid)
}

export async function wasMerged(db: Db, projectId: number, branch: string): Promise<boolean> {
  const found = await db
    .select({ iid: mergeRequests.iid })
    .from(mergeRequests)
    .where(
      and(
        eq(mergeRequests.projectId, projectId),
        eq(mergeRequests.sourceBranch, branch),
        eq(mergeRequests.state, 'merged'),
      ),
    )
    .limit(1)
  return found.length > 0
}
