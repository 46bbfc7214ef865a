import { sendCommitStatus } from './commit-status.ts'
import { isGitLabError } from './errors.ts'
import type { GitLab } from './gitlab.ts'
import { type CommitStatus, finalStatusStates, type StatusState } from './status-row.ts'

export interface Sweep {
  readonly projectId: number
  readonly sha: string
  /** Only this pipeline; null: every pipeline of the sha. */
  readonly pipelineId: number | null
  /** What our statuses' names begin with: `compops/`. */
  readonly ours: string
  /** How each ended; a name that is not in it becomes `canceled`. */
  readonly finalStates: ReadonlyMap<string, Exclude<StatusState, 'pending' | 'running'>>
  /** Branch of the run, short, and the merge requests that have it as their source: other branches at this commit have statuses of the same names. */
  readonly branch: string
  readonly mergeRequests: readonly number[]
  readonly targetUrl?: string | null
}

export interface Swept {
  readonly closed: readonly string[]
  /** Still unfinished, with the reason: an unfinished status keeps its pipeline running and can block a merge. */
  readonly open: readonly { readonly name: string; readonly pipelineId: number | null; readonly reason: string }[]
}

/**
 * Closes every unfinished status of ours on a branch at a sha. GitLab lets only the user who made a row finish it; from another user (a former bot's
 * successor) it makes a NEW row in the same pipeline and marks the old one as retried (CommitStatus#update_older_statuses_retried!), so
 * that it no longer counts. That is why each is closed in its own pipeline, and why the list is read again before anything is said
 * to be closed. Transient trouble is thrown; sweeping again is safe.
 */
export async function sweepStatuses(gitlab: GitLab, sweep: Sweep): Promise<Swept> {
  const before = await unfinished(gitlab, sweep)
  if (before.length === 0) return { closed: [], open: [] }
  const reasons = new Map<string, string>()
  for (const row of before) {
    const final = sweep.finalStates.get(row.name)
    const result = await sendCommitStatus(gitlab, {
      projectId: sweep.projectId,
      sha: sweep.sha,
      // A branch's row carries its ref; a merge request's (`refs/…`) can only be reached through its pipeline.
      branch: sweep.branch,
      mergeRequestIid: null,
      name: row.name,
      state: final ?? 'canceled',
      description: final === undefined ? 'closed: nothing is known to run any more' : `closed as ${final}`,
      targetUrl: row.targetUrl ?? sweep.targetUrl ?? null,
      pipelineId: row.pipelineId ?? sweep.pipelineId,
    })
    if (result.reason !== undefined) reasons.set(keyOf(row), result.reason)
  }
  const after = await unfinished(gitlab, sweep)
  const left = new Set(after.map(keyOf))
  return {
    closed: before.filter(row => !left.has(keyOf(row))).map(row => row.name),
    open: after.map(row => ({
      name: row.name,
      pipelineId: row.pipelineId,
      reason: reasons.get(keyOf(row)) ?? `still ${row.state} in GitLab`,
    })),
  }
}

async function unfinished(gitlab: GitLab, sweep: Sweep): Promise<CommitStatus[]> {
  try {
    const found = await gitlab.commitStatuses(sweep.projectId, sweep.sha, {
      ...(sweep.pipelineId === null ? {} : { pipelineId: sweep.pipelineId }),
    })
    return found.filter(
      row => row.name.startsWith(sweep.ours) && !finalStatusStates.has(row.state) && isOfBranch(row, sweep),
    )
  } catch (error) {
    // The commit is gone, and its statuses with it.
    if (isGitLabError(error, 'not found') && /commit/i.test(error.said)) return []
    throw error
  }
}

/** A row carries the ref of its pipeline: the branch, or `refs/merge-requests/<iid>/head`, `/merge`, `/train`. */
function isOfBranch(row: CommitStatus, { branch, mergeRequests }: Sweep): boolean {
  const iid = /^refs\/merge-requests\/(\d+)\//.exec(row.ref ?? '')?.[1]
  return row.ref === branch || (iid !== undefined && mergeRequests.includes(Number(iid)))
}

function keyOf(row: CommitStatus): string {
  return `${row.pipelineId} ${row.name}`
}
