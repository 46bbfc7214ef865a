import { type Figure, round } from './figure.ts'

/** How long the service's event loop was held up: 99.9 % of its beats of 1 ms, and the longest. */
export function loopFigure(when: string, { p999, max }: { readonly p999: number; readonly max: number }): Figure {
  return {
    what: `event loop held up ${when}, p99.9`,
    measured: `${round(p999)} ms (the longest ${round(max)} ms)`,
    promise: '<= 50 ms',
    kept: p999 <= 50,
  }
}
