import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { isAncestor, listHeads } from '../git/mirror.ts'
import { findBranch } from '../store/branches.ts'
import { wasMerged } from '../store/merge-requests.ts'
import { transact } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { shortBranch, touchRuns } from '../store/runs.ts'
import { branches, runs } from '../store/schema.ts'
import { touchTree } from '../store/tree.ts'
import { cancelAll, cancelQueued } from './supersede.ts'

/** ms between the two complete listings that must lack a branch whose deletion nobody delivered. */
const suspicion = 10 * 60_000

export interface GoneHint {
  readonly projectId: number
  readonly ref: string
  /** GitLab delivered a deletion. Otherwise the branch is only missed: a 404 is also what a revoked token looks like. */
  readonly delivered: boolean
  /** A complete listing of the heads, where the caller has one. */
  readonly heads?: ReadonlyMap<string, string>
}

/**
 * A branch seems to be gone. It is taken for gone only when a complete listing lacks it and either a deletion was delivered or a
 * listing ten minutes ago lacked it too. Then what is queued is cancelled; what runs finishes if the branch was merged, else is cancelled.
 */
export async function branchGone(context: Context, hint: GoneHint): Promise<string> {
  const name = shortBranch(hint.ref)
  const project = await findProject(context.db, hint.projectId)
  const branch = await findBranch(context.db, hint.projectId, hint.ref)
  if (project === null || branch === null) return `${name} was deleted; it was no computation branch`
  if (branch.state === 'gone') return `${name} was deleted before`
  const mirror = await context.mirror(project)
  const heads = hint.heads ?? (await listHeads(mirror))
  if (heads.has(hint.ref)) return `${name} is there again`
  const now = context.clock.now()
  if (!hint.delivered && (branch.missingSince === null || now.getTime() - branch.missingSince.getTime() < suspicion)) {
    if (branch.missingSince === null)
      await context.db.update(branches).set({ missingSince: now }).where(eq(branches.id, branch.id))
    return `${name} is missing; it counts as deleted when it is still missing in ten minutes`
  }

  const trunk = project.defaultBranch === null ? undefined : heads.get(`refs/heads/${project.defaultBranch}`)
  const merged =
    (branch.headSha !== null && (await wasMerged(context.db, project.id, name, branch.headSha))) ||
    (branch.headSha !== null &&
      trunk !== undefined &&
      (await isAncestor(mirror, branch.headSha, trunk).catch(() => false)))
  const touched = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const gone = await tx
      .update(branches)
      .set({
        state: 'gone',
        headSha: null,
        missingSince: null,
        updatedAt: sql`now()`,
        generation: sql`${branches.generation} + 1`,
      })
      .where(and(eq(branches.id, branch.id), eq(branches.generation, branch.generation)))
      .returning({ id: branches.id })
    // It has come back, or was closed, while we asked GitLab: what we know of it is old.
    if (gone.length === 0) throw new CompopsError(`${name} moved at the same moment`, { transient: true })
    await touchTree(tx, project.id)
    const open = await tx
      .select({ id: runs.id })
      .from(runs)
      .where(and(eq(runs.branchId, branch.id), isNull(runs.endedAt)))
    const ids = open.map(row => row.id)
    if (ids.length === 0) return 0
    const reason = `branch ${merged ? 'merged and ' : ''}deleted`
    const cancelled = merged ? await cancelQueued(tx, ids, reason) : await cancelAll(tx, ids, reason)
    await touchRuns(tx, ids)
    return cancelled
  })
  context.wake.call('tree')
  context.wake.call('cancel')
  context.wake.call('compose')
  context.audit.record({
    act: 'branch gone',
    by: 'compops',
    project: project.path,
    ref: hint.ref,
    result: `${touched} jobs to be cancelled`,
  })
  return `${name} was ${merged ? 'merged and ' : ''}deleted; ${touched} ${touched === 1 ? 'job is' : 'jobs are'} cancelled`
}
