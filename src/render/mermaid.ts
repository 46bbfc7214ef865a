/**
 * The tree as Mermaid. In notes GitLab draws at most 2,000 characters of it, counted over all diagrams of a page, and none with more than
 * 30 `&` (render_sandboxed_mermaid.js), so a diagram that grows too large says less instead. Pages of the repository have no such limit.
 */
import { type JobState, jobStates } from '../model/job-state.ts'
import { jobNeeds, type Need } from '../model/needs.ts'
import { countOf, formatCount } from './amounts.ts'
import { cutMiddle, oneLine } from './markdown.ts'
import { inTreeOrder, nameBeside, topOf } from './tree-order.ts'

/** A computation branch beside or below ours. */
export interface Neighbour {
  readonly branch: string
  /** null: nothing has been run there. */
  readonly state: JobState | null
  /** Its parent has a newer result than the one it was computed from. */
  readonly stale: boolean
  /** What became of the branch in git; left out: it is there. */
  readonly life?: 'merged' | 'gone'
}

export interface TreeNode extends Neighbour {
  readonly parent: string | null
}

export interface Neighbourhood {
  readonly parent: Neighbour | null
  readonly branch: string
  /** Ours is computed from an older result of its parent. */
  readonly stale: boolean
  readonly jobs: readonly { readonly name: string; readonly state: JobState; readonly needs: readonly Need[] }[]
  readonly children: readonly Neighbour[]
  /** Other children of the parent; as many are drawn as there is room for. */
  readonly siblings?: readonly Neighbour[]
  /** How many more of them there are. */
  readonly moreSiblings?: number
  /** All branches of a small tree, ours among them: drawn whole where that fits. */
  readonly tree?: readonly TreeNode[] | null
}

/** Some room is left below the 2,000 for what a person may draw in the same note. */
export const noteDiagramLimit = 1900

/** null where a picture would say nothing: one job or none, and nobody around. */
export function renderNeighbourhood(view: Neighbourhood, limit = noteDiagramLimit): string | null {
  if (view.parent === null && view.children.length === 0 && view.jobs.length < 2) return null
  const whole = view.tree ?? []
  if (whole.some(node => node.branch === view.branch)) {
    const text = draw(view, placedIn(whole, view.branch), [], { name: 40, jobs: 12 })
    if (text.length <= limit) return text
  }
  for (const effort of efforts) {
    const { placed, more } = placedAround(view, effort)
    const text = draw(view, placed, more, effort)
    if (text.length <= limit) return text
  }
  return null
}

interface Effort {
  /** Characters of a name. */
  readonly name: number
  /** Up to so many jobs stand one by one, more stand as one node for each state. */
  readonly jobs: number
}

const efforts: readonly (Effort & { readonly children: number; readonly siblings: number })[] = [
  { name: 40, jobs: 24, children: 8, siblings: 4 },
  { name: 24, jobs: 16, children: 5, siblings: 3 },
  { name: 24, jobs: 8, children: 5, siblings: 1 },
  { name: 24, jobs: 0, children: 5, siblings: 0 },
  { name: 16, jobs: 0, children: 0, siblings: 0 },
]

/** A branch other than ours, as the picture has it. `before`: drawn in front of ours, so that it stands left of it. */
interface Placed {
  readonly id: string
  readonly node: TreeNode
  readonly before: boolean
}

/** A node that stands for those that there was no room for. */
interface More {
  readonly id: string
  readonly count: number
  /** Whose children they are. */
  readonly of: string
}

function placedIn(tree: readonly TreeNode[], own: string): Placed[] {
  const order = inTreeOrder(tree).map(({ node }) => node)
  const at = order.findIndex(node => node.branch === own)
  return order.flatMap((node, i) => (node.branch === own ? [] : [{ id: `n${i}`, node, before: i < at }]))
}

function placedAround(
  view: Neighbourhood,
  { children, siblings }: { readonly children: number; readonly siblings: number },
): { placed: Placed[]; more: More[] } {
  const { parent } = view
  const beside = parent === null ? [] : (view.siblings ?? [])
  const placed: Placed[] = [
    ...(parent === null ? [] : [{ id: 'p', node: { ...parent, parent: null }, before: true }]),
    ...view.children
      .slice(0, children)
      .map((node, i) => ({ id: `c${i}`, node: { ...node, parent: view.branch }, before: false })),
    ...beside
      .slice(0, siblings)
      .map((node, i) => ({ id: `s${i}`, node: { ...node, parent: parent!.branch }, before: false })),
  ]
  const more = [
    { id: 'more', count: view.children.length - children, of: view.branch },
    // With none of them drawn, nobody misses their number.
    {
      id: 'others',
      count: siblings === 0 ? 0 : beside.length + (view.moreSiblings ?? 0) - siblings,
      of: parent?.branch ?? '',
    },
  ].filter(({ count }) => count > 0)
  return { placed, more }
}

function draw(view: Neighbourhood, placed: readonly Placed[], more: readonly More[], effort: Effort): string {
  const used = new Set<JobState | 'none'>()
  const ids = new Map([...placed.map(({ id, node }) => [node.branch, id] as const), [view.branch, 'b']])
  const stale = view.stale || placed.some(({ node }) => node.stale)
  const boxes = (before: boolean) =>
    placed
      .filter(one => one.before === before)
      .flatMap(({ id, node }) => {
        used.add(node.state ?? 'none')
        // Where the parent stands beside it.
        const beside = node.parent !== null && ids.has(node.parent) ? node.parent : null
        return [
          `  ${id}(${branchLabel(node, effort.name, beside)}):::${node.state ?? 'none'}`,
          ...(node.stale ? [`  class ${id} stale`] : []),
        ]
      })
  const lines = ['flowchart LR', ...boxes(true), ...ownBox(view, effort, used), ...boxes(false)]
  const own: TreeNode = {
    ...{ branch: view.branch, state: null, stale: view.stale },
    parent: view.tree?.find(node => node.branch === view.branch)?.parent ?? view.parent?.branch ?? null,
  }
  for (const node of [own, ...placed.map(one => one.node)]) {
    const from = node.parent === null || node.parent === node.branch ? undefined : ids.get(node.parent)
    if (from !== undefined) lines.push(`  ${from} ${node.stale ? '-. stale .->' : '-->'} ${ids.get(node.branch)}`)
  }
  for (const { id, count, of } of more) {
    used.add('none')
    lines.push(`  ${id}(${label(branchCount(count), 40)}):::none`, `  ${ids.get(of)} --> ${id}`)
  }
  const border = `  style b fill:none,stroke:#888${view.stale ? ',stroke-dasharray:5 4' : ''}`
  return [...lines, border, ...classLines(used, stale)].join('\n')
}

/** Our branch: a frame around its jobs. */
function ownBox(view: Neighbourhood, effort: Effort, used: Set<JobState | 'none'>): string[] {
  const name = view.stale ? `${cutMiddle(oneLine(view.branch, 400), effort.name)}, stale` : view.branch
  const lines = [`  subgraph b [${label(name, effort.name + 7)}]`, '    direction LR']
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
  return [...lines, '  end']
}

/** All computation branches of a project, for a page of the repository. Beyond `max` the rest is one node: a wall of boxes is no picture. */
export function renderTree(nodes: readonly TreeNode[], max = 150): string | null {
  if (nodes.length === 0) return null
  const chosen = topOf(nodes, max)
  const shown = inTreeOrder(nodes).flatMap(({ node }) => (chosen.has(node.branch) ? [node] : []))
  const ids = new Map(shown.map((node, index) => [node.branch, `n${index}`]))
  const used = new Set<JobState | 'none'>()
  const lines = ['flowchart LR']
  for (const node of shown) {
    const id = ids.get(node.branch)
    used.add(node.state ?? 'none')
    const beside = node.parent !== null && ids.has(node.parent) ? node.parent : null
    lines.push(`  ${id}(${branchLabel(node, 60, beside)}):::${node.state ?? 'none'}`)
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

/** `● completed, stale`: a state in a sign and in words, never by colour alone. */
export function wordsOf(node: Neighbour): string {
  const { symbol, label: words } = stateOf(node)
  return `${symbol} ${words}`
}

function stateOf({ state, stale, life }: Neighbour): { symbol: string; label: string } {
  const { symbol, label: words } = state === null ? { symbol: '·', label: 'no run yet' } : jobStates[state]
  return { symbol, label: [words, ...(stale ? ['stale'] : []), ...(life === undefined ? [] : [life])].join(', ') }
}

function branchLabel(node: Neighbour, max: number, beside: string | null): string {
  return label(nameBeside(node.branch, beside), max, stateOf(node))
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
