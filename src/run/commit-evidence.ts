import { setImmediate as turn } from 'node:timers/promises'
import { and, eq, inArray, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { commitEvidence, type EvidenceContent, type EvidenceTip } from '../git/evidence.ts'
import { GitError } from '../git/mirror.ts'
import { copyFolder, foldersOf } from '../model/copies.ts'
import { portionsOf } from '../model/portions.ts'
import type { Run } from '../model/run.ts'
import { branchPage } from '../render/branch-page.ts'
import { evidenceParts } from '../render/evidence.ts'
import { branchPath, copiesFolder, evidencePath } from '../render/links.ts'
import { coreSeconds, verdictOf } from '../render/outcome.ts'
import { type ReadmeNode, renderReadme } from '../render/readme.ts'
import { ofCiJob } from '../store/ci-jobs.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { type Db, rows, transact } from '../store/open.ts'
import { findProject, type ProjectRow } from '../store/projects.ts'
import { fromEvidence, upToDate } from '../store/recovery.ts'
import { findRun, loadRun, type RunRow, shortBranch, touchRuns } from '../store/runs.ts'
import { attempts, copies, projects, reports } from '../store/schema.ts'
import { loadTree } from '../store/tree.ts'
import { claim, putBack } from '../store/work.ts'
import { type CopyHead, contentOf, copiesOf, uncommittedBytes } from './copies.ts'
import { asOutage, isTokenTrouble, retryAfterOf } from './outage.ts'
import { pageOf, toTreeNode } from './page.ts'

type Report = typeof reports.$inferSelect

/** Bytes of small outputs in one commit: what a push carries and a scratch directory holds. */
const usualMost = 64 * 1024 ** 2

/** Step 6, the lasting part: many ended runs of a project in one commit on its evidence branch. Returns how many runs were claimed. */
export async function commitEvidenceOfRuns(context: Context, most = usualMost): Promise<number> {
  const condition = and(
    eq(reports.kind, 'evidence'),
    sql`${reports.sentHash} is distinct from ${reports.desiredHash}`,
    upToDate(context.db, reports.projectId),
  )
  const options = { claimant: context.claimant, seconds: 180, limit: 200, condition }
  const claimed = (await claim(context.db, reports, options)).sort((a, b) => (a.runId < b.runId ? -1 : 1))
  const bytes = await uncommittedBytes(
    context.db,
    claimed.map(report => report.runId),
  )
  for (const [projectId, group] of Map.groupBy(claimed, report => report.projectId))
    for (const portion of portionsOf(group, report => bytes.get(report.runId) ?? 0, most))
      await commitFor(context, projectId, portion)
  return claimed.length
}

async function commitFor(context: Context, projectId: number, group: readonly Report[]): Promise<void> {
  const log = context.log.child({ step: 'evidence', project: projectId, runs: group.map(report => report.runId) })
  try {
    const project = (await findProject(context.db, projectId))!
    const rule = projectFor(context.config, project.path)
    if (rule === null) throw new Error(`no rule of the configuration matches ${project.path}`)
    const ended = (await Promise.all(group.map(report => loadRun(context.db, report.runId, 'collected')))).sort(
      (a, b) => (a.id < b.id ? -1 : 1),
    )
    const files = await filesFor(context, project, ended)
    const ids = ended.map(run => run.id)
    const brought = await copiesOf(context.db, ids)
    const learned = await learnedAttempts(context.db, ids)
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
      // Asked before each push: a former owner's pages are older than the branch.
      async build(_, tip) {
        mustHold(context.lease)
        return withCopies(context.db, files, ended, { brought, learned }, tip)
      },
    })
    await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      // Somebody moved the branch since we last did: whether something of ours was lost is for the next comparison of heads to see.
      if (project.evidenceSha === null || project.evidenceSha === result.base)
        await tx.update(projects).set({ evidenceSha: result.sha }).where(eq(projects.id, projectId))
      await touchRuns(tx, withRefusal(group))
      // From now on git has them.
      const held = brought.filter(copy => copy.uncommitted).map(copy => copy.id)
      if (held.length > 0) await tx.update(copies).set({ content: null }).where(inArray(copies.id, held))
      for (const report of group) {
        await tx
          .update(reports)
          .set({
            sentHash: report.desiredHash,
            sentAt: sql`now()`,
            leaseUntil: null,
            lastError: null,
            refused: null,
            attempts: 0,
          })
          .where(eq(reports.id, report.id))
      }
    })
    context.metrics.evidenceCommits.inc({ result: result.pushed ? 'pushed' : 'already there' })
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
    if (error instanceof LeaseLost) throw error
    if (isTokenTrouble(error)) await context.renewTokens()
    context.metrics.failures.inc({ verb: 'commit evidence' })
    context.metrics.evidenceCommits.inc({ result: 'failed' })
    const outage = asOutage(error)
    if (group.length > 1 && !(outage instanceof CompopsError && outage.transient)) {
      // One of them cannot be committed: it must not keep the others back.
      log.warn({ err: describeError(error) }, 'evidence is committed one run at a time')
      for (const report of group) await commitFor(context, projectId, [report])
      return
    }
    if (error instanceof GitError && (error.kind === 'rejected' || error.kind === 'auth'))
      await tellRefusal(context, group, error)
    for (const report of group) await putBack(context.db, reports, report, outage, retryAfterOf(error))
    log.warn({ err: describeError(error) }, 'evidence could not be committed')
  }
}

/** A refusal is for people to mend, so it is shown where they look: the note is written anew when it begins and when it ends. */
async function tellRefusal(context: Context, group: readonly Report[], error: GitError): Promise<void> {
  const refused = describeError(error)
  const fresh = group.filter(report => report.refused === null)
  if (fresh.length === 0) return
  await transact(context.db, async tx => {
    for (const { id } of fresh) await tx.update(reports).set({ refused }).where(eq(reports.id, id))
    await touchRuns(
      tx,
      fresh.map(report => report.runId),
    )
  })
  context.wake.call('compose')
}

const withRefusal = (group: readonly Report[]) =>
  group.filter(report => report.refused !== null).map(report => report.runId)

/** The record of each run, the pages of the branches they are of, and the index over the newest branches of the project. */
async function filesFor(context: Context, project: ProjectRow, ended: readonly Run[]): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const run of ended) {
    let text = ''
    for (const part of evidenceParts(run)) {
      text += part
      await turn()
    }
    files.set(evidencePath(run), text)
  }
  for (const branch of new Set(ended.map(run => run.branch))) {
    const found = await shownRun(context, project.id, branch)
    if (found === null) continue
    const page = branchPage(await pageOf(context, found.row, found.run))
    files.set(branchPath(branch, 'yml'), page.yml)
    files.set(branchPath(branch, 'md'), page.md)
  }
  const nodes = await indexNodes(context, project.id)
  files.set(
    'README.md',
    renderReadme({
      projectPath: project.path,
      publicUrl: context.config.publicUrl,
      timeZone: context.config.timeZone,
      dashboard: context.config.dashboard != null,
      nodes,
    }),
  )
  return files
}

/** Beside the pages the small outputs; those of an earlier attempt that nobody names any more go. */
async function withCopies(
  db: Db,
  pages: ReadonlyMap<string, string>,
  ended: readonly Run[],
  { brought, learned }: { readonly brought: readonly CopyHead[]; readonly learned: ReadonlySet<string> },
  tip: EvidenceTip,
): Promise<Map<string, EvidenceContent | null>> {
  const files = new Map<string, EvidenceContent | null>(pages)
  const committed = brought.filter(copy => !copy.uncommitted).map(copy => copy.blob)
  const lacking = await tip.lacking(committed)
  for (const run of ended) {
    const folder = copiesFolder(run)
    const own = new Set(brought.filter(copy => copy.runId === run.id).map(copy => `${folder}/${copy.name}`))
    const stale = await namesOfEarlierAttempts(run, { learned, own }, folder, tip)
    for (const { id, runId, name, uncommitted, blob } of brought) {
      if (runId !== run.id) continue
      const path = `${folder}/${name}`
      stale.delete(path)
      if (uncommitted) files.set(path, () => contentOf(db, id))
      // Gone only where mirror and branch were both made anew since: nobody has the bytes any more.
      else if (!lacking.has(blob)) files.set(path, { blob })
    }
    for (const path of stale) files.set(path, null)
  }
  return files
}

/**
 * Only of jobs that ran again as a whole: of an array a task's file stays until that task writes it anew. Where the last attempt is known from this very branch
 * only (a restored backup), its files stand here and in no row.
 */
async function namesOfEarlierAttempts(
  run: Run,
  { learned, own }: { readonly learned: ReadonlySet<string>; readonly own: ReadonlySet<string> },
  folder: string,
  tip: EvidenceTip,
): Promise<Set<string>> {
  if (run.jobs.every(job => job.attempts.length < 2)) return new Set()
  const again = run.jobs
    .filter(({ spec, attempts }) => {
      const last = attempts.at(-1)
      return spec.array === undefined && attempts.length > 1 && last !== undefined && !learned.has(last.id)
    })
    .map(job => `${folder}/${copyFolder(job.name)}`)
  const above = new Set([...own].flatMap(foldersOf))
  // Git has no room for a file and a folder of one name.
  const inTheWay = (path: string) => above.has(path) || foldersOf(path).some(one => own.has(one))
  const there = await tip.list(folder)
  return new Set(
    there.filter(
      path => inTheWay(path) || again.some(of => path.startsWith(`${of}/`) || path.startsWith(`${of}+output/`)),
    ),
  )
}

/** Attempts of these runs of which nothing is known but what their record says. */
async function learnedAttempts(db: Db, runIds: readonly string[]): Promise<ReadonlySet<string>> {
  const found = await db
    .select({ id: attempts.id })
    .from(attempts)
    .where(and(inArray(attempts.runId, [...runIds]), eq(attempts.collectProblem, fromEvidence)))
  return new Set(found.map(row => row.id))
}

/** What stands on the branch's page: the run that it shows, or while that is under way the newest that has ended. */
async function shownRun(
  context: Context,
  projectId: number,
  branch: string,
): Promise<{ row: RunRow; run: Run } | null> {
  const found = await rows<{ id: string }>(
    context.db,
    sql`select r.id from runs r join branches b on b.id = r.branch_id
      where b.project_id = ${projectId} and b.ref = ${`refs/heads/${branch}`} and r.ended_at is not null
      order by (r.id = b.latest_run_id) desc, r.created_at desc limit 1`,
  )
  const id = found[0]?.id
  if (id === undefined) return null
  const row = (await findRun(context.db, id))!
  return { row, run: await loadRun(context.db, id, 'collected') }
}

/** Every branch, since the index shows the whole tree; what its last run came to for the hundred newest, since each commit would load them all. */
async function indexNodes(context: Context, projectId: number): Promise<ReadmeNode[]> {
  const tree = await loadTree(context.db, projectId)
  const newest = await rows<{ ref: string; id: string }>(
    context.db,
    sql`select b.ref, r.id from (select * from branches where project_id = ${projectId} and latest_run_id is not null and not ${ofCiJob(sql`ref`)} order by updated_at desc limit 100) b
      join lateral (select r.id from runs r where r.branch_id = b.id and r.ended_at is not null order by (r.id = b.latest_run_id) desc, r.created_at desc limit 1) r on true`,
  )
  const ended = new Map(newest.map(({ ref, id }) => [shortBranch(ref), id]))
  const nodes: ReadmeNode[] = []
  for (const node of tree) {
    const id = ended.get(node.branch)
    const run = id === undefined ? null : await loadRun(context.db, id)
    // What is under way may be over when this is read: the page says how the last run ended.
    const known = node.run?.endedAt == null ? (node.result === null ? null : 'completed') : node.run.state
    nodes.push({ ...toTreeNode(node), state: run?.state ?? known, latest: run === null ? null : latestOf(run) })
  }
  return nodes
}

function latestOf(run: Run): NonNullable<ReadmeNode['latest']> {
  const { id, branch, sha, createdAt, endedAt } = run
  const words = verdictOf(run).words
  return { id, branch, sha, createdAt, endedAt, words, coreSeconds: coreSeconds(run, endedAt ?? createdAt) }
}
