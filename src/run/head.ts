import { and, eq, gt, isNull } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { ensureCommit, readCommit, readHead } from '../git/mirror.ts'
import { newId } from '../model/id.ts'
import type { Person } from '../model/run.ts'
import { findBranch, moveHead } from '../store/branches.ts'
import { type Db, transact } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { type BranchRow, findRunElsewhere, findRunOf, shortBranch } from '../store/runs.ts'
import { branches } from '../store/schema.ts'
import { branchGone } from './branch-gone.ts'
import { branchRefused } from './branch-refused.ts'
import { commitOfRun, readSpecFile } from './computation.ts'
import { askForMergeRequests } from './merge-request.ts'
import { refuseWhileRecovering } from './recovering.ts'
import { resumeRun } from './resume.ts'
import { rememberSchedule } from './schedule.ts'
import { computedElsewhere, startRun } from './start.ts'

export interface HeadHint {
  readonly projectId: number
  /** Full, `refs/heads/x`. */
  readonly ref: string
  readonly by: Person | null
  /** For people: `push by alice`, `found by comparing heads`. */
  readonly how: string
  /** A delivered push runs even where comparison had already made the commit the baseline. */
  readonly delivered: boolean
  /** Left out: a push. */
  readonly event?: 'merge request'
  readonly deliveryId: string | null
}

/**
 * Somebody says that a branch may have moved. Reads its head from GitLab and starts a run if the commit is new there.
 * Returns what came of it, in words: every "no" has its reason.
 */
export async function headMoved(context: Context, hint: HeadHint): Promise<string> {
  const project = await findProject(context.db, hint.projectId)
  if (project === null) return `project ${hint.projectId} is not known`
  const rule = projectFor(context.config, project.path)
  if (rule === null) return `no rule of the configuration matches ${project.path}`
  const no = branchRefused(rule, project, hint.ref)
  if (no !== null) return no
  await refuseWhileRecovering(context, project, rule)

  const mirror = await context.mirror(project)
  // Remembered before it is read: a deletion or another move in between changes the generation, and nothing is started on what was.
  const branch = await rememberBranch(context, project.id, hint.ref)
  const sha = await readHead(mirror, hint.ref)
  if (sha === null) return branchGone(context, { projectId: project.id, ref: hint.ref, delivered: false })
  if (!(await ensureCommit(mirror, sha))) return `commit ${sha.slice(0, 8)} is not there any more`

  const known = await findRunOf(context.db, project.id, hint.ref, sha)
  if (branch.headSha === sha && branch.state === 'active') {
    if (known !== null && branch.latestRunId === known.id)
      return `${short(hint.ref)} is already at ${sha.slice(0, 8)} (run ${known.id})`
    if (known === null && !hint.delivered) return `${short(hint.ref)} is already at ${sha.slice(0, 8)}`
  }
  // From here on the head moves in the transaction that writes what follows from it: a crash in between leaves the move to be seen again.
  if (known !== null) {
    const resumed = await resumeRun(context, { branch, run: known })
    if (resumed !== 'directory removed') return andThen(context, branch, resumed)
  }
  const nothing = async (reason: string, besides?: (tx: Db) => Promise<void>): Promise<string> => {
    await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      await moveHead(tx, branch, sha)
      await besides?.(tx)
    })
    return reason
  }

  const commit = await readCommit(mirror, sha)
  if (commit.trailers['Compops-Evidence'] !== undefined) return nothing('our own evidence commit')
  if (/\[(skip compops|compops skip)\]/i.test(commit.message))
    return nothing(`the message of ${sha.slice(0, 8)} says [skip compops]`)
  const elsewhere = await findRunElsewhere(context.db, project.id, hint.ref, sha)
  if (elsewhere !== null) return nothing(computedElsewhere(elsewhere))

  const file = await readSpecFile(mirror, sha)
  if (file === 'absent')
    return nothing(`no .compops.yml at ${sha.slice(0, 8)}: not a computation branch`, tx =>
      rememberSchedule(tx, branch, null, context.clock.now()),
    )
  // Before anything of it may begin: a draft is known by its merge request alone.
  if (rule.drafts === 'hold')
    await askForMergeRequests(context, { projectId: project.id, projectPath: project.path, branch: short(hint.ref) })
  const started = await startRun(context, {
    project,
    rule,
    branch,
    sha,
    cause: `head:${branch.generation + 1}`,
    by: hint.by,
    how: hint.how,
    deliveryId: hint.deliveryId,
    ...(hint.event === undefined ? {} : { event: hint.event }),
    commit: commitOfRun(commit),
    file,
    mirror,
  })
  return andThen(context, branch, started)
}

/** The branch has left its old commit, whose run may have been superseded: branches made from that commit may have something to compute now. */
async function andThen(context: Context, before: BranchRow, result: string): Promise<string> {
  if (before.headSha !== null) await lookAgain(context, before.projectId, before.headSha)
  return result
}

/**
 * Living branches at a commit that had nothing to compute, as long as another branch computed it, are looked at again: that branch was deleted
 * (perhaps renamed) or has moved on.
 */
export async function lookAgain(context: Context, projectId: number, sha: string): Promise<void> {
  const same = await context.db
    .select({ ref: branches.ref })
    .from(branches)
    .where(
      and(
        eq(branches.projectId, projectId),
        eq(branches.headSha, sha),
        eq(branches.state, 'active'),
        isNull(branches.latestRunId),
        gt(branches.generation, 0),
      ),
    )
  for (const { ref } of same) {
    const how = 'the branch that computed this commit has gone on'
    const result = await headMoved(context, { projectId, ref, by: null, how, delivered: true, deliveryId: null })
    context.log.info({ step: 'heads', project: projectId, ref, sha, result }, result)
  }
}

export async function rememberBranch(context: Context, projectId: number, ref: string): Promise<BranchRow> {
  await context.db.insert(branches).values({ id: newId(), projectId, ref }).onConflictDoNothing()
  return (await findBranch(context.db, projectId, ref))!
}

const short = shortBranch
