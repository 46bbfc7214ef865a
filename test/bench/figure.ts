import type { Engine } from './stores.ts'

/** What a bench hands back: one line of the table. Nothing here is ever asserted; figures are read by people. */
export interface Figure {
  readonly what: string
  readonly measured: string
  readonly promise: string
  /** null: nothing is promised of it, it explains its neighbours. */
  readonly kept: boolean | null
}

/** What every bench may use. */
export interface Bench {
  /** A directory that goes when the run ends. */
  readonly place: string
  /** The stores to measure with: the embedded one, and Postgres where it is installed. */
  engines(): Promise<readonly Engine[]>
  /** Of a fresh database on PostgreSQL, for a process of its own; null where it is not installed. */
  freshDatabase(): Promise<string | null>
  /** A line on standard error. */
  progress(text: string): void
}

export const informs = (what: string, measured: string): Figure => ({ what, measured, promise: '', kept: null })

export const atLeast = (what: string, ratio: number, goal: number, basis: string): Figure => ({
  what,
  measured: `${round(ratio)}x (${basis})`,
  promise: `>= ${goal}x`,
  kept: ratio >= goal,
})

export const atMost = (what: string, ratio: number, goal: number, basis: string): Figure => ({
  what,
  measured: `${round(ratio)}x (${basis})`,
  promise: `<= ${goal}x`,
  kept: ratio <= goal,
})

export const atMostMs = (what: string, ms: number, goal: number, basis: string): Figure => ({
  what,
  measured: `${round(ms)} ms (${basis})`,
  promise: `<= ${goal} ms`,
  kept: ms <= goal,
})

/** A number of things: not a ratio, the same on every machine. */
export const counted = (what: string, count: number, goal: number, basis: string): Figure => ({
  what,
  measured: `${Number.isInteger(count) ? thousands(count) : round(count)} (${basis})`,
  promise: `<= ${goal}`,
  kept: count <= goal,
})

/** A rate that is promised as such. */
export const atLeastEach = (what: string, perSecond: number, goal: number, basis: string): Figure => ({
  what,
  measured: `${round(perSecond)} (${basis})`,
  promise: `>= ${goal}`,
  kept: perSecond >= goal,
})

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) throw new Error('the median of nothing')
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Three figures that count. */
export function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

export const thousands = (value: number): string => Math.round(value).toLocaleString('en')

/** Milliseconds that `work` took. */
export async function timed(work: () => unknown): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}
