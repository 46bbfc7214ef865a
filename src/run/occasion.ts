import type { Context } from '../context.ts'
import {
  changedPaths,
  ensureCommit,
  hasCommit,
  listFiles,
  type Mirror,
  mergeBase,
  readCommit,
  readHead,
} from '../git/mirror.ts'
import type { Cause } from '../model/run.ts'
import type { Occasion } from '../spec/index.ts'
import { openMergeRequests } from '../store/merge-requests.ts'
import type { ProjectRow } from '../store/projects.ts'
import { shortBranch } from '../store/runs.ts'

export interface OccasionFacts {
  readonly project: ProjectRow
  readonly branch: { readonly ref: string; readonly headSha?: string | null }
  readonly sha: string
  readonly mirror: Mirror
  readonly cause: Cause
  /** What made us look at the head; left out: a push. */
  readonly event?: 'merge request'
}

/** Why a run is there and what its commit changes, for `rules`. GitLab and git are asked only for what a rule asks. */
export async function occasionOf(context: Context, facts: OccasionFacts): Promise<Occasion> {
  const { project, branch, sha, mirror } = facts
  const name = shortBranch(branch.ref)
  const [mergeRequest] = await openMergeRequests(context.db, project.id, name)
  const target = mergeRequest?.targetBranch ?? null
  const { message } = await readCommit(mirror, sha)

  /** Since a branch was left; null where that cannot be said. */
  async function since(branchName: string | null): Promise<readonly string[] | null> {
    const head = branchName === null ? null : await readHead(mirror, `refs/heads/${branchName}`)
    if (head === null || !(await ensureCommit(mirror, head))) return null
    const base = await mergeBase(mirror, head, sha)
    return base === null ? null : changedPaths(mirror, base, sha)
  }

  return {
    variables: {
      COMPOPS_BRANCH: name,
      COMPOPS_CAUSE: causeInWords(facts),
      COMPOPS_COMMIT_MESSAGE: message,
      COMPOPS_DEFAULT_BRANCH: project.defaultBranch,
      COMPOPS_MERGE_REQUEST_IID: mergeRequest === undefined ? null : String(mergeRequest.iid),
      COMPOPS_PROJECT: project.path,
      COMPOPS_SHA: sha,
      COMPOPS_TARGET_BRANCH: target,
    },
    async changed(compareTo) {
      if (compareTo !== null) return since(compareTo)
      // As in GitLab: where nothing was pushed everything counts as changed.
      if (!facts.cause.startsWith('head:')) return null
      if (target !== null) return since(target)
      const before = branch.headSha ?? null
      if (before !== null && before !== sha && (await hasCommit(mirror, before)))
        return changedPaths(mirror, before, sha)
      return since(project.defaultBranch)
    },
    files: () => listFiles(mirror, sha),
  }
}

function causeInWords({ cause, event }: OccasionFacts): string {
  const kind = cause.slice(0, cause.indexOf(':'))
  const words: Readonly<Record<string, string>> = { note: 'command', tick: 'schedule', api: 'api', ci: 'ci' }
  return words[kind] ?? (event === undefined ? 'push' : 'merge_request')
}
