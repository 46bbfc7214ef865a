import type { Context } from '../context.ts'
import type { MergeRequest } from '../gitlab/gitlab.ts'
import { findMergeRequest } from '../store/merge-requests.ts'
import type { ProjectRow } from '../store/projects.ts'
import { hasRuns } from '../store/runs.ts'
import { endFork, showOnMergeRequest } from './merge-request.ts'
import { followMergeRequest } from './merge-request-effects.ts'
import { replant } from './replant.ts'

/** What is done with a merge request that may have new notes: commands are read in a room of their own. */
export type LookForNotes = (context: Context, project: ProjectRow, seen: MergeRequest, since: Date) => Promise<unknown>

/** ms by which GitLab's clock and ours may differ, and a listing may be older than the note of its time. */
const margin = 10 * 60_000

/**
 * Finds what no webhook told of merge requests: those changed since the last look are asked for in one call. One that was opened meanwhile gets
 * its note, one that was merged or closed is known as such. Returns how many had changed.
 */
export async function compareMergeRequests(context: Context, project: ProjectRow, look: LookForNotes): Promise<number> {
  const { webhook } = context.config.gitlab
  // Without a run there is nothing to show; the first composition of a run asks for itself. Where no webhook tells of notes they are looked for always.
  if (project.headsAt === null || (webhook && !(await hasRuns(context.db, project.id)))) return 0
  const since = new Date(project.headsAt.getTime() - margin)
  let changed = 0
  for (const seen of await context.gitlabOf(project.path).mergeRequestsChanged(project.id, since)) {
    // A note moves the time at which its merge request was changed last.
    if (!webhook) await look(context, project, seen, since)
    const known = await findMergeRequest(context.db, project.id, seen.iid)
    const result = await followMergeRequest(context, project.id, project.path, seen, false)
    if (result !== null) context.log.info({ step: 'heads', project: project.path, mergeRequest: seen.iid }, result)
    // Also where it was kept by a process that was killed then.
    if (seen.sourceProjectId === project.id) await replant(context, project.id, seen.sourceBranch)
    if (known?.state === seen.state && known.headSha === seen.sha && known.targetBranch === seen.targetBranch) continue
    changed++
    if (seen.sourceProjectId !== project.id && seen.state !== 'opened') await endFork(context.db, project.id, seen.iid)
    if (seen.sourceProjectId !== project.id || seen.state !== 'opened') continue
    const shown = await showOnMergeRequest(context, project.id, seen.sourceBranch)
    context.log.info(
      { step: 'heads', project: project.path, mergeRequest: seen.iid, run: shown },
      `!${seen.iid} was found by comparing`,
    )
  }
  return changed
}
