/** The numbers of a run beside those of its parent and of the target branch. */
import { isFinal } from '../model/job-state.ts'
import type { Run } from '../model/run.ts'
import { countOf, formatDuration, formatNumber, formatPercent, secondsBetween } from './amounts.ts'
import { runUrl } from './links.ts'
import { code, inline, link, prose } from './markdown.ts'
import { lastAttempt } from './outcome.ts'
import type { Comparison, Effort, PageView } from './page.ts'

export function metricsSection(view: PageView, effort: Effort) {
  const comparisons = (view.comparisons ?? []).slice(0, 3)
  const here = metricsOf(view.run)
  const problems = view.run.jobs.flatMap(job => {
    const problem = lastAttempt(job)?.collected?.metricsProblem ?? null
    return problem === null ? [] : [`${inline(job.name, 80)}: metrics not read: ${prose(problem, 'paragraph', 200)}`]
  })
  if (here.size === 0 && problems.length === 0) return null
  const names = [...here.keys()].sort()
  const rows = names.slice(0, effort.metrics).map(name => {
    const value = here.get(name) as number
    return {
      name: inline(name, 80),
      here: formatNumber(value),
      others: comparisons.map(other => {
        const known = Object.hasOwn(other.metrics, name) ? other.metrics[name] : undefined
        return known === undefined ? '–' : formatNumber(known)
      }),
      change: changeCell(name, value, comparisons, view.better ?? {}),
    }
  })
  const wall = isFinal(view.run.state) ? secondsBetween(view.run.createdAt, view.run.endedAt) : null
  if (wall !== null && rows.length > 0)
    rows.push({
      name: 'wall time',
      here: formatDuration(wall),
      others: comparisons.map(other => (other.wallSeconds === null ? '–' : formatDuration(other.wallSeconds))),
      change: wallChange(wall, comparisons.find(other => other.wallSeconds !== null)?.wallSeconds ?? null),
    })
  const rest = names.length - effort.metrics
  return {
    compared: comparisons.length > 0,
    columns: comparisons.map(other => `${other.isParent ? 'parent ' : ''}${code(other.branch, 'table', 60)}`),
    rows,
    rest: rest > 0 ? link(`and ${countOf(rest, 'more metric')}`, runUrl(view.publicUrl, view.run)) : null,
    problems,
  }
}

/** Under their own names; where two jobs use one name, under `job: name`. */
function metricsOf(run: Run): Map<string, number> {
  const found = run.jobs.flatMap(job =>
    Object.entries(lastAttempt(job)?.collected?.metrics ?? {}).map(([name, value]) => ({ job: job.name, name, value })),
  )
  const times = new Map<string, number>()
  for (const { name } of found) times.set(name, (times.get(name) ?? 0) + 1)
  return new Map(found.map(({ job, name, value }) => [times.get(name) === 1 ? name : `${job}: ${name}`, value]))
}

/** Against the first that knows it. Which way is better is said only where somebody said so. */
function changeCell(
  name: string,
  value: number,
  comparisons: readonly Comparison[],
  better: Readonly<Record<string, 'lower' | 'higher'>>,
): string {
  const other = comparisons.find(({ metrics }) => Object.hasOwn(metrics, name))?.metrics[name]
  if (other === undefined) return comparisons.length === 0 ? '' : 'new'
  if (other === value) return 'same'
  if (other === 0 || !Number.isFinite(value / other)) return '–'
  const change = (value - other) / Math.abs(other)
  const by = formatPercent(Math.abs(change))
  const wish = Object.hasOwn(better, name) ? better[name] : undefined
  if (wish === undefined) return `${by} ${change < 0 ? 'lower' : 'higher'}`
  return (wish === 'lower') === change < 0 ? `better by ${by}` : `worse by ${by}`
}

function wallChange(wall: number, other: number | null): string {
  if (other === null || other <= 0) return ''
  const change = (wall - other) / other
  if (Math.abs(change) < 0.005) return 'same'
  return `${change < 0 ? 'faster' : 'slower'} by ${formatPercent(Math.abs(change))}`
}
