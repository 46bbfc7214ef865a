/** README.md of the evidence branch: the whole tree, and the index of its branches, newest first. */
import { jobStates } from '../model/job-state.ts'
import type { Run } from '../model/run.ts'
import { countOf, formatCoreHours, formatDuration, formatTime, secondsBetween } from './amounts.ts'
import { branchPath, evidencePath, pathUrl } from './links.ts'
import { code, fence, inline, link, prose, together } from './markdown.ts'
import { renderTree, type TreeNode, wordsOf } from './mermaid.ts'
import { template } from './template.ts'
import { inTreeOrder, nameBeside } from './tree-order.ts'
import { renderTreeText } from './tree-text.ts'

export interface ReadmeView {
  readonly projectPath: string
  readonly publicUrl: string
  readonly timeZone: string
  readonly nodes: readonly ReadmeNode[]
  /** Whether there are pages of ours to point at. Default true. */
  readonly dashboard?: boolean
}

export interface ReadmeNode extends TreeNode {
  /** null: none has ended, or it is not among those that stand in the table. */
  readonly latest: LatestRun | null
}

export interface LatestRun extends Pick<Run, 'id' | 'branch' | 'sha' | 'createdAt' | 'endedAt'> {
  /** In words, e.g. `sweep failed: out of memory`. */
  readonly words: string
  readonly coreSeconds: number
}

const readme = template<object>('readme')
const maxRows = 100
/** From here on the picture is hard to read, and the text below it is not. */
const textFrom = 12

/** Says nothing about "now": the same facts give the same file. */
export function renderReadme(view: ReadmeView): string {
  const newest = view.nodes.toSorted(newestFirst)
  const rest = newest.length - maxRows
  const diagram = renderTree(newest)
  // As long as all stand in the table it shows the tree; more are an index, newest first.
  const rows =
    rest > 0
      ? newest.slice(0, maxRows).map(node => row(node, view, 0))
      : inTreeOrder(newest).map(({ node, depth }) => row(node, view, depth))
  return readme({
    title: inline(view.projectPath, 300),
    tree: diagram === null ? null : `\`\`\`mermaid\n${diagram}\n\`\`\``,
    text:
      newest.length < textFrom
        ? null
        : {
            summary: `the whole tree as text (${countOf(newest.length, 'branch').replace(/branchs$/, 'branches')})`,
            fence: fence(renderTreeText(newest), 'text'),
          },
    rows,
    rest: rest > 0 ? link(`and ${countOf(rest, 'more branch').replace(/branchs$/, 'branches')}`, view.publicUrl) : null,
    dashboard: view.dashboard === false ? null : link('dashboard', view.publicUrl),
  })
}

function newestFirst(a: ReadmeNode, b: ReadmeNode): number {
  const order = (b.latest?.createdAt.getTime() ?? 0) - (a.latest?.createdAt.getTime() ?? 0)
  return order !== 0 ? order : a.branch < b.branch ? -1 : 1
}

function row(node: ReadmeNode, { timeZone }: ReadmeView, depth: number) {
  const { latest } = node
  const name = code(depth === 0 ? node.branch : nameBeside(node.branch, node.parent), 'table', 120)
  const indent = depth === 0 ? '' : `${'&emsp;'.repeat(depth - 1)}└ `
  // A branch without an ended run has no page yet.
  const branch = `${indent}${latest === null ? name : link(name, pathUrl(branchPath(node.branch, 'md')))}`
  if (latest === null || node.state === null)
    return { branch, state: wordsOf(node), started: '–', took: '–', cost: '–', run: '' }
  const took = secondsBetween(latest.createdAt, latest.endedAt)
  const { symbol, label } = jobStates[node.state]
  const words = prose(latest.words === '' ? label : latest.words, 'table', 120)
  const marks = [...(node.stale ? ['stale'] : []), ...(node.life === undefined ? [] : [node.life])]
  return {
    branch,
    state: [`${symbol} ${words}`, ...marks].join(', '),
    started: together(formatTime(latest.createdAt, timeZone)),
    took: took === null ? '–' : together(formatDuration(took)),
    // A hyphen at which no line breaks.
    cost: latest.coreSeconds > 0 ? together(formatCoreHours(latest.coreSeconds).replace('-', '\u2011')) : '–',
    run: link(code(latest.sha.slice(0, 8), 'table'), pathUrl(evidencePath(latest))),
  }
}
