import { noSuch } from '../../auth/access.ts'
import { type ResourceName, resourceKeys } from '../../model/resources.ts'
import type { Job } from '../../model/run.ts'
import { formatDuration, formatMebibytes, formatNumber, formatSize } from '../../render/amounts.ts'
import { advice, lastAttempt, ranSeconds, waitedSeconds } from '../../render/outcome.ts'
import { plain } from '../../render/plain.ts'
import { resultsOf } from '../../results/manifest.ts'
import { latestRunIdOf } from '../../store/branches.ts'
import { jobsOf, loadRun } from '../../store/runs.ts'
import { actsOf } from '../act-list.ts'
import { region } from '../page.ts'
import { render } from '../template.ts'
import { allowed, barsOf, fileAddress, needsOf, progressOf, stripOf, usedInWords, whyOf } from './run.ts'
import { addressesOf, type PageKind } from './site.ts'
import { timeline } from './strip.ts'
import { tasksOf } from './words.ts'

/** Of a large array those that deserve a look. */
const mostTasks = 200
const mostOutputs = 500

/** A job: what was asked and where each value came from, its script, its attempts, its log as it grows, what it left behind. */
export const jobPage: PageKind = {
  at: /^\/runs\/([^/]+)\/jobs\/([^/]+)$/,
  async show(site, visitor, { params }) {
    const { context } = site
    const { run: row, level, project } = await site.desk.run(visitor.caller, params[0]!)
    const jobRow = (await jobsOf(context.db, row.id)).find(one => one.name === params[1])
    if (jobRow === undefined) throw noSuch(`job in run ${row.id}`)
    const run = await loadRun(context.db, row.id, 'collected')
    const job = run.jobs.find(one => one.id === jobRow.id)!
    const attempt = lastAttempt(job)
    const [now, zone, to] = [context.clock.now(), context.config.timeZone, addressesOf(site)]
    const here = `/runs/${run.id}/jobs/${encodeURIComponent(job.name)}`
    const current = (await latestRunIdOf(context.db, row.branchId)) === run.id
    const acts = current ? allowed(actsOf(row, jobRow, []), level) : []
    const first = job.attempts[0]
    const span = { from: first?.queuedAt ?? first?.submittedAt ?? run.createdAt, to: attempt?.endedAt ?? now }
    const shared = { now, zone, base: site.base, run, job }
    const logTask =
      job.tasks === undefined ? null : (job.tasks.find(task => task.state === 'failed') ?? job.tasks[0])?.index
    const results = resultsOf(run, [job], { timeZone: zone, publicUrl: context.config.publicUrl, at: now }).jobs[0]!
    const outputs = results.files.filter(file => file.in === 'checkout' || file.in === 'output')
    return {
      title: `${job.name} · ${run.branch}`,
      section: 'scheduler',
      template: 'job',
      view: {
        ...shared,
        ...{ project: project.path, runHref: to.run(run.id), values: valuesOf(job), needs: needsOf(job) },
        script: job.spec.script === null ? null : [...job.spec.setup, ...job.spec.script].join('\n'),
        file: job.spec.file?.path ?? null,
        params: Object.entries(job.spec.params).map(([name, value]) => ({ name, value: JSON.stringify(value) })),
        env: Object.entries(job.spec.env).map(([name, value]) => ({ name, value })),
        logHref: `${site.base}${here}/log`,
        logTask,
        task: logTask == null ? '' : `&task=${logTask}`,
        submitted: attempt === null ? null : fileAddress(site.base, attempt.id, 'attempt', 'script'),
      },
      regions: [
        region(
          'head',
          render('job-head', {
            ...shared,
            ...{ attempt, progress: job.state === 'running' ? progressOf(attempt) : null },
            why: whyOf(job),
            advice: job.state === 'failed' ? plain(advice(job, false) ?? '') : null,
            used: usedInWords(attempt),
            strip: job.tasks === undefined ? null : stripOf(job),
            total: tasksOf(job.spec.array),
            acts: acts.map(act => ({ ...act, href: to.act(run.id, act.verb, job.name, here) })),
          }),
        ),
        region(
          'attempts',
          render('job-attempts', {
            ...shared,
            attempts: job.attempts.toReversed().map(one => ({
              ...one,
              line: timeline(barsOf(one, job.name, now), span),
              nodes: one.nodes.slice(0, 20).join(', '),
              waited: waitedSeconds(one, one.endedAt ?? now),
              ran: ranSeconds(one, now),
              used: usedInWords(one),
            })),
          }),
        ),
        region('tasks', render('job-tasks', { ...shared, ...tasksView(job) })),
        region(
          'metrics',
          render('job-metrics', {
            metrics: Object.entries(attempt?.collected?.metrics ?? {})
              .sort(([a], [b]) => (a < b ? -1 : 1))
              .slice(0, 200)
              .map(([name, value]) => ({ name, value: formatNumber(value) })),
            problem: attempt?.collected?.metricsProblem ?? null,
          }),
        ),
        region(
          'outputs',
          render('job-outputs', {
            left: results.left,
            rest: Math.max(0, outputs.length - mostOutputs),
            outputs: outputs.slice(0, mostOutputs).map(file => ({
              ...{
                path: file.path,
                size: file.size === null ? '' : formatSize(file.size),
                sha256: file.sha256?.slice(0, 12) ?? '',
              },
              href: fileAddress(site.base, file.attempt, file.in, file.path),
              show:
                /\.(png|jpe?g|gif|webp)$/i.test(file.path) && (file.size ?? 0) < 2 ** 22
                  ? fileAddress(site.base, file.attempt, file.in, file.path, true)
                  : null,
            })),
          }),
        ),
      ],
    }
  },
}

/** What it asks for, each with where it came from. */
function valuesOf(job: Job) {
  const { origins, resources, image, modules } = job.spec
  const rows = Object.entries(resources).map(([key, value]) => ({
    key,
    value: valueInWords(key as ResourceName, value),
    from: origins[key] ?? '',
    meaning: resourceKeys[key as ResourceName]?.meaning ?? '',
  }))
  const more: [string, string | undefined][] = [
    [
      'array',
      job.spec.array === undefined
        ? undefined
        : `${job.spec.array.tasks}${job.spec.array.throttle === null ? '' : `%${job.spec.array.throttle}`}`,
    ],
    ['image', image],
    ['modules', modules?.join(', ')],
    ['outputs', job.spec.outputs.length === 0 ? undefined : job.spec.outputs.join(', ')],
    ['metrics', job.spec.metrics ?? undefined],
    ['directives', job.spec.directives.length === 0 ? undefined : job.spec.directives.join(' ')],
  ]
  return [
    ...rows,
    ...more.flatMap(([key, value]) =>
      value === undefined ? [] : [{ key, value, from: origins[key] ?? origins[`${key}[0]`] ?? '', meaning: '' }],
    ),
  ]
}

function valueInWords(key: ResourceName, value: unknown): string {
  if (key === 'time') return formatDuration(Number(value))
  if (key === 'mem' || key === 'mem_per_cpu') return formatMebibytes(Number(value))
  if (typeof value === 'object' && value !== null && 'count' in value)
    return `${String(value.count)} × ${'type' in value && value.type !== null ? String(value.type) : 'any'}`
  return String(value)
}

function tasksView(job: Job) {
  const tasks = job.tasks ?? []
  const order = [
    'failed',
    'running',
    'suspended',
    'queued',
    'submitting',
    'waiting',
    'held',
    'canceled',
    'skipped',
    'completed',
  ]
  const shown =
    tasks.length <= mostTasks
      ? tasks
      : tasks.toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state)).slice(0, mostTasks)
  return {
    rest: tasks.length - shown.length,
    tasks: shown.map(task => ({
      ...task,
      ran:
        task.startedAt === null
          ? null
          : (task.endedAt ?? null) === null
            ? null
            : (task.endedAt!.getTime() - task.startedAt.getTime()) / 1_000,
      peak: task.maxRss === null ? '' : formatSize(task.maxRss),
    })),
  }
}
