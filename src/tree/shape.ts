import type { BranchNode } from './node.ts'

/** What stands around a branch: its parent, its children and other children of its parent, each in the order of their names. */
export interface Around {
  readonly node: BranchNode
  readonly parent: BranchNode | null
  readonly children: readonly BranchNode[]
  /** The first few of them. */
  readonly siblings: readonly BranchNode[]
  /** How many there are. */
  readonly siblingCount: number
  /** All branches, where the tree is so small that pages show it whole; null elsewhere. */
  readonly whole: readonly BranchNode[] | null
}

/** How many children a page names. */
export const mostChildren = 20
/** How many siblings. */
export const mostSiblings = 4
/** Up to so many branches a page shows the whole tree. */
export const smallTree = 12

export function around(branch: string, nodes: readonly BranchNode[]): Around | null {
  const node = nodes.find(one => one.branch === branch)
  return node === undefined ? null : aroundNode(node, nodes, childrenByParent(nodes))
}

/** The same, where children are known. `siblingCount`: where not all of them are among the nodes. */
export function aroundNode(
  node: BranchNode,
  nodes: readonly BranchNode[],
  children: ReadonlyMap<string, readonly BranchNode[]>,
  known: {
    readonly siblingCount?: number
    readonly isWhole?: boolean
    readonly byName?: ReadonlyMap<string, BranchNode>
  } = {},
): Around {
  const parentName = node.parent?.branch ?? null
  const find = (name: string) => known.byName?.get(name) ?? nodes.find(one => one.branch === name) ?? null
  const siblings = (parentName === null ? [] : (children.get(parentName) ?? [])).filter(one => one !== node)
  return {
    node,
    parent: parentName === null ? null : find(parentName),
    children: children.get(node.branch) ?? [],
    siblings: siblings.slice(0, mostSiblings),
    siblingCount: known.siblingCount ?? siblings.length,
    whole: (known.isWhole ?? true) && nodes.length <= smallTree ? nodes : null,
  }
}

/** What pages of a branch say of those around it, shortened: equal while nothing of it has changed. null where nobody is around. */
export function aroundInBrief({ node, parent, children, siblings, siblingCount, whole }: Around): string | null {
  if (node.parent === null && children.length === 0 && node.stale === null) return null
  const brief = (one: BranchNode) =>
    `${one.branch} ${one.life} ${one.run === null ? '-' : one.run.endedAt === null ? 'goes on' : one.run.state} ${one.stale?.run ?? ''}`
  return [
    `from ${node.parent === null ? '-' : `${node.parent.branch} (${node.parent.why})`} ${node.stale?.run ?? ''}`,
    parent === null ? '-' : `${brief(parent)} ${parent.result?.id ?? ''} ${parent.result?.endedAt.getTime() ?? ''}`,
    ...children.slice(0, mostChildren).map(brief),
    String(children.length),
    ...(whole ?? siblings).map(one => `${brief(one)} ${one.parent?.branch ?? '-'}`),
    whole === null ? String(siblingCount) : 'whole',
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
