/** Runs beside each other: what they measured and what they were asked, for a page and for programs. */
import { formatResource, type ResourceName, resourceKeys } from '../model/resources.ts'
import type { Job, Run } from '../model/run.ts'
import { metricsOf, type Verdict, verdictOf } from './metrics.ts'

const mostRows = 200
/** `sweep-2` before `sweep-16`. */
const inOrder = new Intl.Collator('en', { numeric: true }).compare

export interface MetricRow {
  readonly name: string
  /** One for each run, in their order. */
  readonly cells: readonly {
    readonly value: number | null
    /** Against the first; null of the first itself, and where there is nothing to say. */
    readonly how: Verdict['how'] | null
    readonly by: string | null
  }[]
}

/** Every metric that one of them has; each beside that of the first. */
export function metricRows(all: readonly Run[]): MetricRow[] {
  const found = all.map(run => metricsOf(run))
  const names = [...new Set(found.flatMap(one => [...one.keys()]))].sort(inOrder)
  const [first] = found
  return names.slice(0, mostRows).map(name => {
    const reference = first?.get(name)
    return {
      name,
      cells: found.map((metrics, at) => {
        const metric = metrics.get(name)
        if (metric === undefined) return { value: null, how: null, by: null }
        const verdict = at === 0 || reference === undefined ? null : verdictOf(metric, reference.value)
        const by = verdict === null || verdict.how === 'same' ? null : verdict.by
        return { value: metric.value, how: verdict?.how ?? null, by }
      }),
    }
  })
}

/** What was asked in different ways: parameters, resources, clusters, variables, by job. */
export function differences(
  all: readonly Run[],
): { readonly name: string; readonly cells: readonly (string | null)[] }[] {
  const asked = all.map(run => new Map(run.jobs.flatMap(job => askedOf(job))))
  const names = [...new Set(asked.flatMap(one => [...one.keys()]))]
  return names
    .map(name => ({ name, cells: asked.map(one => one.get(name) ?? null) }))
    .filter(({ cells }) => new Set(cells).size > 1)
    .slice(0, mostRows)
}

function askedOf({ name, spec }: Job): [string, string][] {
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
  return [
    [`${name}: cluster`, spec.cluster],
    ...Object.entries(spec.params).map(([key, value]): [string, string] => [`${name}: params.${key}`, text(value)]),
    ...Object.entries(spec.resources)
      .filter(([key]) => Object.hasOwn(resourceKeys, key))
      .map(([key, value]): [string, string] => [
        `${name}: ${key}`,
        formatResource(key as ResourceName, value as never),
      ]),
    ...(spec.array === undefined ? [] : [[`${name}: array`, spec.array.tasks] as [string, string]]),
    ...Object.entries(spec.env).map(([key, value]): [string, string] => [`${name}: env.${key}`, value]),
    ...(spec.image === undefined ? [] : [[`${name}: image`, spec.image] as [string, string]]),
  ]
}
