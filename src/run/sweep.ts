import { and, eq, inArray, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { finalStatusStates, sweepStatuses } from '../gitlab/gitlab.ts'
import { mustHold } from '../store/leases.ts'
import { mergeRequestsFrom } from '../store/merge-requests.ts'
import { rows } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { findRun, shortBranch } from '../store/runs.ts'
import { reports, runs } from '../store/schema.ts'

type Final = 'success' | 'failed' | 'canceled' | 'skipped'

/**
 * Looks over the statuses of ended runs where one may have been left unfinished: GitLab refused one, we became another user meanwhile, the commit has
 * pipelines of its own, or we were killed while we sent one, which GitLab, being slow, may have taken after the last. Of several runs of a branch at one commit
 * only the last may say how the statuses end. An unfinished status keeps its pipeline running and can block a merge. Returns how many runs were looked at.
 */
export async function sweepRuns(context: Context): Promise<number> {
  const due = await rows<{ id: string }>(
    context.db,
    sql`select r.id from runs r where r.ended_at is not null and r.swept_at is null and r.ended_at > now() - interval '7 days'
      and not exists (select 1 from runs n where n.project_id = r.project_id and n.sha = r.sha and n.ref = r.ref and n.id > r.id)
      and not exists (select 1 from projects o where o.id = r.project_id and o.recovering)
      and not exists (select 1 from reports p where p.run_id = r.id and p.kind = 'status' and p.sent_hash is distinct from p.desired_hash and p.parked_at is null)
      and exists (select 1 from reports p where p.run_id = r.id and p.kind = 'status')
      and (r.has_ci or (select count(*) from bots b where b.first_seen_at > r.created_at) > 0
        or exists (select 1 from reports p where p.run_id = r.id and p.kind = 'status' and (p.refused is not null or p.parked_at is not null))
        or (r.ended_at < now() - interval '2 minutes'
          and exists (select 1 from reports p where p.run_id = r.id and p.kind = 'status' and p.interrupted > 0)))
        and r.sweep_next_at <= now()
      order by r.sweep_next_at limit 20`,
  )
  for (const { id } of due) {
    mustHold(context.lease)
    await sweepRun(context, id)
  }
  return due.length
}

async function sweepRun(context: Context, runId: string): Promise<void> {
  const run = (await findRun(context.db, runId))!
  const project = await findProject(context.db, run.projectId)
  const log = context.log.child({ step: 'sweep', run: runId })
  // It was taken up again since it was found due.
  if (run.endedAt === null) return
  try {
    if (project !== null && projectFor(context.config, project.path) !== null) {
      const branch = shortBranch(run.ref)
      const sent = await context.db
        .select({ desired: reports.desired })
        .from(reports)
        .where(and(eq(reports.runId, runId), inArray(reports.kind, ['status'])))
      const finalStates = new Map<string, Final>()
      for (const { desired } of sent) {
        if (desired.kind === 'status' && finalStatusStates.has(desired.state))
          finalStates.set(desired.name, desired.state as Final)
      }
      const result = await sweepStatuses(context.gitlabOf(project.path), {
        projectId: run.projectId,
        sha: run.sha,
        pipelineId: null,
        ours: 'compops/',
        finalStates,
        branch,
        mergeRequests: await mergeRequestsFrom(context.db, run.projectId, branch),
      })
      if (result.closed.length > 0)
        log.info({ closed: result.closed }, 'statuses that had been left unfinished were closed')
      if (result.open.length > 0) log.warn({ open: result.open }, 'statuses that GitLab keeps unfinished')
    }
    // Statuses that moved to another pipeline meanwhile are looked over again.
    await context.db
      .update(runs)
      .set({ sweptAt: sql`now()` })
      .where(and(eq(runs.id, runId), sql`${runs.pipelineId} is not distinct from ${run.pipelineId}`))
  } catch (error) {
    context.metrics.failures.inc({ verb: 'sweep' })
    // Again after 1, 2, 4 … 64 min, behind all others; after a week nobody is waiting for it.
    await context.db
      .update(runs)
      .set({
        sweepTries: sql`${runs.sweepTries} + 1`,
        sweepNextAt: sql`now() + make_interval(mins => power(2, least(${runs.sweepTries}, 6))::int)`,
      })
      .where(eq(runs.id, runId))
    log.warn({ err: describeError(error) }, 'statuses could not be looked over')
  }
}
