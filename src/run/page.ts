import { and, eq, inArray, isNotNull } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { isFinal } from '../model/job-state.ts'
import type { Run } from '../model/run.ts'
import { copiesFolder, evidencePath, pathUrl } from '../render/links.ts'
import { verdictOf } from '../render/outcome.ts'
import type { Comparison, PageView, PastRun, Plot } from '../render/sections.ts'
import type { Db } from '../store/open.ts'
import { latestRunsOf, loadRun, type RunRow } from '../store/runs.ts'
import { branches, connections, copies, jobs, reports } from '../store/schema.ts'

/** Everything the note and the branch's page say of a run. */
export async function pageOf(context: Context, row: RunRow, run: Run): Promise<PageView> {
  const history = (await latestRunsOf(context.db, row.branchId, 9)).filter(other => other.id !== run.id)
  const rule = projectFor(context.config, run.projectPath)
  const evidenceBranch = rule?.evidence.branch ?? 'compops/evidence'
  return {
    run,
    at: run.endedAt ?? context.clock.now(),
    timeZone: context.config.timeZone,
    publicUrl: context.config.publicUrl,
    dashboard: false,
    clustersAway: await clustersAway(context.db, run),
    specText: row.specText,
    evidenceRefused: await evidenceRefused(context.db, run),
    history: history.map(toPastRun),
    plots: await plotsOf(context.db, run),
    evidenceUrl:
      run.endedAt === null
        ? null
        : `${context.config.gitlab.url}/${run.projectPath}/-/blob/${pathUrl(evidenceBranch)}/${pathUrl(evidencePath(run))}`,
  }
}

/** Pictures that the last attempts of its jobs brought. */
async function plotsOf(db: Db, run: Run): Promise<Plot[]> {
  const pictures = await db
    .select({ jobId: copies.jobId, name: copies.name, upload: copies.upload })
    .from(copies)
    .where(and(eq(copies.runId, run.id), eq(copies.kind, 'image')))
    .orderBy(copies.name)
  return run.jobs.flatMap(job => {
    const paths = new Map(job.attempts.at(-1)?.collected?.outputs.map(output => [output.copy, output.path]))
    return pictures.flatMap(({ jobId, name, upload }) => {
      const path = jobId === job.id ? paths.get(name) : undefined
      return path === undefined ? [] : [{ job: job.name, path, file: `${copiesFolder(run)}/${name}`, upload }]
    })
  })
}

/** Why GitLab does not take the evidence of an ended run. */
async function evidenceRefused(db: Db, run: Run): Promise<string | null> {
  if (run.endedAt === null) return null
  const found = await db
    .select({ refused: reports.refused })
    .from(reports)
    .where(eq(reports.key, `evidence ${run.id}`))
  return found[0]?.refused ?? null
}

/** Clusters that unfinished jobs of the run wait for and that do not answer. */
async function clustersAway(db: Db, run: Run): Promise<NonNullable<PageView['clustersAway']>> {
  const open = run.jobs.filter(job => !isFinal(job.state))
  if (open.length === 0) return []
  const found = await db
    .selectDistinct({ name: jobs.cluster, since: connections.unreachableSince, why: connections.lastError })
    .from(jobs)
    .innerJoin(connections, eq(connections.name, jobs.connection))
    .where(
      and(
        inArray(
          jobs.id,
          open.map(job => job.id),
        ),
        isNotNull(connections.unreachableSince),
      ),
    )
  return found.map(row => ({ name: row.name, since: row.since!, why: row.why ?? 'no answer' }))
}

export function toPastRun(run: Run): PastRun {
  return {
    id: run.id,
    sha: run.sha,
    state: run.state,
    words: verdictOf(run).words,
    createdAt: run.createdAt,
    endedAt: run.endedAt,
  }
}

/** The metrics of the target branch's latest run, where it has one, to stand beside ours. */
export async function comparisonsWith(db: Db, run: Run, targetBranch: string): Promise<Comparison[]> {
  const found = await db
    .select({ latest: branches.latestRunId })
    .from(branches)
    .where(and(eq(branches.projectId, run.projectId), eq(branches.ref, `refs/heads/${targetBranch}`)))
  const latest = found[0]?.latest ?? null
  if (latest === null || latest === run.id) return []
  const other = await loadRun(db, latest, 'collected')
  const metrics = Object.assign({}, ...other.jobs.map(job => job.attempts.at(-1)?.collected?.metrics ?? {})) as Record<
    string,
    number
  >
  if (Object.keys(metrics).length === 0) return []
  const wallSeconds = other.endedAt === null ? null : (other.endedAt.getTime() - other.createdAt.getTime()) / 1000
  return [{ branch: targetBranch, isParent: false, metrics, wallSeconds }]
}
