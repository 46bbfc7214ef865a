import { and, eq, inArray, isNull, or, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import type { MergeRequest } from '../gitlab/gitlab.ts'
import { findMergeRequest } from '../store/merge-requests.ts'
import { type Db, transact } from '../store/open.ts'
import { type BranchRow, openStates, touchRuns } from '../store/runs.ts'
import { branches, jobs, runs } from '../store/schema.ts'
import { rememberMergeRequest } from './merge-request.ts'
import { resumeRun } from './resume.ts'
import { cancelQueued } from './supersede.ts'

/** The reason at a job, by which it is known again when the merge request is reopened. */
export const closedReason = (iid: number): string => `merge request !${iid} was closed`

/**
 * Keeps what GitLab says of a merge request, and does to the runs of its branch what follows from it: closed, what has not begun is cancelled, unless the
 * branch has another one open; reopened, that runs after all. What a draft holds, `heldRuns` reads from the row. `delivered`: a hook told of the closing;
 * of one that is seen for the first time nothing else says that it was open a moment ago. Returns what was done, in words.
 */
export async function followMergeRequest(
  context: Context,
  projectId: number,
  projectPath: string,
  seen: MergeRequest,
  delivered: boolean,
): Promise<string | null> {
  const own = seen.sourceProjectId === projectId
  const before = await findMergeRequest(context.db, projectId, seen.iid)
  const closed = seen.state === 'closed' && (before === null ? delivered : before.state !== 'closed')
  if (own && closed) return closeMergeRequest(context, projectId, projectPath, seen)
  await rememberMergeRequest(context.db, projectId, seen)
  if (!own || seen.state !== 'opened') return null
  // It may have become ready.
  if (before?.draft !== seen.draft) context.wake.call('prepare')
  return reopen(context, projectId, seen)
}

/** In the transaction that keeps it as closed: whatever kills us, it is done once, before any later push of the branch is read. */
async function closeMergeRequest(
  context: Context,
  projectId: number,
  projectPath: string,
  seen: MergeRequest,
): Promise<string> {
  const open = await context.gitlabOf(projectPath).openMergeRequestsOf(projectId, seen.sourceBranch)
  const others = open.filter(one => one.iid !== seen.iid)
  const cancelled = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    await rememberMergeRequest(tx, projectId, seen)
    for (const other of others) await rememberMergeRequest(tx, projectId, other)
    if (others.length > 0) return 0
    const found = await tx
      .select({ id: runs.id })
      .from(runs)
      .where(
        and(
          eq(runs.projectId, projectId),
          eq(runs.ref, `refs/heads/${seen.sourceBranch}`),
          isNull(runs.endedAt),
          isNull(runs.supersededBy),
        ),
      )
    const ids = found.map(row => row.id)
    if (ids.length === 0) return 0
    const count = await cancelQueued(tx, ids, closedReason(seen.iid))
    await touchRuns(tx, ids)
    return count
  })
  if (others.length > 0) return `!${seen.iid} is closed; ${seen.sourceBranch} has !${others[0]!.iid} open`
  for (const topic of ['cancel', 'compose'] as const) context.wake.call(topic)
  const result = `!${seen.iid} is closed; ${cancelled} ${cancelled === 1 ? 'job that has' : 'jobs that have'} not begun ${cancelled === 1 ? 'is' : 'are'} cancelled`
  context.audit.record({
    act: 'merge request closed',
    by: 'compops',
    project: projectPath,
    ref: `refs/heads/${seen.sourceBranch}`,
    result,
  })
  return result
}

/** Asked by rows, not by what has just changed: where a kill came in between, whoever looks next does it. */
async function reopen(context: Context, projectId: number, seen: MergeRequest): Promise<string | null> {
  const found = await context.db
    .select({ branch: branches, run: runs })
    .from(branches)
    .innerJoin(runs, eq(runs.id, branches.latestRunId))
    .where(
      and(
        eq(branches.projectId, projectId),
        eq(branches.ref, `refs/heads/${seen.sourceBranch}`),
        eq(branches.state, 'active'),
        sql`${branches.headSha} = ${runs.sha}`,
      ),
    )
  const latest = found[0]
  if (latest === undefined || !(await wasCancelledFor(context.db, latest.run.id, closedReason(seen.iid)))) return null
  const resumed = await resumeRun(context, {
    ...(latest as { branch: BranchRow; run: typeof latest.run }),
    canceledFor: closedReason(seen.iid),
  })
  return resumed === 'directory removed'
    ? `!${seen.iid} is open again; the directory of run ${latest.run.id} was removed: push to compute it anew`
    : `!${seen.iid} is open again; ${resumed}`
}

async function wasCancelledFor(db: Db, runId: string, reason: string): Promise<boolean> {
  const found = await db
    .select({ id: jobs.id })
    .from(jobs)
    .where(
      and(
        eq(jobs.runId, runId),
        or(
          and(eq(jobs.state, 'canceled'), eq(jobs.message, reason)),
          and(inArray(jobs.state, openStates), eq(jobs.cancelReason, reason)),
        ),
      ),
    )
    .limit(1)
  return found.length > 0
}
