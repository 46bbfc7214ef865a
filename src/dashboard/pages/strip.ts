/** Small drawings. Each says in words what it shows; colour never stands alone. */
import { type JobState, jobStates, runStateOrder } from '../../model/job-state.ts'
import { escapeHtml, Html } from '../template.ts'

/** How many there are in each state, as one bar: `4 completed, 1 running`. */
export function stateBar(counts: Readonly<Partial<Record<JobState, number>>>): Html {
  return partsBar(
    [...runStateOrder].reverse().map(state => {
      const n = counts[state] ?? 0
      return { n, fill: state, words: `${n} ${jobStates[state].label}` }
    }),
  )
}

/** Parts of a whole, each in the fill of a state; those of nothing are left out. */
export function partsBar(all: readonly { readonly n: number; readonly fill: string; readonly words: string }[]): Html {
  const parts = all.filter(({ n }) => n > 0)
  const total = parts.reduce((sum, { n }) => sum + n, 0)
  if (total === 0) return new Html('')
  const words = parts.map(part => part.words).join(', ')
  let x = 0
  const drawn = parts.map(({ fill, n }) => {
    const width = (n / total) * 100
    const rect = `<rect class="f-${fill}" x="${x.toFixed(2)}" width="${Math.max(0.5, width - 0.6).toFixed(2)}" height="8"/>`
    x += width
    return rect
  })
  return new Html(
    `<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="${escapeHtml(words)}"><title>${escapeHtml(words)}</title>${drawn.join('')}</svg>`,
  )
}

const mostCells = 60

/** Tasks of an array in their order: a cell for each, or for as many neighbours as make sixty; a cell shows the state that most deserves a look. */
export function heatStrip(states: readonly JobState[]): Html {
  if (states.length === 0) return new Html('')
  const cells = Math.min(mostCells, states.length)
  const counts = new Map<JobState, number>()
  for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1)
  const worst: readonly JobState[] = ['failed', ...runStateOrder.filter(state => state !== 'failed')]
  const words = `${states.length} tasks: ${worst.flatMap(state => (counts.has(state) ? [`${counts.get(state)} ${jobStates[state].label}`] : [])).join(', ')}`
  const drawn = Array.from({ length: cells }, (_, i) => {
    const part = states.slice(Math.floor((i * states.length) / cells), Math.floor(((i + 1) * states.length) / cells))
    const state = worst.find(one => part.includes(one)) ?? 'waiting'
    // Not by colour alone: what failed stands high, what is done fills its cell, what waits is low.
    const height = state === 'failed' ? 12 : state === 'completed' ? 9 : state === 'running' ? 6 : 3
    return `<rect class="f-${state}" x="${i * 6}" y="${12 - height}" width="5" height="${height}"/>`
  })
  return new Html(
    `<svg class="strip" viewBox="0 0 ${cells * 6} 12" width="${cells * 6}" height="12" role="img" aria-label="${escapeHtml(words)}"><title>${escapeHtml(words)}</title>${drawn.join('')}</svg>`,
  )
}

/** `40 %`, with a bar. */
export function progressBar(percent: number, text: string): Html {
  const whole = Math.max(0, Math.min(100, Math.round(percent)))
  return new Html(
    `<span class="progress"><progress max="100" value="${whole}" aria-label="progress">${whole} %</progress> ${whole} %${text === '' ? '' : ` <span class="quiet">${escapeHtml(text)}</span>`}</span>`,
  )
}

export interface Bar {
  readonly from: Date
  /** null: still under way. */
  readonly to: Date | null
  readonly kind: 'waited' | JobState
  readonly words: string
}

/** A line of time: what waited thin, what ran thick. */
export function timeline(bars: readonly Bar[], span: { readonly from: Date; readonly to: Date }): Html {
  const whole = Math.max(1, span.to.getTime() - span.from.getTime())
  const place = (at: Date) => Math.max(0, Math.min(100, ((at.getTime() - span.from.getTime()) / whole) * 100))
  const words = bars.map(bar => bar.words).join('; ')
  const drawn = bars.map(bar => {
    const [x, end] = [place(bar.from), place(bar.to ?? span.to)]
    const thin = bar.kind === 'waited'
    return `<rect class="${thin ? 'f-waited' : `f-${bar.kind}`}" x="${x.toFixed(2)}" y="${thin ? 4 : 1}" width="${Math.max(0.4, end - x).toFixed(2)}" height="${thin ? 2 : 8}"/>`
  })
  return new Html(
    `<svg class="timeline" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="${escapeHtml(words)}"><title>${escapeHtml(words)}</title>${drawn.join('')}</svg>`,
  )
}

/** Programs that were started on a cluster, hour by hour over a day. */
export function hourBars(load: readonly { readonly hour: Date; readonly programs: number }[], now: Date): Html {
  const hours = Array<number>(24).fill(0)
  for (const { hour, programs } of load) {
    const ago = Math.floor((now.getTime() - hour.getTime()) / 3_600_000)
    if (ago >= 0 && ago < 24) hours[23 - ago] = hours[23 - ago]! + programs
  }
  const most = Math.max(1, ...hours)
  const words = `programs an hour over the last day, at most ${Math.max(...hours)}`
  const drawn = hours.map((n, i) => {
    const height = n === 0 ? 0.5 : Math.max(1, (n / most) * 24)
    return `<rect class="f-running" x="${i * 8}" y="${(24 - height).toFixed(1)}" width="6" height="${height.toFixed(1)}"/>`
  })
  return new Html(
    `<svg class="strip" viewBox="0 0 192 24" width="192" height="24" role="img" aria-label="${escapeHtml(words)}"><title>${escapeHtml(words)}</title>${drawn.join('')}</svg>`,
  )
}
