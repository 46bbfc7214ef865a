/**
 * Commit statuses. GitLab keeps a description only when the state changes (`running` to `running` is refused), so each says what stays
 * true for as long as GitLab's state lasts: `pending` is one state from waiting to the scheduler's queue.
 */
import { createHash } from 'node:crypto'
import { countTasks } from '../model/array.ts'
import { reusedInWords } from '../model/cache-key.ts'
import { type GitLabState, gitlabState, isFinal, jobStates, runState } from '../model/job-state.ts'
import type { Job, Run } from '../model/run.ts'
import { countOf, formatDuration, formatMebibytes, formatPercent, formatTime, secondsBetween } from './amounts.ts'
import { approvalStatus } from './approval.ts'
import { jobUrl, runUrl } from './links.ts'
import { cut, cutMiddle, oneLine } from './markdown.ts'
import {
  clustersOf,
  coresOf,
  cpuEfficiency,
  failureInWords,
  gates,
  isInfrastructure,
  lastAttempt,
  openNeeds,
  ranSeconds,
  resourcesOf,
  stepOf,
} from './outcome.ts'

export interface StatusOptions {
  readonly publicUrl: string
  readonly timeZone: string
}

export interface CommitStatus {
  readonly name: string
  readonly state: GitLabState
  /** At most 140 characters. */
  readonly description: string
  readonly targetUrl: string
}

/** Of the run as a whole. */
export const treeStatus = 'compops/tree'

/** GitLab takes 255; the list of a pipeline shows about half of it. */
export const maxDescription = 140
const maxName = 200

/**
 * What a commit shows of a run. A merge waits for whatever is unfinished, so a job that gates nothing has a status only when it has ended, and `compops/tree`
 * is that of the others.
 */
export function renderStatuses(run: Run, options: StatusOptions): CommitStatus[] {
  const approval = approvalStatus(run)
  const asked =
    approval === null
      ? []
      : [
          {
            ...approval,
            description: oneLine(approval.description, maxDescription),
            name: 'compops/approval',
            targetUrl: runUrl(options.publicUrl, run),
          },
        ]
  return [...asked, ...statusesOfJobs(run, options)]
}

function statusesOfJobs(run: Run, options: StatusOptions): CommitStatus[] {
  const gating = gatingPart(run)
  if (gating === run)
    return [...run.jobs.map(job => renderJobStatus(job, run, options)), renderTreeStatus(run, options)]
  const statuses = run.jobs.flatMap(job => {
    const status = renderJobStatus(job, run, options)
    if (gates(job)) return status
    return isFinal(job.state) ? harmless(status, jobStates[job.state].label) : []
  })
  if (gating.jobs.length > 0) return [...statuses, renderTreeStatus(gating, options)]
  return run.endedAt === null
    ? statuses
    : [...statuses, harmless(renderTreeStatus(run, options), jobStates[run.state].label)]
}

/** An external status cannot be allowed to fail: `skipped` is the one end that neither blocks a merge nor says that all is well. */
function harmless(status: CommitStatus, label: string): CommitStatus {
  if (status.state === 'success' || status.state === 'skipped') return status
  return {
    ...status,
    state: 'skipped',
    description: oneLine(`${label}, gates nothing: ${status.description}`, maxDescription),
  }
}

/** The run as far as a merge is concerned. */
function gatingPart(run: Run): Run {
  const jobs = run.jobs.filter(gates)
  if (jobs.length === run.jobs.length) return run
  const ends = jobs.flatMap(job => lastAttempt(job)?.endedAt?.getTime() ?? [])
  const state = jobs.length === 0 ? run.state : runState(jobs.map(job => job.state))
  return { ...run, jobs, state, endedAt: isFinal(state) && ends.length > 0 ? new Date(Math.max(...ends)) : run.endedAt }
}

export function renderJobStatus(job: Job, run: Run, options: StatusOptions): CommitStatus {
  return {
    name: statusName(job.name),
    state: gitlabState(job.state, job.reason),
    description: oneLine(describeJob(job, run, options.timeZone), maxDescription),
    targetUrl: jobUrl(options.publicUrl, run, job),
  }
}

/** The run as a whole: `compops/tree`. */
export function renderTreeStatus(run: Run, options: StatusOptions): CommitStatus {
  return {
    name: treeStatus,
    state: treeState(run),
    description: oneLine(describeRun(run), maxDescription),
    targetUrl: runUrl(options.publicUrl, run),
  }
}

/** `compops/<job>`; a name too long for GitLab keeps its start and gets a digest, so that two stay two. */
export function statusName(job: string): string {
  const name = `compops/${oneLine(job, 4 * maxName)}`
  if (name.length <= maxName) return name
  const digest = createHash('sha256').update(job).digest('hex').slice(0, 8)
  return `${cut(name, maxName - 9)}~${digest}`
}

function describeJob(job: Job, run: Run, timeZone: string): string {
  const attempt = lastAttempt(job)
  const where = attempt?.nativeId == null ? job.cluster : `${job.cluster} ${attempt.nativeId}`
  const ran = attempt?.endedAt == null ? null : ranSeconds(attempt, attempt.endedAt)
  const after = ran === null ? '' : ` after ${formatDuration(ran)}`
  const attempts = job.attempts.length > 1 ? ` · ${job.attempts.length} attempts` : ''
  const said = job.message === null ? '' : `: ${job.message}`
  const step = stepOf(job) === null ? '' : ` · ${stepOf(job)}`
  switch (job.state) {
    case 'waiting': {
      const needs = openNeeds(job, run)
      if (needs.length === 0 && job.attempts.length > 0 && job.message !== null)
        return `${job.cluster} · ${job.message}`
      if (needs.length > 0) return `waits for ${listed(needs)}, then for ${job.cluster}`
      // For another branch: what it needs of its own run it says itself.
      const elsewhere = job.spec.needs.length === 0 && job.message?.startsWith('waits for ') === true
      return elsewhere ? `${job.message}, then for ${job.cluster}` : `${where} · waits for its turn`
    }
    case 'submitting':
      return `${job.cluster} · waits for its turn`
    case 'held':
      return `${where} · held at first${said}`
    case 'queued': {
      const since = attempt?.queuedAt ?? attempt?.submittedAt ?? null
      const queue = attempt?.queue ?? job.spec.resources.partition
      return `${where} · queued${queue === undefined ? '' : ` in ${queue}`}${since === null ? '' : ` since ${time(since, run, timeZone)}`}${step}`
    }
    case 'running':
    case 'suspended': {
      const limit = resourcesOf(job).time
      const started = attempt?.startedAt == null ? 'started' : `started ${time(attempt.startedAt, run, timeZone)}`
      return `${where} · ${started}${limit === undefined ? '' : `, limit ${formatDuration(limit)}`}${step} · live at the link`
    }
    case 'completed': {
      const used = cpuEfficiency(attempt)
      const cost = used === null ? '' : ` · ${countOf(Math.round(coresOf(job)), 'core')}, ${formatPercent(used)} used`
      const all = job.spec.array === undefined ? '' : ` ${countOf(countTasks(job.spec.array.tasks), 'task')}`
      if (attempt?.reused !== undefined) return `${job.cluster} · completed, ${reusedInWords(attempt.reused)}`
      return `${where} ·${all} completed${ran === null ? '' : ` in ${formatDuration(ran)}`}${cost}${attempts}`
    }
    case 'failed':
      if (job.reason === 'submit') return `${job.cluster} · not accepted${said}`
      if (isInfrastructure(job))
        return `${where} · ${failureInWords(job)}${after}: the cluster, not the commit${attempts}`
      if (job.reason === 'fail_on') return `${where} · ${failureInWords(job)}${after}${attempts}${said}`
      return `${where} · ${failureInWords(job)}${asked(job)}${after}${attempts}`
    case 'canceled':
      return `${where} · canceled${after}${said}`
    case 'skipped':
      return `skipped${said === '' ? upstream(job, run) : said}`
  }
}

/** A date is added to a time only if it is not the day on which the run began. */
function time(date: Date, run: Run, timeZone: string): string {
  return formatTime(date, timeZone, { seenFrom: run.createdAt })
}

function asked(job: Job): string {
  const { mem, mem_per_cpu: perCpu } = resourcesOf(job)
  if (job.reason !== 'memory') return ''
  if (mem !== undefined) return ` (asked ${formatMebibytes(mem)})`
  return perCpu === undefined ? '' : ` (asked ${formatMebibytes(perCpu)} per CPU)`
}

function upstream(job: Job, run: Run): string {
  const needs = openNeeds(job, run)
  return needs.length === 0 ? '' : `: needs ${listed(needs)}`
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 3).map(name => cut(name, 30))
  return names.length > 3 ? `${shown.join(', ')} and ${names.length - 3} more` : shown.join(', ')
}

function treeState(run: Run): GitLabState {
  if (run.problem !== null || run.jobs.length === 0) return 'failed'
  const failed = run.jobs.filter(job => job.state === 'failed')
  if (run.state === 'failed' && failed.length > 0 && failed.every(isInfrastructure)) return 'canceled'
  const state = gitlabState(run.state, null)
  // Between two jobs a run is still under way, and GitLab cannot go back from running to pending.
  const begun = run.jobs.some(job => job.attempts.some(attempt => attempt.startedAt !== null))
  return state === 'pending' && begun ? 'running' : state
}

function describeRun(run: Run): string {
  const mistakes = run.spec?.problems ?? []
  const mistake = mistakes[0]
  if (mistake !== undefined) {
    const line = mistake.line === null ? '' : ` line ${mistake.line}`
    const more = mistakes.length > 1 ? ` (and ${countOf(mistakes.length - 1, 'more mistake')})` : ''
    const text = `\`${oneLine(mistake.file ?? '.compops.yml')}\`${line}: ${oneLine(mistake.message)}`
    return `${cut(text, maxDescription - more.length)}${more}`
  }
  if (run.problem !== null) return run.problem
  const branch = cutMiddle(run.branch, 50)
  const self = run.parent === null ? branch : `${branch}, child of ${cutMiddle(run.parent.branch, 40)}`
  const total = countOf(run.jobs.length, 'job')
  const on = clustersOf(run) === '' ? '' : ` on ${cut(clustersOf(run), 40)}`
  const took = secondsBetween(run.createdAt, run.endedAt)
  const within = took === null ? '' : ` in ${formatDuration(took)}`
  const failed = run.jobs.filter(job => job.state === 'failed')
  switch (treeState(run)) {
    case 'success':
      return `${self} · ${total} completed${within}`
    case 'failed':
      return `${branch} · ${failed.length} of ${total} failed: ${failures(failed)}`
    case 'canceled':
      return failed.length > 0
        ? `${branch} · ${failures(failed)}: the cluster, not the commit`
        : `${branch} · canceled${within}`
    case 'skipped':
      return `${branch} · skipped`
    case 'pending':
    case 'running':
      return `${self} · ${total}${on}`
  }
}

function failures(failed: readonly Job[]): string {
  const shown = failed.slice(0, 2).map(job => `${cut(job.name, 30)} (${failureInWords(job)})`)
  return failed.length > 2 ? `${shown.join(', ')} and ${failed.length - 2} more` : shown.join(', ')
}
