import type { JobSpec } from '../model/job-spec.ts'
import type { Job, Run } from '../model/run.ts'
import { lastAttempt, ranSeconds } from './outcome.ts'

/** One computation of a sweep: a job, or a task of an array, with every number that is known of it. */
export interface Point {
  /** Which of the compared runs it is of. */
  readonly series: number
  /** `solve`, `sweep, task 7` */
  readonly label: string
  /** By axis: `params.degree`, `metrics.rmse`, `task`, `seconds`. */
  readonly values: ReadonlyMap<string, number>
}

/** Axes that points have, parameters first. */
export interface Axis {
  readonly key: string
  readonly label: string
  /** How many different values there are. */
  readonly distinct: number
}

/** All jobs and tasks of the runs that have measured something. What a job does not say itself, and the rest of its run says in one way only, holds for it too: the degree of `solve` for the error that `post` has found. */
export function pointsOf(runs: readonly Run[], now: Date): Point[] {
  return runs.flatMap((run, series) => {
    const shared = agreed(run.jobs.map(job => numbersOf(job.spec)))
    return run.jobs.flatMap(job => pointsOfJob(job, series, shared, now))
  })
}

function pointsOfJob(job: Job, series: number, shared: ReadonlyMap<string, number>, now: Date): Point[] {
  const attempt = lastAttempt(job)
  const collected = attempt?.collected ?? null
  if (collected === null) return []
  const own = new Map([...shared, ...numbersOf(job.spec)])
  const measured = (metrics: Readonly<Record<string, number>>) =>
    Object.entries(metrics).flatMap(([name, value]) =>
      Number.isFinite(value) ? [[`metrics.${name}`, value] as const] : [],
    )
  if (job.spec.array !== undefined)
    return (collected.tasks ?? []).flatMap(({ index, metrics }) => {
      const found = measured(metrics)
      if (found.length === 0) return []
      return [{ series, label: `${job.name}, task ${index}`, values: new Map([...own, ['task', index], ...found]) }]
    })
  const found = measured(collected.metrics)
  if (found.length === 0) return []
  const ran = ranSeconds(attempt, now)
  const values = new Map([...own, ...(ran === null ? [] : [['seconds', ran] as const]), ...found])
  return [{ series, label: job.name, values }]
}

/** Parameters that are numbers, also those that a matrix has written as text. */
function numbersOf(spec: JobSpec): Map<string, number> {
  const found = new Map<string, number>()
  for (const [name, value] of Object.entries(spec.params)) {
    const number =
      typeof value === 'number' ? value : typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN
    if (Number.isFinite(number)) found.set(`params.${name}`, number)
  }
  return found
}

function agreed(all: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const values = new Map<string, Set<number>>()
  for (const one of all) for (const [key, value] of one) values.set(key, (values.get(key) ?? new Set()).add(value))
  return new Map([...values].flatMap(([key, set]) => (set.size === 1 ? [[key, [...set][0]!] as const] : [])))
}

const order = ['params.', 'task', 'seconds', 'metrics.']

export function axesOf(points: readonly Point[]): Axis[] {
  const seen = new Map<string, Set<number>>()
  for (const { values } of points)
    for (const [key, value] of values) seen.set(key, (seen.get(key) ?? new Set()).add(value))
  const rank = (key: string) => order.findIndex(one => key.startsWith(one))
  return [...seen]
    .map(([key, values]) => ({ key, label: labelOf(key), distinct: values.size }))
    .sort((a, b) => rank(a.key) - rank(b.key) || (a.key < b.key ? -1 : 1))
}

function labelOf(key: string): string {
  if (key === 'seconds') return 'ran (s)'
  if (key === 'task') return 'task'
  return key.replace(/^(params|metrics)\./, '')
}

/** The axes that were asked for, else those that tell most: what was varied against what was measured. */
export function chooseAxes(axes: readonly Axis[], asked: { x: string | null; y: string | null }) {
  const named = (key: string | null) => axes.find(one => one.key === key)
  const metrics = axes.filter(one => one.key.startsWith('metrics.'))
  const y = named(asked.y) ?? metrics.find(one => one.distinct > 1) ?? metrics[0]
  const x = named(asked.x) ?? axes.find(one => one.distinct > 1 && one !== y)
  return x === undefined || y === undefined ? null : { x, y }
}
