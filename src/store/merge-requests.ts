import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Db } from './open.ts'
import { mergeRequests, reports } from './schema.ts'

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

export async function findMergeRequest(db: Db, projectId: number, iid: number): Promise<MergeRequestRow | null> {
  const found = await db
    .select()
    .from(mergeRequests)
    .where(and(eq(mergeRequests.projectId, projectId), eq(mergeRequests.iid, iid)))
  return found[0] ?? null
}

/** Their source is this branch of the project itself: a fork's branches are not computation branches of ours. */
const fromBranch = (projectId: number, branch: string) =>
  and(
    eq(mergeRequests.projectId, projectId),
    eq(mergeRequests.sourceProjectId, projectId),
    eq(mergeRequests.sourceBranch, branch),
  )

/** The open merge requests whose source is this branch of the project itself. */
export async function openMergeRequests(db: Db, projectId: number, branch: string): Promise<MergeRequestRow[]> {
  return db
    .select()
    .from(mergeRequests)
    .where(and(fromBranch(projectId, branch), eq(mergeRequests.state, 'opened')))
    .orderBy(mergeRequests.iid)
}

/** The iids of all that ever had this branch of the project itself as their source, whatever became of them. */
export async function mergeRequestsFrom(db: Db, projectId: number, branch: string): Promise<number[]> {
  const found = await db.select({ iid: mergeRequests.iid }).from(mergeRequests).where(fromBranch(projectId, branch))
  return found.map(row => row.iid)
}

/** Whether the branch was merged at this very commit; an older merge of the same name, or a fork's, is another matter. */
export async function wasMerged(db: Db, projectId: number, branch: string, sha: string): Promise<boolean> {
  const found = await db
    .select({ iid: mergeRequests.iid })
    .from(mergeRequests)
    .where(and(fromBranch(projectId, branch), eq(mergeRequests.headSha, sha), eq(mergeRequests.state, 'merged')))
    .limit(1)
  return found.length > 0
}

/** Those of `open`, and every other merge request whose note shows this run. */
export async function mergeRequestsShowing(
  db: Db,
  projectId: number,
  runId: string,
  open: readonly MergeRequestRow[],
): Promise<MergeRequestRow[]> {
  const noted = await db
    .select({ iid: sql<number>`(${reports.desired}->>'iid')::int` })
    .from(reports)
    .where(and(eq(reports.runId, runId), eq(reports.kind, 'note')))
  const more = noted.map(row => row.iid).filter(iid => !open.some(one => one.iid === iid))
  if (more.length === 0) return [...open]
  const closed = await db
    .select()
    .from(mergeRequests)
    .where(and(eq(mergeRequests.projectId, projectId), inArray(mergeRequests.iid, more)))
  return [...open, ...closed]
}
