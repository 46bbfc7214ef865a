import type { BranchNode } from './node.ts'

/** What stands around a branch: its parent, and its children in the order of their names. */
export interface Around {
  readonly node: BranchNode
  readonly parent: BranchNode | null
  readonly children: readonly BranchNode[]
}

export function around(branch: string, nodes: readonly BranchNode[]): Around | null {
  const node = nodes.find(one => one.branch === branch)
  if (node === undefined) return null
  const parent = node.parent === null ? null : (nodes.find(one => one.branch === node.parent?.branch) ?? null)
  return { node, parent, children: nodes.filter(one => one.parent?.branch === branch).sort(byName) }
}

/** How many children a page names. */
export const mostChildren = 20

/** What pages of a branch say of those around it, shortened: equal while nothing of it has changed. null where nobody is around. */
export function aroundInBrief({ node, parent, children }: Around): string | null {
  if (node.parent === null && children.length === 0 && node.stale === null) return null
  const brief = (one: BranchNode) =>
    `${one.branch} ${one.life} ${one.run === null ? '-' : one.run.endedAt === null ? 'goes on' : one.run.state} ${one.stale?.run ?? ''}`
  return [
    `from ${node.parent === null ? '-' : `${node.parent.branch} (${node.parent.why})`} ${node.stale?.run ?? ''}`,
    parent === null ? '-' : `${brief(parent)} ${parent.result?.id ?? ''} ${parent.result?.endedAt.getTime() ?? ''}`,
    ...children.slice(0, mostChildren).map(brief),
    String(children.length),
  ].join('\n')
}

export function childrenByParent(nodes: readonly BranchNode[]): ReadonlyMap<string, readonly BranchNode[]> {
  const children = new Map<string, BranchNode[]>()
  for (const node of nodes) {
    if (node.parent === null) continue
    const list = children.get(node.parent.branch)
    if (list === undefined) children.set(node.parent.branch, [node])
    else list.push(node)
  }
  for (const list of children.values()) list.sort(byName)
  return children
}

/** The tree from above: roots by name, below each its children, with how deep each stands. Every branch stands there once, whatever the rows say. */
export function inTreeOrder(nodes: readonly BranchNode[]): { readonly node: BranchNode; readonly depth: number }[] {
  const names = new Set(nodes.map(node => node.branch))
  const children = childrenByParent(nodes)
  const order: { node: BranchNode; depth: number }[] = []
  const placed = new Set<string>()
  const place = (from: readonly BranchNode[]) => {
    const waiting = from.map(node => ({ node, depth: 0 })).reverse()
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (placed.has(next.node.branch)) continue
      placed.add(next.node.branch)
      order.push(next)
      for (const child of (children.get(next.node.branch) ?? []).toReversed())
        waiting.push({ node: child, depth: next.depth + 1 })
    }
  }
  const sorted = nodes.toSorted(byName)
  place(sorted.filter(node => node.parent === null || !names.has(node.parent.branch)))
  place(sorted)
  return order
}

/** All that hangs below a branch, nearest first. */
export function descendantsOf(branch: string, nodes: readonly BranchNode[]): BranchNode[] {
  const children = childrenByParent(nodes)
  const found = new Map<string, BranchNode>()
  const waiting = [...(children.get(branch) ?? [])]
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    if (next.branch === branch || found.has(next.branch)) continue
    found.set(next.branch, next)
    waiting.push(...(children.get(next.branch) ?? []))
  }
  return [...found.values()]
}

function byName(a: BranchNode, b: BranchNode): number {
  return a.branch < b.branch ? -1 : a.branch > b.branch ? 1 : 0
}
