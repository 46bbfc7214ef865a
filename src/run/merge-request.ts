import { and, eq } from 'drizzle-orm'
import type { Context } from '../context.ts'
import type { MergeRequest } from '../gitlab/gitlab.ts'
import { findBranch } from '../store/branches.ts'
import { findMergeRequest, type MergeRequestRow, openMergeRequests, saveMergeRequest } from '../store/merge-requests.ts'
import type { Db } from '../store/open.ts'
import { shortBranch, touchRuns } from '../store/runs.ts'
import { branches } from '../store/schema.ts'

/** A merge request of the branch was opened or changed: its note should show the branch's latest run. Returns that run's id. */
export async function showOnMergeRequest(context: Context, projectId: number, branch: string): Promise<string | null> {
  const latest = (await findBranch(context.db, projectId, `refs/heads/${branch}`))?.latestRunId ?? null
  if (latest === null) return null
  await touchRuns(context.db, [latest])
  context.wake.call('compose')
  return latest
}

/** Keeps what GitLab says of a merge request into the project. */
export async function rememberMergeRequest(db: Db, projectId: number, found: MergeRequest): Promise<void> {
  await saveMergeRequest(db, {
    projectId,
    iid: found.iid,
    sourceBranch: found.sourceBranch,
    targetBranch: found.targetBranch,
    // A fork that was deleted since has no id: nobody can push to it.
    sourceProjectId: found.sourceProjectId ?? 0,
    state: found.state,
    headSha: found.sha,
    draft: found.draft,
  })
}

/** The open merge requests of a branch, from GitLab: their hooks may have been missed, or come before we looked. */
export async function askForMergeRequests(
  context: Context,
  of: { readonly projectId: number; readonly projectPath: string; readonly branch: string },
): Promise<void> {
  for (const found of await context.gitlabOf(of.projectPath).openMergeRequestsOf(of.projectId, of.branch))
    await rememberMergeRequest(context.db, of.projectId, found)
}

/** The ref under which commits of a merge request from a fork lie in this project: branches of the fork are none of ours. */
export const forkRef = (iid: number): string => `refs/merge-requests/${iid}/head`

/** The merge request that this ref belongs to; null for a branch. */
export function iidOfForkRef(ref: string): number | null {
  const found = /^refs\/merge-requests\/(\d+)\/head$/.exec(ref)
  return found === null ? null : Number(found[1])
}

/** A merge request from a fork was merged or closed: its commits are no living branch any more. What runs goes on. */
export async function endFork(db: Db, projectId: number, iid: number): Promise<void> {
  await db
    .update(branches)
    .set({ state: 'gone' })
    .where(and(eq(branches.projectId, projectId), eq(branches.ref, forkRef(iid))))
}

/** The open merge requests that show a run of this ref. */
export async function mergeRequestsOf(db: Db, projectId: number, ref: string): Promise<MergeRequestRow[]> {
  const iid = iidOfForkRef(ref)
  if (iid === null) return openMergeRequests(db, projectId, shortBranch(ref))
  const found = await findMergeRequest(db, projectId, iid)
  return found?.state === 'opened' ? [found] : []
}
