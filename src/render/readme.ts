/** README.md of the evidence branch: the whole tree, and the index of its branches, newest first. */
import { jobStates } from '../model/job-state.ts'
import type { Run } from '../model/run.ts'
import { countOf, formatCoreHours, formatDuration, formatTime, secondsBetween } from './amounts.ts'
import { branchPath, evidencePath, pathUrl } from './links.ts'
import { code, inline, link, prose, together } from './markdown.ts'
import { renderTree, type TreeNode } from './mermaid.ts'
import { template } from './template.ts'

export interface ReadmeView {
  readonly projectPath: string
  readonly publicUrl: string
  readonly timeZone: string
  readonly nodes: readonly ReadmeNode[]
  /** Whether there are pages of ours to point at. Default true. */
  readonly dashboard?: boolean
}

export interface ReadmeNode extends TreeNode {
  readonly latest: LatestRun | null
}

export interface LatestRun extends Pick<Run, 'id' | 'branch' | 'sha' | 'createdAt' | 'endedAt'> {
  /** In words, e.g. `sweep failed: out of memory`. */
  readonly words: string
  readonly coreSeconds: number
}

const readme = template<object>('readme')
const maxRows = 100

/** Says nothing about "now": the same facts give the same file. */
export function renderReadme(view: ReadmeView): string {
  const nodes = view.nodes.toSorted(newestFirst)
  const rest = nodes.length - maxRows
  const diagram = renderTree(nodes)
  return readme({
    title: inline(view.projectPath, 300),
    tree: diagram === null ? null : `\`\`\`mermaid\n${diagram}\n\`\`\``,
    rows: nodes.slice(0, maxRows).map(node => row(node, view)),
    rest: rest > 0 ? link(`and ${countOf(rest, 'more branch').replace(/branchs$/, 'branches')}`, view.publicUrl) : null,
    dashboard: view.dashboard === false ? null : link('dashboard', view.publicUrl),
  })
}

function newestFirst(a: ReadmeNode, b: ReadmeNode): number {
  const order = (b.latest?.createdAt.getTime() ?? 0) - (a.latest?.createdAt.getTime() ?? 0)
  return order !== 0 ? order : a.branch < b.branch ? -1 : 1
}

function row(node: ReadmeNode, { timeZone }: ReadmeView) {
  const { latest } = node
  const branch = link(code(node.branch, 'table', 120), pathUrl(branchPath(node.branch, 'md')))
  if (latest === null || node.state === null)
    return {
      branch: code(node.branch, 'table', 120),
      state: '· no run yet',
      started: '–',
      took: '–',
      cost: '–',
      run: '',
    }
  const took = secondsBetween(latest.createdAt, latest.endedAt)
  const words = latest.words === '' ? jobStates[node.state].label : latest.words
  return {
    branch,
    state: `${jobStates[node.state].symbol} ${prose(words, 'table', 120)}${node.stale ? ', stale' : ''}`,
    started: together(formatTime(latest.createdAt, timeZone)),
    took: took === null ? '–' : together(formatDuration(took)),
    // A hyphen at which no line breaks.
    cost: latest.coreSeconds > 0 ? together(formatCoreHours(latest.coreSeconds).replace('-', '\u2011')) : '–',
    run: link(code(latest.sha.slice(0, 8), 'table'), pathUrl(evidencePath(latest))),
  }
}
