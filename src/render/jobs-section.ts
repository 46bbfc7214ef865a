/** The table of jobs: where, how it stands, how long, what was asked and what was used. */
import { countTasks, readTasks } from '../model/array.ts'
import type { ReusedFrom } from '../model/cache-key.ts'
import { isFinal, jobStates } from '../model/job-state.ts'
import type { Attempt, Job } from '../model/run.ts'
import { countOf, formatDuration, formatMebibytes, formatPercent, formatSize } from './amounts.ts'
import { jobUrl, runUrl } from './links.ts'
import { code, inline, link, prose, together } from './markdown.ts'
import {
  coresOf,
  cpuEfficiency,
  failureInWords,
  gates,
  lastAttempt,
  openNeeds,
  ranSeconds,
  resourcesOf,
  stepOf,
  waitedSeconds,
} from './outcome.ts'
import type { Effort, PageView } from './page.ts'

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
    name: `${inline(job.name, 80)}${countCell(job)}${gates(job) ? '' : ' (gates nothing)'}`,
    where: together(
      attempt?.nativeId == null
        ? inline(job.cluster, 60)
        : `${inline(job.cluster, 60)} ${inline(attempt.nativeId, 40)}`,
    ),
    state: `${stateCell(job, attempt, view)}${stripCell(job)}`,
    waited: waited === null ? '–' : together(formatDuration(waited)),
    ran: ran === null ? '–' : together(formatDuration(ran)),
    resources: resourcesCell(job, attempt),
    links: linksCell(job, attempt, view),
  }
}

/** ` `3/10 failed``, ` `7/10 done``: of an array. */
function countCell(job: Job): string {
  const { array } = job.spec
  if (array === undefined) return ''
  const total = countTasks(array.tasks)
  const of = (state: Job['state']) => (job.tasks ?? []).filter(task => task.state === state).length
  return of('failed') > 0 ? ` \`${of('failed')}/${total} failed\`` : ` \`${of('completed')}/${total} done\``
}

/** A column for each task, or for as many neighbours as make a strip of twenty: high what is done, low what is not, or failed. */
function stripCell(job: Job): string {
  const { array } = job.spec
  if (array === undefined || job.tasks === undefined || job.tasks.length === 0) return ''
  const all = readTasks(array.tasks)
  if (all.length < 2) return ''
  const done = new Set(job.tasks.filter(task => task.state === 'completed').map(task => task.index))
  const width = Math.min(20, all.length)
  const columns = Array.from({ length: width }, (_, i) => {
    const part = all.slice(Math.floor((i * all.length) / width), Math.floor(((i + 1) * all.length) / width))
    return steps[Math.floor((part.filter(index => done.has(index)).length / part.length) * (steps.length - 1))]
  })
  return ` ${columns.join('')}`
}

const steps = '▁▂▃▄▅▆▇'

function stateCell(job: Job, attempt: Attempt | null, view: PageView): string {
  const { run } = view
  const { symbol, label } = jobStates[job.state]
  const step = isFinal(job.state) ? null : stepOf(job)
  const again =
    step !== null ? `, ${prose(step, 'table', 200)}` : job.attempts.length > 1 ? `, attempt ${job.attempts.length}` : ''
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
      return `${symbol} ${label}${attempt?.reused === undefined ? again : `: ${reusedFrom(attempt.reused, view)}`}`
    default:
      return `${symbol} ${label}${job.state === 'running' ? progressOf(attempt) : ''}${again}${said}`
  }
}

/** Where its result came from, with the way there. */
function reusedFrom({ runId, job, sha }: ReusedFrom, view: PageView): string {
  return `reused from ${link('an earlier run', runUrl(view.publicUrl, { id: runId }))} (${inline(job, 60)}, ${code(sha.slice(0, 8), 'table')})`
}

/** `, 40 %: iteration 400`, in the job's own words. */
function progressOf(attempt: Attempt | null): string {
  const { percent = null, text = '', task = null } = attempt?.progress ?? {}
  const words = [task === null ? '' : `task ${task}`, prose(text, 'table', 100)].filter(part => part !== '').join(': ')
  return `${percent === null ? '' : `, ${percent} %`}${words === '' ? '' : `: ${words}`}`
}

/** `8 cores → 31 %, 16 G → 2.1 G, 2 × a100` */
function resourcesCell(job: Job, attempt: Attempt | null): string {
  const { mem, mem_per_cpu: perCpu, gpus, gpus_per_node: perNode, nodes } = resourcesOf(job)
  const used = cpuEfficiency(attempt)
  const peak = attempt?.accounting?.maxRss ?? null
  const parts = [`${countOf(Math.round(coresOf(job)), 'core')}${used === null ? '' : ` → ${formatPercent(used)}`}`]
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
  const pages = view.dashboard !== false
  if (pages && attempt?.startedAt != null) links.push(link('log', url))
  const outputs =
    attempt?.collected === null
      ? 0
      : (attempt?.collected.outputs.length ?? 0) + (attempt?.collected.outputsOmitted ?? 0)
  const target = pages ? `${url}#outputs` : (view.evidenceUrl ?? null)
  const said = together(`outputs (${outputs})`)
  if (outputs > 0) links.push(target === null ? said : link(said, target))
  else if (attempt?.collected != null && job.spec.outputs.length > 0) links.push('**no outputs found**')
  return links.join(' · ')
}
