/**
 * The tree as Mermaid. In notes GitLab draws at most 2,000 characters of it, counted over all diagrams of a page, and none with more than
 * 30 `&` (render_sandboxed_mermaid.js), so a diagram that grows too large says less instead. Pages of the repository have no such limit.
 */
import { type JobState, jobStates } from '../model/job-state.ts'
import { jobNeeds, type Need } from '../model/needs.ts'
import { countOf, formatCount } from './amounts.ts'
import { cutMiddle, oneLine } from './markdown.ts'

/** A computation branch beside or below ours. */
export interface Neighbour {
  readonly branch: string
  /** null: nothing has been run there. */
  readonly state: JobState | null
  /** Its parent has a newer result than the one it was computed from. */
  readonly stale: boolean
}

export interface Neighbourhood {
  readonly parent: Neighbour | null
  readonly branch: string
  /** Ours is computed from an older result of its parent. */
  readonly stale: boolean
  readonly jobs: readonly { readonly name: string; readonly state: JobState; readonly needs: readonly Need[] }[]
  readonly children: readonly Neighbour[]
}

/** Some room is left below the 2,000 for what a person may draw in the same note. */
export const noteDiagramLimit = 1900

/** null where a picture would say nothing: one job or none, and nobody around. */
export function renderNeighbourhood(view: Neighbourhood, limit = noteDiagramLimit): string | null {
  if (view.parent === null && view.children.length === 0 && view.jobs.length < 2) return null
  const efforts: readonly Effort[] = [
    { name: 40, jobs: 24, children: 8 },
    { name: 24, jobs: 16, children: 5 },
    { name: 24, jobs: 0, children: 5 },
    { name: 16, jobs: 0, children: 0 },
  ]
  for (const effort of efforts) {
    const text = drawNeighbourhood(view, effort)
    if (text.length <= limit) return text
  }
  return null
}

interface Effort {
  /** Characters of a name. */
  readonly name: number
  /** Up to so many jobs stand one by one, more stand as one node for each state. */
  readonly jobs: number
  readonly children: number
}

function drawNeighbourhood(view: Neighbourhood, effort: Effort): string {
  const used = new Set<JobState | 'none'>()
  const lines = ['flowchart LR']
  let stale = false
  const drawBranch = (id: string, node: Neighbour) => {
    used.add(node.state ?? 'none')
    if (node.stale) stale = true
    lines.push(`  ${id}(${branchLabel(node, effort.name)}):::${node.state ?? 'none'}`)
    if (node.stale) lines.push(`  class ${id} stale`)
  }

  if (view.parent !== null) drawBranch('p', view.parent)
  lines.push(`  subgraph b [${label(view.branch, effort.name)}]`, '    direction LR')
  if (view.jobs.length <= effort.jobs) {
    const ids = new Map(view.jobs.map((job, index) => [job.name, `j${index}`]))
    for (const job of view.jobs) {
      used.add(job.state)
      lines.push(`    ${ids.get(job.name)}(${label(job.name, effort.name, jobStates[job.state])}):::${job.state}`)
    }
    for (const job of view.jobs)
      for (const { job: need, kind } of jobNeeds(job.needs))
        if (ids.has(need))
          lines.push(`    ${ids.get(need)} ${kind === 'afterok' ? '-->' : `-. ${kind} .->`} ${ids.get(job.name)}`)
  } else {
    for (const [state, jobs] of Map.groupBy(view.jobs, job => job.state)) {
      used.add(state)
      lines.push(`    ${state}(${label(countOf(jobs.length, 'job'), effort.name, jobStates[state])}):::${state}`)
    }
  }
  if (view.jobs.length === 0) {
    used.add('none')
    lines.push(`    none(${label('no jobs', effort.name)}):::none`)
  }
  lines.push('  end')

  if (view.parent !== null) lines.push(`  p ${view.stale ? '-. stale .->' : '-->'} b`)
  const shown = view.children.slice(0, effort.children)
  for (const [index, child] of shown.entries()) {
    drawBranch(`c${index}`, child)
    lines.push(`  b ${child.stale ? '-. stale .->' : '-->'} c${index}`)
  }
  const rest = view.children.length - shown.length
  if (rest > 0) {
    used.add('none')
    lines.push(`  more(${label(branchCount(rest), 40)}):::none`, '  b --> more')
  }
  return [...lines, '  style b fill:none,stroke:#888', ...classLines(used, stale)].join('\n')
}

export interface TreeNode extends Neighbour {
  readonly parent: string | null
}

/** All computation branches of a project, for a page of the repository. Beyond `max` the rest is one node: a wall of boxes is no picture. */
export function renderTree(nodes: readonly TreeNode[], max = 150): string | null {
  if (nodes.length === 0) return null
  const shown = nodes.slice(0, max)
  const ids = new Map(shown.map((node, index) => [node.branch, `n${index}`]))
  const used = new Set<JobState | 'none'>()
  const lines = ['flowchart LR']
  for (const node of shown) {
    const id = ids.get(node.branch)
    used.add(node.state ?? 'none')
    lines.push(`  ${id}(${branchLabel(node, 60)}):::${node.state ?? 'none'}`)
    if (node.stale) lines.push(`  class ${id} stale`)
  }
  for (const node of shown) {
    const parent = node.parent === null || node.parent === node.branch ? undefined : ids.get(node.parent)
    if (parent !== undefined) lines.push(`  ${parent} ${node.stale ? '-. stale .->' : '-->'} ${ids.get(node.branch)}`)
  }
  const rest = nodes.length - shown.length
  if (rest > 0) {
    used.add('none')
    lines.push(`  more(${label(branchCount(rest), 60)}):::none`)
  }
  const stale = shown.some(node => node.stale)
  return [...lines, ...classLines(used, stale)].join('\n')
}

function branchCount(rest: number): string {
  return `${formatCount(rest)} more ${rest === 1 ? 'branch' : 'branches'}`
}

function branchLabel(node: Neighbour, max: number): string {
  if (node.state === null) return label(node.branch, max, { symbol: '·', label: 'no run yet' })
  const { symbol, label: words } = jobStates[node.state]
  return label(node.branch, max, { symbol, label: node.stale ? `${words}, stale` : words })
}

/** Quoted. Everything Mermaid may read as its own (quotes, brackets, `%%{`, Markdown, HTML) is written as a character number. */
function label(name: string, max: number, state?: { readonly symbol: string; readonly label: string }): string {
  const text = cutMiddle(oneLine(name, 400), max).replace(
    /[^\p{L}\p{M}\p{N} ./,+=_…-]/gu,
    character => `#${character.codePointAt(0)};`,
  )
  return `"${text}${state === undefined ? '' : `<br/>${state.symbol} ${state.label}`}"`
}

function classLines(used: ReadonlySet<JobState | 'none'>, stale: boolean): string[] {
  const lines = [...used].sort().map(name => {
    if (name === 'none') return '  classDef none fill:#fff,color:#333,stroke:#888'
    const { colour } = jobStates[name]
    return `  classDef ${name} fill:${colour},color:${inkOn(colour)},stroke:#333`
  })
  return stale ? [...lines, '  classDef stale stroke-dasharray:5 4,stroke-width:2px'] : lines
}

/** Black or white, whichever has more contrast (WCAG 2 relative luminance). */
function inkOn(colour: string): '#000' | '#fff' {
  const [red, green, blue] = [1, 3, 5].map(at => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
  return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? '#000' : '#fff'
}
