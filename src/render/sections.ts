/** What a page about a run says, section by section, as Markdown that the templates only arrange. The note and the branch page share it. */
import { isFinal, jobStates } from '../model/job-state.ts'
import type { Attempt, Job, Run } from '../model/run.ts'
import {
  countOf,
  formatCoreHours,
  formatDuration,
  formatMebibytes,
  formatNumber,
  formatPercent,
  formatSize,
  formatTime,
  secondsBetween,
} from './amounts.ts'
import { jobUrl, runUrl } from './links.ts'
import { code, fence, html, inline, lastLines, link, oneLine, prose, together } from './markdown.ts'
import { type Neighbour, renderNeighbourhood } from './mermaid.ts'
import {
  advice,
  clustersOf,
  coreSeconds,
  coresOf,
  cpuEfficiency,
  failureInWords,
  lastAttempt,
  openNeeds,
  ranSeconds,
  verdictOf,
  waitedSeconds,
} from './outcome.ts'

/** Everything a page about a run needs to know. What is left out is not shown. */
export interface PageView {
  readonly run: Run
  /** When this became true: durations are counted until then. Not "now", else nothing would ever be unchanged. */
  readonly at: Date
  readonly timeZone: string
  readonly publicUrl: string
  readonly parent?: Neighbour | null
  readonly children?: readonly Neighbour[]
  /** This branch was computed from an older result of its parent. */
  readonly stale?: boolean
  /** The parent's latest results first, then the target branch's. */
  readonly comparisons?: readonly Comparison[]
  /** Metrics of which it is known which way is better. */
  readonly better?: Readonly<Record<string, 'lower' | 'higher'>>
  readonly clustersAway?: readonly ClusterAway[]
  /** `.compops.yml` as it was read, for the lines around a mistake. */
  readonly specText?: string | null
  /** Older runs of this branch, newest first. */
  readonly history?: readonly PastRun[]
  readonly evidenceUrl?: string | null
  /** Whether comment commands are answered. */
  readonly commands?: boolean
}

export interface Comparison {
  readonly branch: string
  readonly isParent: boolean
  readonly metrics: Readonly<Record<string, number>>
  /** From push to end. */
  readonly wallSeconds: number | null
}

export interface ClusterAway {
  readonly name: string
  readonly since: Date
  /** e.g. `connection refused` */
  readonly why: string
}

export interface PastRun {
  readonly id: string
  readonly sha: string
  readonly state: Run['state']
  /** In words, e.g. `sweep failed: out of memory`. */
  readonly words: string
  readonly createdAt: Date
  readonly endedAt: Date | null
}

/** How much is said; less, when a page would grow too long. */
export interface Effort {
  readonly jobs: number
  readonly failures: number
  readonly lines: number
  readonly metrics: number
  readonly diagram: number
}

export function verdictSection(view: PageView) {
  const { run, at } = view
  const verdict = verdictOf(run)
  const on = clustersOf(run)
  return {
    verdict: `${verdict.symbol} ${prose(verdict.words, 'paragraph', 200)}`,
    on: on === '' ? '' : ` on ${inline(on, 200)}`,
    facts: [
      `${code(run.branch, 'paragraph', 200)} at ${code(run.sha.slice(0, 8))}`,
      ...times(run, at),
      ...cost(run, at),
    ].join(' · '),
    superseded:
      run.supersededBy === null
        ? null
        : `A newer push took over: ${link('its run', runUrl(view.publicUrl, { id: run.supersededBy }))}.`,
  }
}

function times(run: Run, at: Date): string[] {
  if (run.jobs.length === 0) return []
  const starts = run.jobs.flatMap(job => job.attempts.flatMap(attempt => attempt.startedAt?.getTime() ?? []))
  const first = starts.length === 0 ? null : new Date(Math.min(...starts))
  const until = isFinal(run.state) ? (run.endedAt ?? at) : at
  const waited = secondsBetween(run.createdAt, first ?? until)
  const ran = secondsBetween(first, until)
  const waitedText = waited === null || (first !== null && waited < 1) ? [] : [`waited ${formatDuration(waited)}`]
  if (ran === null) return waitedText
  return [`${[...waitedText, `${isFinal(run.state) ? 'ran' : 'running'} ${formatDuration(ran)}`].join(', ')}`]
}

/** What it cost so far, and what it can cost at most where every job has a time limit. */
function cost(run: Run, at: Date): string[] {
  const spent = coreSeconds(run, at)
  if (isFinal(run.state)) return spent > 0 ? [formatCoreHours(spent)] : []
  const limits = run.jobs.map(job => (job.spec.resources.time ?? Number.NaN) * coresOf(job))
  const most = limits.reduce((sum, limit) => sum + limit, 0)
  const atMost = Number.isNaN(most) || most === 0 ? '' : `at most ${formatCoreHours(most)}`
  if (spent < 36) return atMost === '' ? [] : [atMost]
  return [`${formatCoreHours(spent)} so far${atMost === '' ? '' : `, ${atMost}`}`]
}

export function awaySection(view: PageView) {
  return (view.clustersAway ?? []).slice(0, 5).map(away => ({
    name: inline(away.name, 60),
    since: formatTime(away.since, view.timeZone, { seenFrom: view.at }),
    why: inline(away.why, 200),
  }))
}

/** The mistakes of a wrong file, each with its line and the neighbours; or the sentence why nothing was run. */
export function mistakesSection(view: PageView, effort: Effort) {
  const { run } = view
  const problems = run.spec?.problems ?? []
  if (problems.length === 0 && run.problem === null) return null
  const shown = problems.slice(0, Math.max(1, Math.min(10, effort.failures)))
  const rest = problems.length - shown.length
  return {
    reason: problems.length > 0 || run.problem === null ? null : prose(run.problem, 'paragraph', 1000),
    mistakes: shown.map(({ line, message, remedy }) => ({
      where: line === null ? '`.compops.yml`' : `\`.compops.yml\`, line ${line}`,
      message: prose(remedy === null ? message : `${message} ${remedy}`, 'paragraph', 600),
      excerpt: excerpt(view.specText ?? null, line),
    })),
    rest: rest > 0 ? `and ${countOf(rest, 'more mistake')}` : null,
  }
}

/** The line and its neighbours, numbered, the line itself marked. */
function excerpt(text: string | null, line: number | null): string | null {
  if (text === null || line === null) return null
  const lines = text.split(/\r?\n/, line + 2)
  if (line < 1 || line > lines.length) return null
  const from = Math.max(1, line - 2)
  const to = Math.min(lines.length, line + 2)
  const width = String(to).length
  const rows: string[] = []
  for (let number = from; number <= to; number += 1) {
    const shown = lastLines(lines[number - 1] ?? '', { lines: 1, width: 160 })[0] ?? ''
    rows.push(`${number === line ? '>' : ' '} ${String(number).padStart(width)} | ${shown}`.trimEnd())
  }
  return fence(rows.join('\n'), 'text')
}

export function treeSection(view: PageView, effort: Effort): string | null {
  const { run } = view
  const diagram = renderNeighbourhood(
    {
      parent: view.parent ?? null,
      branch: run.branch,
      stale: view.stale ?? false,
      jobs: run.jobs.map(job => ({ name: job.name, state: job.state, needs: job.spec.needs })),
      children: view.children ?? [],
    },
    effort.diagram,
  )
  // A fence of our own text: fence() would put zero-width characters into the labels.
  return diagram === null ? null : `\`\`\`mermaid\n${diagram}\n\`\`\``
}

export function jobsSection(view: PageView, effort: Effort) {
  const { run } = view
  if (run.jobs.length === 0) return null
  const shown = run.jobs.length <= effort.jobs ? run.jobs : interestingFirst(run.jobs).slice(0, effort.jobs)
  const rest = run.jobs.length - shown.length
  return {
    rows: shown.map(job => jobRow(job, view)),
    rest: rest > 0 ? `${link(`and ${countOf(rest, 'more job')}`, runUrl(view.publicUrl, run))}` : null,
  }
}

function interestingFirst(jobs: readonly Job[]): Job[] {
  const order = [
    'failed',
    'running',
    'suspended',
    'held',
    'queued',
    'submitting',
    'canceled',
    'waiting',
    'skipped',
    'completed',
  ]
  return jobs.toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state))
}

function jobRow(job: Job, view: PageView) {
  const attempt = lastAttempt(job)
  const waited = waitedSeconds(attempt, view.at)
  const ran = ranSeconds(attempt, view.at)
  return {
    name: inline(job.name, 80),
    where: together(
      attempt?.nativeId == null
        ? inline(job.cluster, 60)
        : `${inline(job.cluster, 60)} ${inline(attempt.nativeId, 40)}`,
    ),
    state: stateCell(job, view.run),
    waited: waited === null ? '–' : together(formatDuration(waited)),
    ran: ran === null ? '–' : together(formatDuration(ran)),
    resources: resourcesCell(job, attempt),
    links: linksCell(job, attempt, view),
  }
}

function stateCell(job: Job, run: Run): string {
  const { symbol, label } = jobStates[job.state]
  const again = job.attempts.length > 1 ? `, attempt ${job.attempts.length}` : ''
  const said = job.message === null ? '' : `: ${prose(job.message, 'table', 160)}`
  const needs = openNeeds(job, run)
    .slice(0, 4)
    .map(name => inline(name, 40))
  switch (job.state) {
    case 'failed':
      return `${symbol} **${inline(failureInWords(job))}**${again}`
    case 'waiting':
      return needs.length > 0 ? `${symbol} waits for ${needs.join(', ')}` : `${symbol} ${label}${said}`
    case 'skipped':
      return `${symbol} ${label}${said !== '' || needs.length === 0 ? said : `: needs ${needs.join(', ')}`}`
    case 'completed':
      return `${symbol} ${label}${again}`
    default:
      return `${symbol} ${label}${again}${said}`
  }
}

/** `8 cores → 31 %, 16 G → 2.1 G, 2 × a100` */
function resourcesCell(job: Job, attempt: Attempt | null): string {
  const { mem, mem_per_cpu: perCpu, gpus, gpus_per_node: perNode, nodes } = job.spec.resources
  const used = cpuEfficiency(attempt)
  const peak = attempt?.accounting?.maxRss ?? null
  const parts = [`${countOf(coresOf(job), 'core')}${used === null ? '' : ` → ${formatPercent(used)}`}`]
  if (nodes !== undefined && nodes > 1) parts.push(countOf(nodes, 'node'))
  const asked =
    mem === undefined ? (perCpu === undefined ? null : `${formatMebibytes(perCpu)} per core`) : formatMebibytes(mem)
  if (job.reason === 'memory') parts.push(`${asked === null ? 'memory' : asked} → out of memory`)
  else if (peak !== null) parts.push(asked === null ? formatSize(peak) : `${asked} → ${formatSize(peak)}`)
  else if (asked !== null) parts.push(asked)
  const request = gpus ?? perNode
  if (request !== undefined)
    parts.push(`${request.count} × ${inline(request.type ?? 'GPU', 30)}${gpus === undefined ? ' per node' : ''}`)
  return parts.map(together).join(', ')
}

function linksCell(job: Job, attempt: Attempt | null, view: PageView): string {
  const url = jobUrl(view.publicUrl, view.run, job)
  const links: string[] = []
  if (attempt?.startedAt != null) links.push(link('log', url))
  const outputs =
    attempt?.collected === null
      ? 0
      : (attempt?.collected.outputs.length ?? 0) + (attempt?.collected.outputsOmitted ?? 0)
  if (outputs > 0) links.push(link(together(`outputs (${outputs})`), `${url}#outputs`))
  return links.join(' · ')
}

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

export function failuresSection(view: PageView, effort: Effort) {
  const failed = view.run.jobs.filter(job => job.state === 'failed')
  const shown = failed.slice(0, effort.failures).map(job => failure(job, view, effort))
  const rest = failed.length - shown.length
  return {
    shown,
    rest: rest > 0 ? link(`and ${countOf(rest, 'more failed job')}`, runUrl(view.publicUrl, view.run)) : null,
  }
}

function failure(job: Job, view: PageView, effort: Effort) {
  const attempt = lastAttempt(job)
  const ran = attempt?.endedAt == null ? null : ranSeconds(attempt, attempt.endedAt)
  const words = failureInWords(job)
  const exitCode = attempt?.exitCode ?? null
  const exit = exitCode === null || exitCode === 0 || words.startsWith('exit ') ? '' : ` (exit ${exitCode})`
  const lines =
    effort.lines === 0 ? [] : lastLines(attempt?.collected?.logTail ?? '', { lines: effort.lines, width: 240 })
  const log = attempt?.collected?.logSize ?? 0
  const advised = advice(job, view.commands ?? false)
  return {
    summary: `<b>${html(job.name, 80)}</b>: ${html(words)}${ran === null ? '' : ` after ${formatDuration(ran)}`}${exit}`,
    message: job.message === null ? null : prose(job.message, 'paragraph', 500),
    caption:
      lines.length === 0
        ? null
        : `${lines.length === 1 ? 'The last line' : `The last ${lines.length} lines`} of its ${link(log > 0 ? `log (${formatSize(log)})` : 'log', jobUrl(view.publicUrl, view.run, job))}:`,
    tail: lines.length === 0 ? null : fence(lines.join('\n'), 'text'),
    advice: advised === null ? null : `**Try:** ${advised}`,
  }
}

export function historySection(view: PageView) {
  const past = view.history ?? []
  const shown = past.slice(0, 10)
  if (shown.length === 0) return null
  return {
    summary: `history (${countOf(past.length, 'earlier run')})`,
    rows: shown.map(run => {
      const took = secondsBetween(run.createdAt, run.endedAt)
      return {
        commit: link(code(run.sha.slice(0, 8), 'table'), runUrl(view.publicUrl, run)),
        state: `${jobStates[run.state].symbol} ${prose(run.words, 'table', 120)}`,
        started: formatTime(run.createdAt, view.timeZone, { seenFrom: view.at }),
        took: took === null ? '–' : together(formatDuration(took)),
      }
    }),
  }
}

export function footerSection(view: PageView): string {
  const { run } = view
  const cause = oneLine(run.causedHow) === '' ? [] : [inline(run.causedHow, 120)]
  return [
    ...(view.commands === true ? ['`/compops help`'] : []),
    ...(view.evidenceUrl == null ? [] : [link('evidence', view.evidenceUrl)]),
    link('dashboard', runUrl(view.publicUrl, run)),
    ...cause,
    `updated ${formatTime(view.at, view.timeZone, { seenFrom: run.createdAt, seconds: true })}`,
  ].join(' · ')
}
