/** A whole tree as text, which is readable at a size at which no picture is. */
import { formatCount } from './amounts.ts'
import { cutMiddle, oneLine } from './markdown.ts'
import { type TreeNode, wordsOf } from './mermaid.ts'
import { inTreeOrder, nameBeside } from './tree-order.ts'

const most = 2_000
const widest = 100

/**
 * A line for each branch:
 *
 *     calc/heat         ● completed
 *     ├─ …/4d           ◐ running
 *     │  └─ …/4d/fine   ✕ failed, stale
 */
export function renderTreeText(nodes: readonly TreeNode[]): string {
  const order = inTreeOrder(nodes)
  const rows = order.slice(0, most).map(({ node, depth, lasts }) => {
    const lines = lasts.slice(1, -1).map(last => (last ? '   ' : '│  '))
    const joint = depth === 0 ? '' : lasts.at(-1) === true ? '└─ ' : '├─ '
    const name = depth === 0 ? node.branch : nameBeside(node.branch, node.parent)
    return { left: `${lines.join('')}${joint}${cutMiddle(oneLine(name, 400), widest)}`, right: wordsOf(node) }
  })
  const width = Math.min(widest, Math.max(0, ...rows.map(row => row.left.length)))
  const rest = order.length - rows.length
  return [
    ...rows.map(({ left, right }) => `${left.padEnd(width)}   ${right}`),
    ...(rest > 0 ? [`… and ${formatCount(rest)} more`] : []),
  ].join('\n')
}
