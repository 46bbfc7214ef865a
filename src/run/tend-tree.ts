import { createHash } from 'node:crypto'
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import type { StaleMark } from '../model/parent.ts'
import { mustHold } from '../store/leases.ts'
import { transact } from '../store/open.ts'
import { touchRuns } from '../store/runs.ts'
import { branches, projects } from '../store/schema.ts'
import { loadTree } from '../store/tree.ts'
import { eachInTurn } from '../store/work.ts'
import type { BranchNode } from '../tree/node.ts'
import { aroundInBrief, aroundNode, childrenByParent } from '../tree/shape.ts'
import { staleBranches } from '../tree/stale.ts'

/**
 * What follows in a project's tree from a result, a new parent, or a branch that came or went: stale marks, and pages of branches whose neighbours have
 * changed. Compares rows with rows, so that it may be killed anywhere and asked for again. Returns how many branches had changed.
 */
export async function tendTrees(context: Context): Promise<number> {
  const due = await context.db
    .select({ id: projects.id, version: projects.treeVersion })
    .from(projects)
    .where(sql`${projects.treeVersion} > ${projects.treeSeen}`)
  let changed = 0
  await eachInTurn(due, async ({ id, version }) => {
    mustHold(context.lease)
    changed += await tendTree(context, id, version)
  })
  if (changed > 0) context.wake.call('compose')
  return changed
}

async function tendTree(context: Context, projectId: number, version: number): Promise<number> {
  const changes = changesIn(await loadTree(context.db, projectId))
  for (let from = 0; from < changes.length; from += 100) {
    const some = changes.slice(from, from + 100)
    await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      for (const [, same] of Map.groupBy(some, one => `${one.around} ${one.stale?.run}`))
        await tx
          .update(branches)
          .set({ stale: same[0]!.stale, around: same[0]!.around })
          .where(
            and(
              eq(branches.projectId, projectId),
              inArray(
                branches.ref,
                same.map(one => one.ref),
              ),
            ),
          )
      await touchRuns(
        tx,
        some.flatMap(one => one.runId ?? []),
      )
    })
  }
  await context.db
    .update(projects)
    .set({ treeSeen: sql`greatest(${projects.treeSeen}, ${version})` })
    .where(eq(projects.id, projectId))
  for (const { branch, stale, was } of changes)
    if (stale?.run !== was?.run)
      context.log.info(
        { step: 'tree', project: projectId, branch },
        stale === null ? 'not stale any more' : `stale: ${stale.branch} has a newer result at ${stale.sha.slice(0, 8)}`,
      )
  return changes.length
}

export interface TreeChange {
  readonly branch: string
  readonly ref: string
  readonly runId: string | null
  readonly stale: StaleMark | null
  readonly was: StaleMark | null
  readonly around: string | null
}

/** Branches of which the rows say something else than follows from the tree. */
export function changesIn(loaded: readonly (BranchNode & { readonly around: string | null })[]): TreeChange[] {
  const marks = staleBranches(loaded)
  const nodes = loaded.map(node => ({ ...node, stale: marks.get(node.branch) ?? null }))
  const byName = new Map(nodes.map(node => [node.branch, node]))
  const children = childrenByParent(nodes)
  return nodes.flatMap((node, i) => {
    const brief = aroundInBrief(aroundNode(node, nodes, children, { byName }))
    const around = brief === null ? null : createHash('sha256').update(brief).digest('base64url').slice(0, 16)
    const was = loaded[i]!.stale
    if (around === node.around && was?.run === node.stale?.run) return []
    return [{ branch: node.branch, ref: node.ref, runId: node.run?.id ?? null, stale: node.stale, was, around }]
  })
}
