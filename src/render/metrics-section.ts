/** The numbers of a run beside those of its parent and of the target branch. */

import { isFinal } from '../model/job-state.ts'
import { countOf, formatDuration, formatNumber, formatPercent, secondsBetween } from './amounts.ts'
import { runUrl } from './links.ts'
import { code, inline, link, prose } from './markdown.ts'
import { type Metric, metricsOf, type Verdict, verdictOf } from './metrics.ts'
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
    const metric = here.get(name)!
    return {
      name: inline(name, 80),
      here: formatNumber(metric.value),
      others: comparisons.map(other => {
        const known = Object.hasOwn(other.metrics, name) ? other.metrics[name] : undefined
        return known === undefined ? '–' : formatNumber(known)
      }),
      change: changeCell(name, metric, comparisons),
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

function inWords({ how, by }: Verdict): string {
  if (how === 'same') return 'same'
  if (how === 'noise') return by === '0 %' ? 'noise' : `noise (${by})`
  if (how === 'lower' || how === 'higher') return `${by} ${how}`
  return how === 'worse' ? `**worse by ${by}**` : `better by ${by}`
}

/** Against the first that knows it, most often the parent; against a second in a few words more. */
function changeCell(name: string, metric: Metric, comparisons: readonly Comparison[]): string {
  const known = comparisons.filter(({ metrics }) => Object.hasOwn(metrics, name))
  const [first, second] = known.map(other => ({ other, verdict: verdictOf(metric, other.metrics[name] as number) }))
  if (first === undefined) return comparisons.length === 0 ? '' : 'new'
  const said = first.verdict === null ? '–' : inWords(first.verdict)
  const more = second?.verdict ?? null
  if (second === undefined || more === null || first.verdict === null) return said
  const than = `than ${code(second.other.branch, 'table', 40)}`
  if (more.how === 'same' || more.how === 'noise')
    return first.verdict.how === more.how ? said : `${said}, as ${code(second.other.branch, 'table', 40)}`
  return more.how === first.verdict.how
    ? `${said}, ${than} by ${more.by}`
    : `${said}, ${more.how} ${than} by ${more.by}`
}

function wallChange(wall: number, other: number | null): string {
  if (other === null || other <= 0) return ''
  const change = (wall - other) / other
  if (Math.abs(change) < 0.005) return 'same'
  return `${change < 0 ? 'faster' : 'slower'} by ${formatPercent(Math.abs(change))}`
}
