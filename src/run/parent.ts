import { and, eq, inArray, isNotNull, ne, not, sql } from 'drizzle-orm'
import type { ProjectConfig } from '../config/index.ts'
import type { Context } from '../context.ts'
import { type CommitOfLine, lineOf, meetingOf } from '../git/line.ts'
import { ensureCommit, isAncestor, type Mirror, readFile, readHead } from '../git/mirror.ts'
import { newId } from '../model/id.ts'
import type { ComputationSpec, JobSpec } from '../model/job-spec.ts'
import type { ParentChoice, ParentOfRun } from '../model/parent.ts'
import { findBranch } from '../store/branches.ts'
import { ofCiJob } from '../store/ci-jobs.ts'
import { openMergeRequests } from '../store/merge-requests.ts'
import { type Db, first } from '../store/open.ts'
import type { ProjectRow } from '../store/projects.ts'
import { type BranchRow, shortBranch } from '../store/runs.ts'
import { branches, runs } from '../store/schema.ts'
import { lockParents, saveParent } from '../store/tree.ts'
import { type Fork, type ParentFacts, resolveParent } from '../tree/parent.ts'
import { branchRefused } from './branch-refused.ts'

export interface Child {
  readonly project: ProjectRow
  readonly rule: ProjectConfig
  /** As it was before its head moved. */
  readonly branch: BranchRow
  readonly sha: string
  readonly mirror: Mirror
}

/**
 * What decides whose child a branch is, from rows and the mirror. Only for a parent that its file names and of which nobody here has heard is GitLab's git
 * asked, once; GitLab's API is not.
 */
export async function parentFacts(context: Context, child: Child, named: string | null): Promise<ParentFacts> {
  const branch = shortBranch(child.branch.ref)
  const open = await openMergeRequests(context.db, child.project.id, branch)
  const targets: { iid: number; branch: string }[] = []
  if (named === null)
    for (const { iid, targetBranch } of open)
      if (targetBranch !== branch && (await isComputation(context, child, targetBranch)))
        targets.push({ iid, branch: targetBranch })
  return {
    branch,
    named,
    namedIsNot: named === null || named === branch ? null : await whyNotNamed(context, child, named),
    targets,
    openMergeRequests: open.length,
    // Each is cheap to find, but most branches have a nearer answer.
    forks: named === null && targets.length === 0 ? await forksOf(context, child) : [],
  }
}

/** Behind the name in a sentence: `is no branch of this project`; null where it is a computation branch. */
export async function whyNotNamed(context: Context, child: Child, named: string): Promise<string | null> {
  const ref = `refs/heads/${named}`
  const refused = branchRefused(child.rule, child.project, ref)
  if (refused !== null) return `is no computation branch: ${refused}`
  const known = await findBranch(context.db, child.project.id, ref)
  if (known !== null && (await hasRun(context.db, known))) {
    if (known.state === 'active' || (await hasResult(context.db, known))) return null
    return 'was deleted, and has no result'
  }
  // Perhaps pushed together with this one, and still to be read.
  const head = await readHead(child.mirror, ref)
  if (head === null || !(await ensureCommit(child.mirror, head))) return 'is no branch of this project'
  if (!(await hasFile(child.mirror, head))) return 'is no computation branch: it has no .compops.yml'
  // So that it is known to be on its way.
  await context.db.insert(branches).values({ id: newId(), projectId: child.project.id, ref }).onConflictDoNothing()
  return null
}

async function isComputation(context: Context, { project, rule, mirror }: Child, branch: string): Promise<boolean> {
  const ref = `refs/heads/${branch}`
  if (branchRefused(rule, project, ref) !== null) return false
  const known = await findBranch(context.db, project.id, ref)
  if (known === null || known.state === 'gone') return false
  if (await hasRun(context.db, known)) return true
  return known.headSha !== null && (await ensureCommit(mirror, known.headSha)) && hasFile(mirror, known.headSha)
}

async function hasFile(mirror: Mirror, sha: string): Promise<boolean> {
  return (await readFile(mirror, sha, '.compops.yml', { maxBytes: 0 })) !== 'absent'
}

async function hasRun(db: Db, branch: BranchRow): Promise<boolean> {
  if (branch.latestRunId !== null) return true
  return (await db.select({ id: runs.id }).from(runs).where(eq(runs.branchId, branch.id)).limit(1)).length > 0
}

async function hasResult(db: Db, branch: BranchRow): Promise<boolean> {
  const completed = and(eq(runs.branchId, branch.id), eq(runs.state, 'completed'), isNotNull(runs.endedAt))
  return (await db.select({ id: runs.id }).from(runs).where(completed).limit(1)).length > 0
}

/**
 * Where the branch was forked: the nearest commit of its own line at which another computation branch was. What was found once holds as long as the
 * branch only grows: later it may be merged into others, or its parent into the trunk, and that is no other birth.
 */
async function forksOf(context: Context, child: Child): Promise<Fork[]> {
  const { project, rule, branch, sha, mirror } = child
  const grew = branch.headSha !== null && (await isAncestor(mirror, branch.headSha, sha).catch(() => false))
  if (grew && branch.parentWhy !== null && (branch.parentBy === 'fork' || branch.parentBy === null))
    return branch.parentBranch === null
      ? []
      : [{ branch: branch.parentBranch, sha, why: branch.parentWhy ?? 'forked from it' }]
  const { defaultBranch } = project
  // Where all computations begin on the trunk it is nobody's fork; unless it is a computation itself.
  const trunk =
    defaultBranch !== null && branchRefused(rule, project, `refs/heads/${defaultBranch}`) !== null
      ? defaultBranch
      : null
  const line = await lineOf(mirror, sha, trunk)
  if (line.length === 0) return []
  const forks = await branchesAt(context.db, child, line)
  return forks.length > 0 ? forks : meeting(context, child, line)
}

/** Branches that were at a commit of the line, nearest first. */
async function branchesAt(db: Db, { project, branch }: Child, line: readonly CommitOfLine[]): Promise<Fork[]> {
  const place = new Map(line.map((commit, at) => [commit.sha, at]))
  const others = { ref: branches.ref, state: branches.state, parent: branches.parentBranch }
  const found: { ref: string; state: string; parent: string | null; sha: string; since: string }[] = []
  for (let from = 0; from < line.length; from += 500) {
    const shas = line.slice(from, from + 500).map(commit => commit.sha)
    const mine = and(eq(branches.projectId, project.id), ne(branches.id, branch.id), not(ofCiJob(branches.ref)))
    found.push(
      ...(await db
        .select({ ...others, sha: runs.sha, since: sql<string>`${runs.id}::text` })
        .from(runs)
        .innerJoin(branches, eq(branches.id, runs.branchId))
        .where(and(mine, inArray(runs.sha, shas)))),
    )
    if (found.length > 0) break
  }
  const nearest = found.sort(
    (a, b) =>
      place.get(a.sha)! - place.get(b.sha)! ||
      Number(a.state === 'gone') - Number(b.state === 'gone') ||
      (a.since < b.since ? -1 : 1),
  )
  return nearest.flatMap(({ ref, state, sha, parent }) => {
    const name = shortBranch(ref)
    // The same commit under another name, and the first name gone: it was renamed, and hangs where it hung.
    if (state === 'gone' && place.get(sha) === 0)
      return parent === null
        ? []
        : [{ branch: parent, sha, why: `the parent of ${name}, as which it was known before` }]
    return [{ branch: name, sha }]
  })
}

/**
 * The commit at which its history meets that of another branch, where nobody was at the fork itself (it was pushed together with later ones). Two branches
 * that were made side by side from a commit of their own meet too: the one that was there when our first commit was made is the older.
 */
async function meeting(context: Context, child: Child, line: readonly CommitOfLine[]): Promise<Fork[]> {
  const { project, branch, mirror } = child
  const first = sql<string>`(select min(f.created_at) from runs f where f.branch_id = ${branches.id})`
  const others = await context.db
    .select({ ref: branches.ref, head: branches.headSha, since: first })
    .from(branches)
    .where(
      and(
        eq(branches.projectId, project.id),
        ne(branches.id, branch.id),
        not(ofCiJob(branches.ref)),
        eq(branches.state, 'active'),
        isNotNull(branches.headSha),
        isNotNull(branches.latestRunId),
      ),
    )
  const met = await meetingOf(mirror, line, [...new Set(others.map(other => other.head!))])
  const own = met === null || met.at === 0 ? undefined : line[met.at - 1]
  if (met === null || own === undefined) return []
  return others
    .filter(other => met.heads.includes(other.head!) && new Date(other.since) < own.committedAt)
    .sort((a, b) => new Date(a.since).getTime() - new Date(b.since).getTime() || (a.ref < b.ref ? -1 : 1))
    .map(other => ({ branch: shortBranch(other.ref), sha: line[met.at]!.sha }))
}

export type Settled =
  | { readonly parent: ParentChoice | null; readonly changed: boolean }
  | { readonly refused: { readonly message: string; readonly remedy: string } }

/** Decides on what is known at this moment, and writes the branch's place. A parent that is refused changes nothing. */
export async function settleParent(
  tx: Db,
  { projectId, ref }: Pick<BranchRow, 'projectId' | 'ref'>,
  facts: ParentFacts,
): Promise<Settled> {
  const known = await lockParents(tx, projectId)
  const answer = resolveParent(facts, known)
  if (answer.kind === 'refused') return { refused: answer }
  const parent = answer.kind === 'parent' ? answer.parent : null
  const why = answer.kind === 'parent' ? answer.parent.why : answer.why
  if (answer.kind === 'parent' && answer.detach !== null)
    await saveParent(
      tx,
      { projectId, ref: `refs/heads/${answer.detach}` },
      null,
      `${shortBranch(ref)} names ${answer.parent.branch} as its parent, and this one names none`,
    )
  const now = (await findBranch(tx, projectId, ref))!
  const changed = now.parentBranch !== (parent?.branch ?? null) || now.parentBy !== (parent?.by ?? null)
  if (changed || now.parentWhy !== why) await saveParent(tx, { projectId, ref }, parent, why)
  return { parent, changed }
}

/** The branch is back at a commit: what the file there says of its parent holds again. A guess that holds now is as good as one from then. */
export async function restorePlace(tx: Db, branch: BranchRow, then: ParentOfRun | null): Promise<void> {
  if (then?.by !== 'file' && branch.parentBy !== 'file') return
  const named = then?.by === 'file' ? then.branch : null
  const forks = named === null && then !== null ? [{ branch: then.branch, sha: '', why: then.why }] : []
  await settleParent(tx, branch, {
    branch: shortBranch(branch.ref),
    named,
    namedIsNot: null,
    targets: [],
    openMergeRequests: 0,
    forks,
  })
}

export interface Basis {
  readonly parent: ParentOfRun | null
  readonly parentRunId: string | null
  readonly parentEndedAt: Date | null
  readonly parentGate: 'waits' | null
}

/** How a computation uses its parent; null where it merely hangs there: it neither waits for it nor is skipped with it. */
export interface ParentUse {
  readonly rerun: boolean
}

/** It names it, takes files from it, or wants to be computed again from a new result. */
export function useOfParent(parent: ParentChoice | null, spec: ComputationSpec | null): ParentUse | null {
  if (parent === null || spec === null) return null
  const rerun = spec.onStale === 'rerun'
  return parent.by === 'file' || rerun || spec.jobs.some(takesFiles) ? { rerun } : null
}

const takesFiles = (job: JobSpec) => (job.inputs ?? []).length > 0

/** What a run that starts now counts as computed from: what its parent computes at this moment, else the newest that it has computed. */
export async function basisNow(
  db: Db,
  projectId: number,
  parent: ParentChoice | null,
  use: ParentUse | null,
): Promise<Basis> {
  if (parent === null) return { parent: null, parentRunId: null, parentEndedAt: null, parentGate: null }
  // What it computes from is fixed when the parent has it.
  if (use !== null) {
    const rerun = use.rerun ? { rerun: true as const } : {}
    return { parent: { ...parent, ...rerun }, parentRunId: null, parentEndedAt: null, parentGate: 'waits' }
  }
  const found = await first<{ id: string; sha: string; ended_at: Date | string | null }>(
    db,
    sql`select r.id, r.sha, r.ended_at from branches b join runs r on r.branch_id = b.id
      where b.project_id = ${projectId} and b.ref = ${`refs/heads/${parent.branch}`}
        and ((r.id = b.latest_run_id and r.ended_at is null) or (r.state = 'completed' and r.ended_at is not null))
      order by (r.ended_at is null) desc, (r.id = b.latest_run_id) desc, r.created_at desc, r.id desc limit 1`,
  )
  return {
    parent: { ...parent, ...(found === undefined ? {} : { sha: found.sha }) },
    parentRunId: found?.id ?? null,
    parentEndedAt: found?.ended_at == null ? null : new Date(found.ended_at),
    parentGate: null,
  }
}
