import { and, eq } from 'drizzle-orm'
import type { Context } from '../context.ts'
import type { MergeRequest } from '../gitlab/gitlab.ts'
import { saveMergeRequest } from '../store/merge-requests.ts'
import type { Db } from '../store/open.ts'
import { touchRuns } from '../store/runs.ts'
import { branches } from '../store/schema.ts'

/** A merge request of the branch was opened or changed: its note should show the branch's latest run. Returns that run's id. */
export async function showOnMergeRequest(context: Context, projectId: number, branch: string): Promise<string | null> {
  const found = await context.db
    .select({ latest: branches.latestRunId })
    .from(branches)
    .where(and(eq(branches.projectId, projectId), eq(branches.ref, `refs/heads/${branch}`)))
  const latest = found[0]?.latest ?? null
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
