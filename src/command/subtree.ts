import { and, eq, inArray, isNull } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { type BranchRow, shortBranch } from '../store/runs.ts'
import { branches, jobs, runs } from '../store/schema.ts'
import { loadTree } from '../store/tree.ts'
import { descendantsOf } from '../tree/shape.ts'
import type { Order } from './order.ts'
import type { Place } from './place.ts'

/** The branch that is meant, and with `--subtree` every branch below it in the tree. */
export async function branchesMeant(context: Context, order: Order, place: Place): Promise<BranchRow[]> {
  if (place.branch === null) return []
  if (order.args.options.subtree !== true || place.fork) return [place.branch]
  const below = descendantsOf(shortBranch(place.ref), await loadTree(context.db, order.project.id))
  if (below.length === 0) return [place.branch]
  const found = await context.db
    .select()
    .from(branches)
    .where(
      and(
        eq(branches.projectId, order.project.id),
        inArray(
          branches.ref,
          below.map(node => node.ref),
        ),
      ),
    )
  return [place.branch, ...found.filter(branch => branch.id !== place.branch?.id)]
}

/** Runs of these branches that have not ended. */
export async function openRunsOf(context: Context, list: readonly BranchRow[]): Promise<string[]> {
  if (list.length === 0) return []
  const found = await context.db
    .select({ id: runs.id })
    .from(runs)
    .where(
      and(
        inArray(
          runs.branchId,
          list.map(branch => branch.id),
        ),
        isNull(runs.endedAt),
      ),
    )
  return found.map(run => run.id)
}

export async function jobsOfRuns(context: Context, runIds: readonly string[]): Promise<string[]> {
  if (runIds.length === 0) return []
  const found = await context.db
    .select({ id: jobs.id })
    .from(jobs)
    .where(inArray(jobs.runId, [...runIds]))
  return found.map(job => job.id)
}
