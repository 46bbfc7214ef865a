import { and, eq, inArray, isNotNull, lt, not } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { findPipelineAnew } from '../gitlab/gitlab.ts'
import type { PipelineEvent } from '../model/event.ts'
import { ofCiJob } from '../store/ci-jobs.ts'
import { openMergeRequests } from '../store/merge-requests.ts'
import { transact } from '../store/open.ts'
import { sendAgain } from '../store/reports.ts'
import { type RunRow, shortBranch } from '../store/runs.ts'
import { mergeRequests, reports, runs } from '../store/schema.ts'

/**
 * A pipeline has appeared after statuses of its commit had gone elsewhere: into an external one that GitLab made for them, or into that of the
 * branch before there was a merge request. They are sent again to where people look now; what is left unfinished in the old pipeline is closed
 * when the run has ended (sweep). Returns how many runs moved.
 */
export async function moveStatuses(context: Context, event: PipelineEvent, projectPath: string): Promise<number> {
  // An external pipeline is made by statuses, ours or others'; a child pipeline says nothing about its branch.
  if (event.source === 'external' || event.source === 'parent_pipeline') return 0
  const gitlab = context.gitlabOf(projectPath)
  let moved = 0
  for (const run of await runsElsewhere(context, event)) {
    const branch = shortBranch(run.ref)
    const open = await openMergeRequests(context.db, run.projectId, branch)
    const iid = open.find(one => one.headSha === run.sha)?.iid ?? null
    const place = { projectId: run.projectId, sha: run.sha, branch, mergeRequestIid: iid }
    const { pipelineId } = await findPipelineAnew(gitlab, place)
    if (pipelineId === null || pipelineId === run.pipelineId) continue
    await transact(context.db, async tx => {
      await tx.update(runs).set({ pipelineId, hasCi: true, sweptAt: null }).where(eq(runs.id, run.id))
      const sent = await tx
        .select({ id: reports.id })
        .from(reports)
        .where(and(eq(reports.runId, run.id), eq(reports.kind, 'status'), isNotNull(reports.sentHash)))
      await sendAgain(
        tx,
        sent.map(report => report.id),
      )
    })
    context.log.info(
      { step: 'report', run: run.id, from: run.pipelineId, to: pipelineId },
      `the statuses go on in pipeline ${pipelineId}`,
    )
    moved++
  }
  if (moved > 0) context.wake.call('send')
  return moved
}

/** Runs of the pipeline's commit, or of the merge request's head where its sha is that of a trial merge, whose statuses went to an older pipeline. */
async function runsElsewhere(context: Context, event: PipelineEvent): Promise<RunRow[]> {
  const heads =
    event.iid === null
      ? []
      : await context.db
          .select({ sha: mergeRequests.headSha })
          .from(mergeRequests)
          .where(and(eq(mergeRequests.projectId, event.projectId), eq(mergeRequests.iid, event.iid)))
  const shas = [event.sha, ...heads.flatMap(head => head.sha ?? [])]
  return context.db
    .select()
    .from(runs)
    .where(
      and(
        eq(runs.projectId, event.projectId),
        inArray(runs.sha, shas),
        lt(runs.pipelineId, event.pipelineId),
        // A CI job's own stays in the pipeline of that job.
        not(ofCiJob(runs.ref)),
      ),
    )
}
