/** The tree of computation branches for a terminal. */
import type { BranchAnswer, Tree } from '../model/api.ts'
import { type Cell, columns } from './columns.ts'
import { createPaint, safe } from './paint.ts'
import { ago, jobsOf, stateCell, type TableStyle } from './run-table.ts'

interface Node {
  readonly name: string
  /** null: a parent that computes nothing itself. */
  readonly branch: BranchAnswer | null
  readonly children: Node[]
}

/** Each branch below its parent, with state, jobs, commit and age; `from`: only this one and what is below it. */
export function renderTree(
  tree: Tree,
  style: TableStyle & { readonly from?: string | undefined; readonly here?: string | null },
): string {
  const paint = createPaint(style.colour ?? false)
  const roots = rootsOf(tree.branches)
  const shown = style.from === undefined ? roots : below(roots, style.from)
  if (shown.length === 0) return ''
  const rows = shown.flatMap(root => rowsOf(root, '', '', style))
  const lines = columns(rows, paint, style.width)
  if (!tree.whole) lines.push(`  ${paint('dim', 'and more branches than a tree shows')}`)
  return `\n${lines.join('\n')}\n\n`
}

function rootsOf(branches: readonly BranchAnswer[]): Node[] {
  const nodes = new Map<string, Node>(
    branches.map(branch => [branch.name, { name: branch.name, branch, children: [] }]),
  )
  const roots: Node[] = []
  for (const node of [...nodes.values()]) {
    const parent = node.branch?.parent?.branch
    if (parent === undefined || parent === node.name || leadsTo(parent, node.name, nodes)) roots.push(node)
    else {
      let above = nodes.get(parent)
      if (above === undefined) {
        above = { name: parent, branch: null, children: [] }
        nodes.set(parent, above)
        roots.push(above)
      }
      above.children.push(node)
    }
  }
  const byName = (a: Node, b: Node) => (a.name < b.name ? -1 : 1)
  for (const node of nodes.values()) node.children.sort(byName)
  return roots.sort(byName)
}

/** Whether going up from `from` comes to `to`: two that name each other as parent are both roots. */
function leadsTo(from: string, to: string, nodes: ReadonlyMap<string, Node>): boolean {
  const seen = new Set<string>()
  for (
    let name: string | undefined = from;
    name !== undefined && !seen.has(name);
    name = nodes.get(name)?.branch?.parent?.branch
  ) {
    if (name === to) return true
    seen.add(name)
  }
  return false
}

function below(nodes: readonly Node[], name: string): Node[] {
  for (const node of nodes) {
    if (node.name === name) return [node]
    const found = below(node.children, name)
    if (found.length > 0) return found
  }
  return []
}

function rowsOf(
  node: Node,
  before: string,
  after: string,
  style: TableStyle & { readonly here?: string | null },
): Cell[][] {
  const run = node.branch?.run ?? null
  const name = `${before}${safe(node.name, 100)}`
  const row: Cell[] = [
    node.name === style.here ? ['bold', `${name} *`] : node.branch === null ? ['dim', name] : name,
    run === null ? '' : stateCell(run.state),
    run === null ? '' : jobsOf(run),
    run === null ? '' : run.sha.slice(0, 8),
    run === null ? '' : ago(run.created_at, style.now),
    remarkOf(node),
  ]
  const last = node.children.length - 1
  return [
    row,
    ...node.children.flatMap((child, i) =>
      rowsOf(child, `${after}${i === last ? '└─ ' : '├─ '}`, `${after}${i === last ? '   ' : '│  '}`, style),
    ),
  ]
}

function remarkOf({ branch }: Node): Cell {
  if (branch?.run?.problem != null) return ['bad', safe(branch.run.problem, 100)]
  if (branch?.stale == null) return ''
  return ['warn', `stale: ${safe(branch.stale.branch, 100)} has a newer result, ${branch.stale.sha.slice(0, 8)}`]
}
