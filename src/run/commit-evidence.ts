import { and, desc, eq, inArray, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { commitEvidence } from '../git/evidence.ts'
import type { Run } from '../model/run.ts'
import { branchPage } from '../render/branch-page.ts'
import { renderEvidence } from '../render/evidence.ts'
import { branchPath, evidencePath } from '../render/links.ts'
import { coreSeconds, verdictOf } from '../render/outcome.ts'
import { type ReadmeNode, renderReadme } from '../render/readme.ts'
import { findProject, type ProjectRow } from '../store/projects.ts'
import { latestRunsOf, loadRun, shortBranch } from '../store/runs.ts'
import { branches, projects, reports, runs } from '../store/schema.ts'
import { claimable, leaseFor, putBack } from '../store/work.ts'
import { asOutage, isTokenTrouble } from './outage.ts'
import { pageOf } from './page.ts'

type Report = typeof reports.$inferSelect

/** Step 6, the lasting part: many ended runs of a project in one commit on its evidence branch. Returns how many runs were claimed. */
export async function commitEvidenceOfRuns(context: Context): Promise<number> {
  const unsent = and(eq(reports.kind, 'evidence'), sql`${reports.sentHash} is distinct from ${reports.desiredHash}`)
  const claimed = await context.db
    .update(reports)
    .set({ leaseUntil: leaseFor(600), attempts: sql`${reports.attempts} + 1` })
    .where(inArray(reports.id, claimable(context.db, reports, unsent, 200)))
    .returning()
  for (const [projectId, group] of Map.groupBy(claimed, report => report.projectId))
    await commitFor(context, projectId, group)
  return claimed.length
}

async function commitFor(context: Context, projectId: number, group: readonly Report[]): Promise<void> {
  const log = context.log.child({ step: 'evidence', project: projectId, runs: group.map(report => report.runId) })
  try {
    const project = (await findProject(context.db, projectId))!
    const rule = projectFor(context.config, project.path)
    if (rule === null) throw new Error(`no rule of the configuration matches ${project.path}`)
    const ended = (await Promise.all(group.map(report => loadRun(context.db, report.runId)))).sort((a, b) =>
      a.id < b.id ? -1 : 1,
    )
    const files = await filesFor(context, project, ended)
    const one = ended.length === 1 ? ended[0] : undefined
    const result = await commitEvidence(await context.mirror(project), {
      branch: rule.evidence.branch,
      message:
        one === undefined
          ? `Evidence of ${ended.length} runs`
          : `Evidence: ${one.branch} ${one.state} at ${one.sha.slice(0, 8)}`,
      trailers: { 'Compops-Evidence': ended.map(run => run.id).join(' ') },
      author: { name: 'ComputationalOps', email: 'compops@noreply.invalid' },
      date: new Date(Math.max(...ended.map(run => (run.endedAt ?? run.createdAt).getTime()))),
      build: async () => files,
    })
    await context.db.transaction(async tx => {
      await tx.update(projects).set({ evidenceSha: result.sha }).where(eq(projects.id, projectId))
      for (const report of group) {
        await tx
          .update(reports)
          .set({ sentHash: report.desiredHash, sentAt: sql`now()`, leaseUntil: null, lastError: null, attempts: 0 })
          .where(eq(reports.id, report.id))
      }
    })
    log.info({ sha: result.sha, pushed: result.pushed }, `evidence committed as ${result.sha.slice(0, 8)}`)
    context.audit.record({
      act: 'evidence committed',
      by: 'compops',
      project: project.path,
      runs: ended.map(run => run.id),
      sha: result.sha,
      result: result.pushed ? 'pushed' : 'already there',
    })
  } catch (error) {
    if (isTokenTrouble(error)) await context.renewTokens()
    context.metrics.failures.inc({ verb: 'commit evidence' })
    for (const report of group) await putBack(context.db, reports, report.id, asOutage(error))
    log.warn({ err: describeError(error) }, 'evidence could not be committed')
  }
}

/** The record of each run, the pages of the branches they are of, and the index over all branches of the project. */
async function filesFor(context: Context, project: ProjectRow, ended: readonly Run[]): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const run of ended) if (run.jobs.length > 0) files.set(evidencePath(run), renderEvidence(run))
  const nodes: ReadmeNode[] = []
  const rows = await context.db
    .select()
    .from(branches)
    .where(and(eq(branches.projectId, project.id), sql`${branches.latestRunId} is not null`))
    .orderBy(desc(branches.updatedAt))
  for (const branch of rows) {
    const latest = (await latestEnded(context, branch.id)) ?? null
    const name = shortBranch(branch.ref)
    nodes.push({
      branch: name,
      parent: latest?.parent?.branch ?? null,
      state: latest?.state ?? null,
      stale: false,
      latest:
        latest === null
          ? null
          : {
              id: latest.id,
              branch: name,
              sha: latest.sha,
              createdAt: latest.createdAt,
              endedAt: latest.endedAt,
              words: verdictOf(latest).words,
              coreSeconds: coreSeconds(latest, latest.endedAt ?? latest.createdAt),
            },
    })
    if (latest === null || !ended.some(run => run.branch === name)) continue
    const row = (await context.db.select().from(runs).where(eq(runs.id, latest.id)))[0]!
    const page = branchPage(await pageOf(context, row, latest))
    files.set(branchPath(name, 'yml'), page.yml)
    files.set(branchPath(name, 'md'), page.md)
  }
  files.set(
    'README.md',
    renderReadme({
      projectPath: project.path,
      publicUrl: context.config.publicUrl,
      timeZone: context.config.timeZone,
      dashboard: false,
      nodes,
    }),
  )
  return files
}

/** What stands on the branch's page: its newest run that has ended. */
async function latestEnded(context: Context, branchId: string): Promise<Run | undefined> {
  const newest = await latestRunsOf(context.db, branchId, 5)
  return newest.find(run => run.endedAt !== null)
}
