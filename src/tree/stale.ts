import type { StaleMark } from '../model/parent.ts'
import type { BranchNode, ComputedFrom, NodeResult } from './node.ts'

/**
 * Which branches are stale, and by which result: their parent has a newer one than the one they were computed from, or what they were computed from is
 * stale itself. Takes time in proportion to the branches. A branch that is being computed anew from the newer result is not stale any more.
 */
export function staleBranches(nodes: readonly BranchNode[]): ReadonlyMap<string, StaleMark> {
  const byName = new Map(nodes.map(node => [node.branch, node]))
  const known = new Map<string, StaleMark | null>()
  const markOf = (node: BranchNode, what: 'run' | 'result'): StaleMark | null => {
    const key = `${what} ${node.branch}`
    const before = known.get(key)
    if (before !== undefined) return before
    // Whoever comes round to itself is asked in vain.
    known.set(key, null)
    const from = node[what]?.from ?? null
    const parent = from === null ? undefined : byName.get(from.branch)
    if (from === null || parent === undefined) return null
    const newer = parent.result !== null && isNewer(parent.result, from)
    const mark = newer
      ? { branch: parent.branch, sha: parent.result.sha, run: parent.result.id }
      : markOf(parent, from.run === parent.run?.id ? 'run' : 'result')
    // Parents and children that changed places: nobody waits for a result of its own.
    const others = mark?.branch === node.branch ? null : mark
    known.set(key, others)
    return others
  }
  return new Map(
    nodes.flatMap(node => {
      const mark = markOf(node, 'run')
      return mark === null ? [] : [[node.branch, mark] as const]
    }),
  )
}

/** Our ids sort by time. The same run has a newer result when it ended once more: something of it was repeated. */
export function isNewer(result: Pick<NodeResult, 'id' | 'endedAt'>, from: ComputedFrom): boolean {
  if (from.run === null) return false
  if (result.id !== from.run) return result.id > from.run
  return from.endedAt !== null && result.endedAt.getTime() > from.endedAt.getTime()
}
