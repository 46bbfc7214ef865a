import { projectFor } from '../../config/index.ts'
import { readTasks } from '../../model/array.ts'
import { isFinal, type JobState } from '../../model/job-state.ts'
import { jobNeeds, needInWords } from '../../model/needs.ts'
import type { Attempt, Job, Run } from '../../model/run.ts'
import { formatCoreHours, formatDuration, formatNumber, formatTime } from '../../render/amounts.ts'
import { approvalWanted, costInWords, limitInWords } from '../../render/approval.ts'
import { branchPath } from '../../render/links.ts'
import {
  coreSeconds,
  cpuEfficiency,
  failureInWords,
  lastAttempt,
  openNeeds,
  ranSeconds,
  verdictOf,
  waitedSeconds,
} from '../../render/outcome.ts'
import { plain } from '../../render/plain.ts'
import { pageOf } from '../../run/page.ts'
import { isStale, latestRunIdOf } from '../../store/branches.ts'
import { jobsOf, loadRun, type RunRow } from '../../store/runs.ts'
import { type Act, actsOf } from '../act-list.ts'
import { listRegion, region } from '../page.ts'
import { type Html, render } from '../template.ts'
import { compareQuery } from './compare.ts'
import { launchQuery } from './launch.ts'
import { addressesOf, type PageKind, type Site } from './site.ts'
import { type Bar, heatStrip, progressBar, stateBar, timeline } from './strip.ts'
import { askedInWords, tasksOf } from './words.ts'

/** A run: what was asked, how each job stands, how long it waited and ran, what came out. */
export const runPage: PageKind = {
  at: /^\/runs\/([^/]+)$/,
  async show(site, visitor, { params }) {
    const { context } = site
    const { run: row, level, project } = await site.desk.run(visitor.caller, params[0]!)
    const run = await loadRun(context.db, row.id, 'collected')
    const page = await pageOf(context, row, run)
    const [now, zone, to] = [context.clock.now(), context.config.timeZone, addressesOf(site)]
    const span = { from: run.createdAt, to: run.endedAt ?? now }
    const shared = { now, zone, run, base: site.base }
    const current = (await latestRunIdOf(context.db, row.branchId)) === run.id
    const rows = run.jobs.map(job => ({
      key: job.id,
      html: render('run-job', { ...shared, ...jobRow(site, run, job, now, span) }),
    }))
    const acts = current
      ? allowed(actsOf(row, null, await jobsOf(context.db, row.id), await isStale(context.db, row.branchId)), level)
      : []
    const evidenceBranch = projectFor(context.config, project.path)?.evidence.branch ?? 'compops/evidence'
    const verdict = verdictOf(run)
    const head = {
      ...shared,
      ...{ words: plain(verdict.words), state: run.state, project: project.path, sha: run.sha.slice(0, 8) },
      bar: stateBar(countOf(run.jobs)),
      by: run.causedBy?.name ?? null,
      cost: run.jobs.length === 0 ? null : formatCoreHours(coreSeconds(run, now)),
      approval: row.approval === null ? null : approvalInWords(row),
      superseded: run.supersededBy === null ? null : to.run(run.supersededBy),
      older: !current && run.supersededBy === null,
      links: {
        ...{ jobs: to.jobs({ when: 'all', project: project.path, search: run.branch }) },
        commit: to.inGitLab(project.path, 'commit', run.sha),
        branch: to.inGitLab(project.path, 'tree', run.branch),
        compare: `${to.compare(project.path)}?${compareQuery([...(run.parent == null ? [] : [run.parent.branch]), run.id])}`,
        launch: row.ref.startsWith('refs/heads/')
          ? `${to.launch(project.path)}?${launchQuery({ branch: run.branch, set: [] })}`
          : null,
        evidence: page.evidenceUrl,
        branchPage:
          run.endedAt === null ? null : to.inGitLab(project.path, 'blob', evidenceBranch, branchPath(run.branch, 'md')),
      },
      acts: acts.map(act => ({ ...act, href: to.act(run.id, act.verb, null, `/runs/${run.id}`) })),
    }
    return {
      title: `${run.branch} at ${run.sha.slice(0, 8)}`,
      section: 'scheduler',
      template: 'run',
      view: { run, project: project.path },
      regions: [
        region('head', render('run-head', head)),
        region(
          'problems',
          render('run-problems', {
            run,
            away: page.clustersAway,
            problem: run.problem === null ? null : plain(run.problem),
            zone,
            now,
            problems: run.spec?.problems ?? [],
            refused: page.evidenceRefused,
          }),
        ),
        listRegion('jobs', {
          before: render('run-jobs-head', {
            empty: rows.length === 0,
            from: formatTime(span.from, zone, { seenFrom: now }),
            to: run.endedAt === null ? 'now' : formatTime(span.to, zone, { seenFrom: now }),
          }),
          rows,
          after: rows.length === 0 ? '' : '</tbody></table></div></section>',
        }),
        region('metrics', render('run-metrics', { rows: metricsOf(run), pictures: picturesOf(site, run, page) })),
        region(
          'history',
          render('run-history', {
            ...shared,
            history: (page.history ?? []).map(past => ({
              ...past,
              href: to.run(past.id),
              short: past.sha.slice(0, 8),
              words: plain(past.words),
            })),
          }),
        ),
      ],
    }
  },
}

export function allowed(acts: readonly Act[], level: number): Act[] {
  return acts.filter(act => level >= act.level)
}

function countOf(jobs: readonly { readonly state: JobState }[]): Partial<Record<JobState, number>> {
  const counts: Partial<Record<JobState, number>> = {}
  for (const { state } of jobs) counts[state] = (counts[state] ?? 0) + 1
  return counts
}

function approvalInWords({ approval, causedBy }: Pick<RunRow, 'approval' | 'causedBy'>): string {
  const { estimate, limit, approved } = approval!
  return approved === null
    ? plain(`Waits: ${approvalWanted(approval!, causedBy?.username ?? null)}.`)
    : `Approved by ${approved.by.name}: it can cost ${costInWords(estimate)}, more than ${limitInWords(limit)}.`
}

function jobRow(site: Site, run: Run, job: Job, now: Date, span: { from: Date; to: Date }) {
  const attempt = lastAttempt(job)
  const open = !isFinal(job.state)
  const waits = job.state === 'waiting' ? openNeeds(job, run) : []
  const total = tasksOf(job.spec.array)
  return {
    ...{ job, key: job.id, attempt },
    href: addressesOf(site).job(run.id, job.name),
    strip: job.tasks === undefined || job.spec.array === undefined ? null : stripOf(job),
    ...{
      total,
      failed: job.tasks?.filter(task => task.state === 'failed').length ?? 0,
      done: job.tasks?.filter(task => task.state === 'completed').length ?? 0,
    },
    why: waits.length > 0 ? `waits for ${waits.slice(0, 4).join(', ')}` : whyOf(job),
    again: job.attempts.length > 1 ? job.attempts.length : null,
    progress: job.state === 'running' ? progressOf(attempt) : null,
    waitingSince:
      open && attempt !== null && attempt.startedAt === null ? (attempt.queuedAt ?? attempt.submittedAt) : null,
    waited: waitedSeconds(attempt, attempt?.endedAt ?? now),
    runningSince: open ? (attempt?.startedAt ?? null) : null,
    ran: ranSeconds(attempt, now),
    asked: askedInWords(job.spec.resources),
    used: usedInWords(attempt),
    line: timeline(
      job.attempts.flatMap(one => barsOf(one, job.name, now)),
      span,
    ),
  }
}

/** Why it waits or failed, where there is more to say than its state. */
export function whyOf(job: Job): string | null {
  if (job.state === 'completed') return null
  return job.state === 'failed' ? plain(failureInWords(job)) : job.message === null ? null : plain(job.message)
}

export function stripOf(job: Job): Html {
  const known = new Map((job.tasks ?? []).map(task => [task.index, task.state]))
  const otherwise: JobState = isFinal(job.state) ? job.state : 'waiting'
  return heatStrip(readTasks(job.spec.array?.tasks ?? '').map(index => known.get(index) ?? otherwise))
}

export function progressOf(attempt: Attempt | null): Html | null {
  const percent = attempt?.progress?.percent ?? null
  return percent === null ? null : progressBar(percent, (attempt?.progress?.text ?? '').slice(0, 80))
}

/** `31 % of its cores, 2.1 G` */
export function usedInWords(attempt: Attempt | null): string | null {
  const used = cpuEfficiency(attempt)
  const peak = attempt?.accounting?.maxRss ?? null
  const parts = [
    used === null ? '' : `${Math.round(used * 100)} % of its cores`,
    peak === null ? '' : `${formatNumber(Math.round(peak / 1024 ** 2))} MiB at most`,
  ].filter(part => part !== '')
  return parts.length === 0 ? null : parts.join(', ')
}

export function barsOf(attempt: Attempt, name: string, now: Date): Bar[] {
  const bars: Bar[] = []
  const queued = attempt.queuedAt ?? attempt.submittedAt
  const waited = waitedSeconds(attempt, attempt.endedAt ?? now)
  const ran = ranSeconds(attempt, now)
  if (queued !== null)
    bars.push({
      from: queued,
      to: attempt.startedAt ?? attempt.endedAt,
      kind: 'waited',
      words: `${name} waited ${formatDuration(waited ?? 0)}`,
    })
  if (attempt.startedAt !== null)
    bars.push({
      from: attempt.startedAt,
      to: attempt.endedAt,
      kind: attempt.state,
      words: `ran ${formatDuration(ran ?? 0)}`,
    })
  return bars
}

/** The numbers of its jobs, each under its own name. */
function metricsOf(run: Run) {
  return run.jobs.flatMap(job =>
    Object.entries(lastAttempt(job)?.collected?.metrics ?? {})
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, 100)
      .map(([name, value]) => ({ name, value: formatNumber(value), job: job.name })),
  )
}

function picturesOf({ base }: Site, run: Run, page: Awaited<ReturnType<typeof pageOf>>) {
  const attempts = new Map(run.jobs.map(job => [job.name, lastAttempt(job)]))
  return (page.plots ?? []).slice(0, 24).flatMap(plot => {
    const attempt = attempts.get(plot.job) ?? null
    const output = attempt?.collected?.outputs.find(one => one.path === plot.path)
    if (attempt === null || output === undefined || !/\.(png|jpe?g|gif|webp)$/i.test(plot.path)) return []
    return [{ job: plot.job, path: plot.path, src: fileAddress(base, attempt.id, 'checkout', plot.path, true) }]
  })
}

export function fileAddress(base: string, attempt: string, place: string, path: string, show = false): string {
  return `${base}/attempts/${attempt}/file?${new URLSearchParams({ in: place, path, ...(show ? { show: '1' } : {}) })}`
}

export function needsOf(job: Job): string {
  return jobNeeds(job.spec.needs).map(needInWords).join(', ')
}
