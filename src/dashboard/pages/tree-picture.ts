import { jobStates } from '../../model/job-state.ts'
import { countOf } from '../../render/amounts.ts'
import { loadTree } from '../../store/tree.ts'
import type { BranchNode } from '../../tree/node.ts'
import { inTreeOrder } from '../../tree/shape.ts'
import { region } from '../page.ts'
import { escapeHtml, Html, render } from '../template.ts'
import { addressesOf, type PageKind } from './site.ts'
import { chosen } from './tree.ts'

const mostDrawn = 1_000
const [across, down] = [264, 48]
const box = { width: 224, height: 36 }
const edge = 8
const mostLetters = 24

/** The tree as a picture: parents on the left, children on the right of them. Drawn here; the browser enlarges it. */
export const treePicturePage: PageKind = {
  at: /^\/projects\/(.+)\/-\/tree$/,
  async show(site, visitor, { params, query }) {
    const { project } = await site.desk.project(visitor.caller, params[0]!)
    const to = addressesOf(site)
    const search = (query.get('search') ?? '').trim().slice(0, 200)
    const gone = query.get('gone') === '1'
    const wanted = chosen(inTreeOrder(await loadTree(site.context.db, project.id)), { gone, search })
    const shown = wanted.slice(0, mostDrawn)
    return {
      title: `Tree · ${project.path}`,
      section: 'projects',
      template: 'tree-picture',
      view: { path: project.path, project: to.project(project.path), address: to.tree(project.path), search, gone },
      regions: [
        region(
          'picture',
          render('tree-drawing', {
            svg: shown.length === 0 ? null : drawTree(shown, id => to.run(id)),
            more: wanted.length > shown.length ? wanted.length - shown.length : null,
          }),
        ),
      ],
    }
  },
}

/** As many letters as a box has room for, whose end says more than the folder at their beginning. */
function shortened(branch: string): string {
  const letters = [...branch]
  return letters.length <= mostLetters ? branch : `…${letters.slice(1 - mostLetters).join('')}`
}

export interface Placed {
  readonly node: BranchNode
  readonly depth: number
}

interface Spot extends Placed {
  readonly row: number
  readonly parent: number | null
}

/** Each leaf has a row of its own; a parent stands in the middle of its children. In the order of the list. */
export function layOut(ordered: readonly Placed[]): Spot[] {
  const parents: (number | null)[] = []
  const open: number[] = []
  ordered.forEach(({ depth }, at) => {
    open.length = Math.min(open.length, depth)
    parents.push(open.at(-1) ?? null)
    open.push(at)
  })
  const rows: number[] = Array(ordered.length).fill(-1)
  let next = 0
  const hasChild = new Set(parents)
  ordered.forEach((_, at) => {
    if (!hasChild.has(at)) rows[at] = next++
  })
  const [first, last] = [new Map<number, number>(), new Map<number, number>()]
  // From below: children come behind their parent.
  for (let at = ordered.length - 1; at >= 0; at--) {
    if (hasChild.has(at)) rows[at] = (first.get(at)! + last.get(at)!) / 2
    const parent = parents[at] ?? null
    if (parent === null) continue
    first.set(parent, rows[at]!)
    if (!last.has(parent)) last.set(parent, rows[at]!)
  }
  return ordered.map((one, at) => ({ ...one, row: rows[at]!, parent: parents[at] ?? null }))
}

export function drawTree(ordered: readonly Placed[], href: (run: string) => string): Html {
  const spots = layOut(ordered)
  const x = (one: Spot) => edge + one.depth * across
  const y = (one: Spot) => edge + one.row * down
  const deepest = Math.max(...spots.map(one => one.depth))
  const lowest = Math.max(...spots.map(one => one.row))
  const [width, height] = [deepest * across + box.width + 2 * edge, lowest * down + box.height + 2 * edge]
  const lines = spots.flatMap(one => {
    if (one.parent === null) return []
    const from = spots[one.parent]!
    const [x1, y1, x2, y2] = [x(from) + box.width, y(from) + box.height / 2, x(one), y(one) + box.height / 2]
    const middle = (x1 + x2) / 2
    const stale = one.node.stale === null ? '' : ' stale'
    return [`<path class="edge${stale}" d="M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}"/>`]
  })
  const nodes = spots.map(one => {
    const { branch, run, stale, life } = one.node
    const state = run?.state ?? null
    const words = [
      state === null ? 'computes nothing itself' : jobStates[state].label,
      ...(stale === null ? [] : ['stale']),
      ...(life === 'active' ? [] : [life]),
    ].join(', ')
    const icon =
      state === null ? '' : `<use href="#i-${state}" x="${x(one) + 8}" y="${y(one) + 10}" width="16" height="16"/>`
    // What is too long for its box is cut at its edge.
    const text = `<svg x="${x(one) + 30}" y="${y(one)}" width="${box.width - 36}" height="${box.height}"><text class="branch" x="0" y="15">${escapeHtml(shortened(branch))}</text><text class="how" x="0" y="30">${escapeHtml(words)}</text></svg>`
    const drawn = `<title>${escapeHtml(`${branch}: ${words}`)}</title><rect x="${x(one)}" y="${y(one)}" width="${box.width}" height="${box.height}" rx="6"/>${icon}${text}`
    const kind = `node ${state === null ? 's-waiting' : `s-${state}`}${stale === null ? '' : ' stale'}${life === 'active' ? '' : ' gone'}`
    return run === null
      ? `<g class="${kind}">${drawn}</g>`
      : `<a class="${kind}" href="${escapeHtml(href(run.id))}">${drawn}</a>`
  })
  const label = `The tree: ${countOf(spots.length, 'branch').replace(/branchs$/, 'branches')}, each to the right of its parent`
  return new Html(
    `<svg class="tree-drawing" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="group" aria-label="${escapeHtml(label)}">${lines.join('')}${nodes.join('')}</svg>`,
  )
}
