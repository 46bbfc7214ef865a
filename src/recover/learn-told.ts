import { and, eq, inArray, isNull, or, sql } from 'drizzle-orm'
import type { ProjectConfig } from '../config/index.ts'
import type { Context } from '../context.ts'
import type { GitLab } from '../gitlab/gitlab.ts'
import { fitName } from '../gitlab/status-text.ts'
import { newId } from '../model/id.ts'
import { replyMarker, statusReports } from '../run/compose.ts'
import { rememberMergeRequest } from '../run/merge-request.ts'
import { mustHold } from '../store/leases.ts'
import { openMergeRequests } from '../store/merge-requests.ts'
import { transact } from '../store/open.ts'
import type { ProjectRow } from '../store/projects.ts'
import { loadRun, type RunRow, shortBranch } from '../store/runs.ts'
import { branches, reports, runs } from '../store/schema.ts'

/**
 * After a restored backup: what GitLab shows already of runs whose end is still to be told here. A final status that is set again would be a second row, and a reply
 * is said once.
 */
export async function learnWhatWasTold(context: Context, project: ProjectRow, rule: ProjectConfig): Promise<void> {
  // One that was about to be sent looks first, as after a lost answer.
  await context.db
    .update(reports)
    .set({ attempts: sql`greatest(${reports.attempts}, 1)` })
    .where(and(eq(reports.projectId, project.id), eq(reports.kind, 'reply'), isNull(reports.sentHash)))
  const untold = await context.db
    .select({ run: runs, latest: branches.latestRunId })
    .from(runs)
    .innerJoin(branches, eq(branches.id, runs.branchId))
    .where(
      and(
        eq(runs.projectId, project.id),
        or(
          isNull(runs.endedAt),
          sql`${runs.version} > ${runs.reportedVersion}`,
          // Known from its record: nothing is told of it now, but a merge request may be opened tomorrow.
          and(
            eq(branches.latestRunId, runs.id),
            sql`not exists (select 1 from reports told where told.run_id = ${runs.id})`,
          ),
        ),
        inArray(branches.state, ['active']),
      ),
    )
  const gitlab = context.gitlabOf(project.path)
  for (const { run, latest } of untold) {
    mustHold(context.lease)
    await learnStatuses(context, gitlab, rule, run)
    // Only the run that a branch shows is replied to.
    if (latest === run.id) await learnReplies(context, gitlab, run)
  }
}

async function learnStatuses(context: Context, gitlab: GitLab, rule: ProjectConfig, run: RunRow): Promise<void> {
  const shown = await gitlab.commitStatuses(run.projectId, run.sha)
  // The link of a status names its run; the newest row of a name is the one that counts.
  const ours = new Map(
    shown
      .filter(row => row.targetUrl?.includes(`/runs/${run.id}`))
      .sort((a, b) => a.id - b.id)
      .map(row => [row.name, row]),
  )
  if (ours.size === 0) return
  for (const wanted of statusReports(context, await loadRun(context.db, run.id), rule)) {
    const { desired } = wanted
    const row = desired.kind === 'status' ? ours.get(fitName(desired.name)) : undefined
    if (desired.kind !== 'status' || row === undefined) continue
    const state = row.state as typeof desired.state
    const hash = `${run.id} ${state}`
    const told = {
      desired: { ...desired, state },
      desiredHash: hash,
      sentHash: hash,
      sentAt: sql`now()` as never,
      externalId: row.id,
      refused: null,
      parkedAt: null,
      attempts: 0,
    }
    await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      await tx
        .insert(reports)
        .values({ id: newId(), kind: 'status', key: wanted.key, projectId: run.projectId, runId: run.id, ...told })
        .onConflictDoUpdate({ target: reports.key, set: { ...told, runId: run.id } })
      if (run.pipelineId === null && row.pipelineId !== null)
        await tx.update(runs).set({ pipelineId: row.pipelineId }).where(eq(runs.id, run.id))
    })
  }
}

async function learnReplies(context: Context, gitlab: GitLab, run: RunRow): Promise<void> {
  const branch = shortBranch(run.ref)
  for (const seen of await gitlab.openMergeRequestsOf(run.projectId, branch))
    await rememberMergeRequest(context.db, run.projectId, seen)
  const me = await gitlab.me()
  for (const { iid } of await openMergeRequests(context.db, run.projectId, branch)) {
    const note = await gitlab.findNote(run.projectId, iid, replyMarker(run, iid), me.id)
    if (note === null) continue
    await context.db
      .insert(reports)
      .values({
        id: newId(),
        kind: 'reply',
        key: `reply ${run.id} ${iid}`,
        projectId: run.projectId,
        runId: run.id,
        desired: { kind: 'reply', iid, body: note.body },
        desiredHash: 'once',
        sentHash: 'once',
        sentAt: sql`now()`,
        externalId: note.id,
      })
      .onConflictDoNothing()
  }
}
