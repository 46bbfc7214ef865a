/** The order in which people read a tree, and names as the tree shows them. */

interface Placed {
  readonly branch: string
  readonly parent: string | null
}

export interface InOrder<Node extends Placed> {
  readonly node: Node
  /** 0 for a root. */
  readonly depth: number
  /** Whether each ancestor, from the root down, and itself at last, has no later sibling: what the lines of a drawn tree need. */
  readonly lasts: readonly boolean[]
}

/** Parents before their children, siblings as they were given. Each node once, whatever their rows say: what hangs in a circle stands at its end. */
export function inTreeOrder<Node extends Placed>(nodes: readonly Node[]): InOrder<Node>[] {
  const names = new Set(nodes.map(node => node.branch))
  const children = childrenOf(nodes)
  const placed = new Set<string>()
  const order: InOrder<Node>[] = []
  const place = (from: readonly Node[]) => {
    const level = (siblings: readonly Node[], lasts: readonly boolean[]): InOrder<Node>[] =>
      siblings.map((node, i) => ({ node, depth: lasts.length, lasts: [...lasts, i === siblings.length - 1] }))
    const waiting = level(from, []).reverse()
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (placed.has(next.node.branch)) continue
      placed.add(next.node.branch)
      order.push(next)
      const below = (children.get(next.node.branch) ?? []).filter(node => !placed.has(node.branch))
      waiting.push(...level(below, next.lasts).reverse())
    }
  }
  place(nodes.filter(node => isRoot(node, names)))
  place(nodes.filter(node => !placed.has(node.branch)))
  return order
}

/** At most so many of a tree, from the top: never a child without its parent. */
export function topOf<Node extends Placed>(nodes: readonly Node[], max: number): ReadonlySet<string> {
  const names = new Set(nodes.map(node => node.branch))
  const children = childrenOf(nodes)
  const chosen = new Set<string>()
  let level: readonly Node[] = nodes.filter(node => isRoot(node, names))
  while (level.length > 0 && chosen.size < max) {
    const next: Node[] = []
    for (const node of level) {
      if (chosen.size >= max) break
      if (chosen.has(node.branch)) continue
      chosen.add(node.branch)
      next.push(...(children.get(node.branch) ?? []))
    }
    level = next
  }
  return chosen
}

function isRoot(node: Placed, names: ReadonlySet<string>): boolean {
  return node.parent === null || node.parent === node.branch || !names.has(node.parent)
}

function childrenOf<Node extends Placed>(nodes: readonly Node[]): ReadonlyMap<string | null, readonly Node[]> {
  return Map.groupBy(nodes, node => node.parent)
}

/**
 * What a name has in common with that of its parent, beside which it stands, is said once: `calc/heat/fine` is `…/fine` beside `calc/heat/base`. Git has no
 * room for a branch below another, but for one whose parent was deleted: beside `calc/heat` it is the same.
 */
export function nameBeside(branch: string, parent: string | null): string {
  if (parent === null || parent === branch) return branch
  const folders = branch.split('/')
  const others = parent.split('/')
  let same = 0
  while (same < folders.length - 1 && folders[same] === others[same]) same++
  return same === 0 ? branch : `…/${folders.slice(same).join('/')}`
}
