import { and, eq, inArray, isNotNull } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { isFinal } from '../model/job-state.ts'
import type { Run } from '../model/run.ts'
import { copiesFolder, evidencePath, pathUrl } from '../render/links.ts'
import type { Neighbour, TreeNode } from '../render/mermaid.ts'
import { verdictOf } from '../render/outcome.ts'
import type { Comparison, PageView, PastRun, Plot } from '../render/sections.ts'
import { findBranch } from '../store/branches.ts'
import type { Db } from '../store/open.ts'
import { latestRunsOf, loadRun, type RunRow } from '../store/runs.ts'
import { connections, copies, jobs, reports } from '../store/schema.ts'
import { loadAround } from '../store/tree.ts'
import type { BranchNode } from '../tree/node.ts'

/** Everything the note and the branch's page say of a run. */
export async function pageOf(context: Context, row: RunRow, run: Run): Promise<PageView> {
  const history = (await latestRunsOf(context.db, row.branchId, 9)).filter(other => other.id !== run.id)
  const rule = projectFor(context.config, run.projectPath)
  const around = await loadAround(context.db, run.projectId, run.branch)
  const stale = around?.node.stale != null && around.node.run?.id === run.id
  const evidenceBranch = rule?.evidence.branch ?? 'compops/evidence'
  return {
    run,
    at: run.endedAt ?? context.clock.now(),
    timeZone: context.config.timeZone,
    publicUrl: context.config.publicUrl,
    parent: around?.parent == null ? null : toNeighbour(around.parent),
    children: (around?.children ?? []).map(toNeighbour),
    siblings: (around?.siblings ?? []).map(toNeighbour),
    moreSiblings: around === null ? 0 : around.siblingCount - around.siblings.length,
    tree: around?.whole?.map(toTreeNode) ?? null,
    // An older run of the branch is what it is.
    stale,
    staleBy: stale ? (around?.node.stale ?? null) : null,
    dashboard: context.config.dashboard != null,
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

export function toNeighbour({ branch, run, stale, life }: BranchNode): Neighbour {
  return { branch, state: run?.state ?? null, stale: stale !== null, ...(life === 'active' ? {} : { life }) }
}

export function toTreeNode(node: BranchNode): TreeNode {
  return { ...toNeighbour(node), parent: node.parent?.branch ?? null }
}

/** The metrics of the parent's result that it was computed from, else its newest, and of the target branch's latest run, to stand beside ours. */
export async function comparisonsWith(db: Db, run: Run, targetBranch: string): Promise<Comparison[]> {
  const parent = run.parent?.branch ?? null
  const from = parent === null ? null : (run.parentRunId ?? (await latestOf(db, run.projectId, parent)))
  const target = targetBranch === parent ? null : await latestOf(db, run.projectId, targetBranch)
  return [
    ...(parent === null ? [] : await comparisonWith(db, run, from, parent, true)),
    ...(await comparisonWith(db, run, target, targetBranch, false)),
  ]
}

async function latestOf(db: Db, projectId: number, branch: string): Promise<string | null> {
  return (await findBranch(db, projectId, `refs/heads/${branch}`))?.latestRunId ?? null
}

async function comparisonWith(
  db: Db,
  run: Run,
  otherId: string | null,
  branch: string,
  isParent: boolean,
): Promise<Comparison[]> {
  if (otherId === null || otherId === run.id) return []
  const other = await loadRun(db, otherId, 'collected')
  const metrics = Object.assign({}, ...other.jobs.map(job => job.attempts.at(-1)?.collected?.metrics ?? {})) as Record<
    string,
    number
  >
  if (Object.keys(metrics).length === 0) return []
  const wallSeconds = other.endedAt === null ? null : (other.endedAt.getTime() - other.createdAt.getTime()) / 1000
  return [{ branch, isParent, metrics, wallSeconds }]
}
