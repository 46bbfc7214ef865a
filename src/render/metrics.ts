/** The numbers of a run, and what a difference between two of them means. */
import type { MetricWish } from '../model/job-spec.ts'
import type { Run } from '../model/run.ts'
import { formatPercent } from './amounts.ts'
import { lastAttempt } from './outcome.ts'

/** Under their own names; where two jobs use one name, under `job: name`. */
export function metricsOf(run: Run): Map<string, Metric> {
  const found = run.jobs.flatMap(job =>
    Object.entries(lastAttempt(job)?.collected?.metrics ?? {}).map(([name, value]) => ({ job, name, value })),
  )
  const times = new Map<string, number>()
  for (const { name } of found) times.set(name, (times.get(name) ?? 0) + 1)
  return new Map(
    found.map(({ job: { name: of, spec }, name, value }) => {
      const wish = Object.hasOwn(spec.better ?? {}, name) ? (spec.better?.[name] ?? null) : null
      return [times.get(name) === 1 ? name : `${of}: ${name}`, { value, wish, noise: spec.noise ?? 0 }]
    }),
  )
}

export interface Metric {
  readonly value: number
  readonly wish: MetricWish | null
  readonly noise: number
}

export type Verdict = { readonly how: 'better' | 'worse' | 'noise' | 'same' | 'lower' | 'higher'; readonly by: string }

/** Which way is better is said only where somebody said so; what is noise is said before both. */
export function verdictOf({ value, wish, noise }: Metric, other: number): Verdict | null {
  if (other === value) return { how: 'same', by: '' }
  if (other === 0 || !Number.isFinite(value / other)) return null
  const change = (value - other) / Math.abs(other)
  const by = formatPercent(Math.abs(change))
  if (Math.abs(change) <= noise) return { how: 'noise', by }
  if (wish === null) return { how: change < 0 ? 'lower' : 'higher', by }
  return { how: (wish === 'lower') === change < 0 ? 'better' : 'worse', by }
}
