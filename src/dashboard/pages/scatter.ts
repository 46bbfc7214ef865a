import { countOf, formatNumber } from '../../render/amounts.ts'
import { escapeHtml, Html } from '../template.ts'

export interface Mark {
  readonly x: number
  readonly y: number
  /** Which kind of mark it is; as many as {@link kinds} differ. */
  readonly series: number
  readonly words: string
}

const [width, height] = [640, 360]
const edge = { left: 64, right: 16, top: 16, bottom: 48 }

/** Differ by shape, and by colour besides. */
export const kinds = 6

/** Points on two axes, drawn here: it prints, and needs nothing of the browser. */
export function scatter(marks: readonly Mark[], axes: { readonly x: string; readonly y: string }): Html {
  const [x, y] = [scaleOf(marks.map(one => one.x)), scaleOf(marks.map(one => one.y))]
  const place = {
    x: (value: number) => edge.left + x.share(value) * (width - edge.left - edge.right),
    y: (value: number) => height - edge.bottom - y.share(value) * (height - edge.top - edge.bottom),
  }
  const words = `${axes.y} over ${axes.x}, ${countOf(marks.length, 'point')}: ${axes.x} from ${formatNumber(x.least)} to ${formatNumber(x.most)}, ${axes.y} from ${formatNumber(y.least)} to ${formatNumber(y.most)}`
  const parts = [
    ...x.ticks.map(
      tick =>
        `<line class="grid" x1="${at(place.x(tick))}" x2="${at(place.x(tick))}" y1="${edge.top}" y2="${height - edge.bottom}"/><text class="tick" x="${at(place.x(tick))}" y="${height - edge.bottom + 18}" text-anchor="middle">${escapeHtml(formatNumber(tick))}</text>`,
    ),
    ...y.ticks.map(
      tick =>
        `<line class="grid" x1="${edge.left}" x2="${width - edge.right}" y1="${at(place.y(tick))}" y2="${at(place.y(tick))}"/><text class="tick" x="${edge.left - 8}" y="${at(place.y(tick) + 4)}" text-anchor="end">${escapeHtml(formatNumber(tick))}</text>`,
    ),
    `<text class="axis" x="${(edge.left + width - edge.right) / 2}" y="${height - 8}" text-anchor="middle">${escapeHtml(axes.x.slice(0, 60))}</text>`,
    `<text class="axis" transform="translate(14 ${(edge.top + height - edge.bottom) / 2}) rotate(-90)" text-anchor="middle">${escapeHtml(axes.y.slice(0, 60))}</text>`,
    ...marks.map(
      one =>
        `<path class="mark m${one.series % kinds}" transform="translate(${at(place.x(one.x))} ${at(place.y(one.y))})" d="${shapes[one.series % kinds]}"><title>${escapeHtml(one.words)}</title></path>`,
    ),
  ]
  return new Html(
    `<svg class="scatter" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(words)}">${parts.join('')}</svg>`,
  )
}

/** The mark of a run, for the legend. */
export function markOf(series: number): Html {
  return new Html(
    `<svg class="icon" viewBox="-7 -7 14 14" aria-hidden="true"><path class="mark m${series % kinds}" d="${shapes[series % kinds]}"/></svg>`,
  )
}

const shapes = [
  'M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z',
  'M-4-4h8v8h-8z',
  'M0-5.2 5 4h-10z',
  'M0-5.4 5.4 0 0 5.4-5.4 0z',
  'M0 5.2-5-4h10z',
  'M-1.6-5h3.2v3.4H5v3.2H1.6V5h-3.2V1.6H-5v-3.2h3.4z',
]

const at = (value: number) => value.toFixed(1)

interface Scale {
  readonly least: number
  readonly most: number
  readonly ticks: readonly number[]
  /** 0 at the beginning of the axis, 1 at its end. */
  share(value: number): number
}

/** An axis with some room at both ends, and round numbers at about five places. */
export function scaleOf(given: readonly number[]): Scale {
  const values = given.map(held)
  const least = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  // One value alone stands in the middle.
  const room = most > least ? (most - least) * 0.06 : Math.abs(least) * 0.5 || 1
  const [from, to] = [least - room, most + room]
  const rough = (to - from) / 6
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5, 10].find(one => one * power >= rough) ?? 10) * power
  const ticks: number[] = []
  for (let n = Math.ceil(from / step); n * step <= to && ticks.length < 20; n++) ticks.push(round(n * step, step))
  return { least, most, ticks, share: value => (to > from ? (held(value) - from) / (to - from) : 0.5) }
}

/** The span of an axis must stay a number. */
const held = (value: number) => Math.max(-1e300, Math.min(1e300, value))

/** 0.30000000000000004 is 0.3. */
function round(value: number, step: number): number {
  const digits = Math.max(0, -Math.floor(Math.log10(step)) + 1)
  return digits > 100 ? value : Number(value.toFixed(Math.min(100, digits)))
}
