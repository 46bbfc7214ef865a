import { and, eq, inArray, isNull, or, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { readHead } from '../git/mirror.ts'
import { ciJobOfRef } from '../model/ci.ts'
import { cancelledPipeline, type PipelineEvent } from '../model/event.ts'
import { transact } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { type RunRow, touchRuns } from '../store/runs.ts'
import { reports, runs } from '../store/schema.ts'
import { cancelAll } from './supersede.ts'

/**
 * Somebody has cancelled a pipeline that shows statuses of ours, which GitLab only does to all of them: the run's jobs are cancelled on the cluster, too. GitLab lets only those do it who may, and does not say
 * who it was. The loop guard: a status counts only if we last told it as unfinished, and nothing of it is on its way, so what we cancelled ourselves is never
 * taken for a person's wish; and GitLab itself cancels pipelines whose branch has moved on, for which superseding has rules of its own.
 * Returns what was done, in words; null where it is about nothing of ours.
 */
export async function pipelineCancelled(
  context: Context,
  event: PipelineEvent,
  projectPath: string,
): Promise<string | null> {
  if (!cancelledPipeline.has(event.status)) return null
  const told = await toldAsUnfinished(context, event)
  if (told.size === 0) return null
  // Not the pipeline's own state: a status that was on its way to GitLab at that moment has set it running again.
  const shown = await context.gitlabOf(projectPath).commitStatuses(event.projectId, event.sha, {
    pipelineId: event.pipelineId,
  })
  const ended = new Set(shown.filter(row => row.state === 'canceled' || row.state === 'canceling').map(row => row.name))
  const answers: string[] = []
  for (const { run, names } of told.values())
    if (names.some(name => ended.has(name))) answers.push(await cancelRun(context, run, event.pipelineId, projectPath))
  return answers.length === 0 ? null : answers.join('; ')
}

/** By run, the names of statuses that GitLab was told as unfinished in this pipeline, and should still show so. */
async function toldAsUnfinished(
  context: Context,
  event: PipelineEvent,
): Promise<Map<string, { run: RunRow; names: string[] }>> {
  const found = await context.db
    .select({ run: runs, name: sql<string>`${reports.desired}->>'name'` })
    .from(reports)
    .innerJoin(runs, eq(runs.id, reports.runId))
    .where(
      and(
        eq(reports.projectId, event.projectId),
        eq(reports.kind, 'status'),
        isNull(reports.refused),
        sql`${reports.sentHash} = ${reports.desiredHash}`,
        inArray(sql`${reports.desired}->>'state'`, ['pending', 'running']),
        isNull(runs.endedAt),
        // GitLab before 16.6 does not say to which pipeline a status went.
        or(eq(runs.pipelineId, event.pipelineId), and(isNull(runs.pipelineId), eq(runs.sha, event.sha))),
      ),
    )
  const byRun = new Map<string, { run: RunRow; names: string[] }>()
  for (const { run, name } of found) {
    const one = byRun.get(run.id) ?? { run, names: [] }
    one.names.push(name)
    byRun.set(run.id, one)
  }
  return byRun
}

async function cancelRun(context: Context, run: RunRow, pipelineId: number, projectPath: string): Promise<string> {
  const project = (await findProject(context.db, run.projectId))!
  // What a CI job brought belongs to its pipeline, wherever the branch is by now.
  const head = ciJobOfRef(run.ref) !== null ? run.sha : await readHead(await context.mirror(project), run.ref)
  if (head !== run.sha) return `pipeline ${pipelineId} is canceled; its branch has moved on from ${run.sha.slice(0, 8)}`
  const reason = `pipeline ${pipelineId} was cancelled in GitLab`
  const count = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const asked = await cancelAll(tx, [run.id], reason)
    if (asked > 0) await touchRuns(tx, [run.id])
    return asked
  })
  for (const topic of ['cancel', 'compose'] as const) context.wake.call(topic)
  const result = `${reason}: ${count} ${count === 1 ? 'job is' : 'jobs are'} cancelled`
  context.audit.record({
    act: 'pipeline cancelled',
    by: 'somebody in GitLab',
    project: projectPath,
    run: run.id,
    ref: run.ref,
    sha: run.sha,
    result,
  })
  return result
}
