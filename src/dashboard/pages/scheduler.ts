import { readTasks } from '../../model/array.ts'
import { type JobState, jobStateNames, jobStates } from '../../model/job-state.ts'
import { secondsBetween } from '../../render/amounts.ts'
import { type BoardAsked, type BoardJob, type BoardSort, boardSorts, readBoard } from '../../store/board.ts'
import { shortBranch } from '../../store/runs.ts'
import { attemptsOfArrays, currentTasks, tasksOfJobs } from '../../store/tasks.ts'
import { listRegion, region } from '../page.ts'
import { type Html, render } from '../template.ts'
import { addressesOf, type PageKind, type Site, wordOf } from './site.ts'
import { heatStrip, progressBar } from './strip.ts'
import { askedInWords, isOpen, tasksOf, whyInWords } from './words.ts'

const perPage = 50

const columns: readonly { readonly sort: BoardSort | null; readonly label: string; readonly kind: string }[] = [
  { sort: 'newest', label: 'Id', kind: 'id' },
  { sort: 'job', label: 'Job', kind: 'job' },
  { sort: 'branch', label: 'Branch', kind: 'branch' },
  { sort: 'cluster', label: 'Cluster', kind: 'cluster' },
  { sort: 'state', label: 'State', kind: 'state' },
  { sort: 'waited', label: 'Waited', kind: 'number' },
  { sort: 'ran', label: 'Ran', kind: 'number' },
  { sort: null, label: 'Asked', kind: 'asked' },
]

interface Filter extends Omit<BoardAsked, 'projectIds'> {
  readonly project: string
  readonly page: number
}

/** The table of jobs: everything that it shows stands in its address. */
export const schedulerPage: PageKind = {
  at: /^\/jobs$/,
  async show(site, visitor, { query }) {
    const filter = readFilter(query)
    const seen = await visitor.projects()
    const chosen = filter.project === '' ? seen : seen.filter(one => one.project.path === filter.project)
    const board = await readBoard(site.context.db, { ...filter, projectIds: chosen.map(one => one.project.id) })
    const paths = new Map(seen.map(one => [one.project.id, one.project.path]))
    const strips = await stripsOf(site, board.jobs)
    const now = site.context.clock.now()
    const to = addressesOf(site)
    const address = (changes: Partial<Record<string, string>>) => to.jobs(writeFilter(filter, changes))
    const rows = board.jobs.map(job => ({
      key: job.id,
      html: render('scheduler-row', rowOf(site, job, { now, paths, strip: strips.get(job.id) ?? null })),
    }))
    const states = jobStateNames
      .filter(state => (board.states[state] ?? 0) > 0 || state === filter.state)
      .map(state => ({
        ...{ state, label: jobStates[state].label, n: board.states[state] ?? 0, here: state === filter.state },
        href: address({ state: state === filter.state ? '' : state, page: '' }),
      }))
    const lastPage = Math.max(1, Math.ceil(board.total / perPage))
    const head = render('scheduler-head', {
      columns: columns.map(({ sort, label, kind }) => ({
        ...{ label, kind },
        href:
          sort === null
            ? null
            : address({
                sort,
                order: filter.sort === sort && !filter.descending ? 'desc' : filter.sort === sort ? 'asc' : first(sort),
                page: '',
              }),
        sorted: sort !== filter.sort ? null : filter.descending ? 'descending' : 'ascending',
      })),
    })
    const foot = render('scheduler-foot', {
      ...{ empty: rows.length === 0, columns: columns.length, page: filter.page, lastPage, total: board.total },
      from: rows.length === 0 ? 0 : filter.offset + 1,
      until: filter.offset + rows.length,
      before: filter.page > 1 ? address({ page: String(filter.page - 1) }) : null,
      after: filter.page < lastPage ? address({ page: String(filter.page + 1) }) : null,
      anything:
        filter.search !== '' ||
        filter.state !== null ||
        filter.cluster !== null ||
        filter.project !== '' ||
        filter.when !== 'now',
      all: to.jobs({ when: 'all' }),
    })
    const clusters = [...new Set(seen.flatMap(one => one.rule.clusters))].sort()
    return {
      title: 'Scheduler',
      section: 'scheduler',
      template: 'scheduler',
      view: {
        filter: {
          ...filter,
          cluster: filter.cluster ?? '',
          state: filter.state ?? '',
          order: filter.descending ? 'desc' : 'asc',
        },
        clusters: clusters.map(name => ({ name, here: name === filter.cluster })),
        projects: seen.map(one => ({ path: one.project.path, here: one.project.path === filter.project })),
        whens: [
          { value: 'now', label: 'under way' },
          { value: 'day', label: 'and the last 24 hours' },
          { value: 'all', label: 'everything' },
        ].map(one => ({ ...one, here: one.value === filter.when })),
      },
      regions: [
        region('states', render('scheduler-states', { states })),
        listRegion('jobs', { before: head, rows, after: foot }),
      ],
    }
  },
}

/** Longest first, newest first, but names from A. */
const first = (sort: BoardSort) => (sort === 'newest' || sort === 'waited' || sort === 'ran' ? 'desc' : 'asc')

function rowOf(
  site: Site,
  job: BoardJob,
  {
    now,
    paths,
    strip,
  }: { readonly now: Date; readonly paths: ReadonlyMap<number, string>; readonly strip: Html | null },
) {
  const to = addressesOf(site)
  const done = job.endedAt ?? (isOpen(job.state) ? null : now)
  const moving = job.startedAt !== null && done === null
  return {
    ...{ job, now, strip, key: job.id },
    href: to.job(job.runId, job.name),
    run: to.run(job.runId),
    branch: shortBranch(job.ref),
    project: paths.get(job.projectId) ?? '',
    sha: job.sha.slice(0, 8),
    id: job.nativeId ?? null,
    why: whyInWords(job),
    tasks: tasksOf(job.array),
    again: job.attempts > 1 ? job.attempts : null,
    progress:
      job.state === 'running' && job.progress !== null && job.progress.percent !== null
        ? progressBar(job.progress.percent, job.progress.text.slice(0, 60))
        : null,
    waiting: job.queuedAt !== null && job.startedAt === null && done === null ? job.queuedAt : null,
    waited: job.queuedAt === null ? null : secondsBetween(job.queuedAt, job.startedAt ?? done),
    running: moving ? job.startedAt : null,
    ran: secondsBetween(job.startedAt, done),
    asked: askedInWords(job.resources),
  }
}

/** Of the arrays on this page: each task as it stands. */
async function stripsOf({ context }: Site, jobs: readonly BoardJob[]): Promise<Map<string, Html>> {
  const arrays = jobs.filter(job => job.array !== null)
  const ids = arrays.map(job => job.id)
  const strips = new Map<string, Html>()
  if (ids.length === 0) return strips
  const attempts = Map.groupBy(await attemptsOfArrays(context.db, ids), attempt => attempt.jobId)
  const rows = await tasksOfJobs(context.db, ids)
  for (const { id, array, state } of arrays) {
    const current = currentTasks(attempts.get(id) ?? [], rows)
    const otherwise: JobState = isOpen(state) ? 'waiting' : state
    strips.set(id, heatStrip(readTasks(array!.tasks).map(index => current.get(index)?.state ?? otherwise)))
  }
  return strips
}

function readFilter(query: URLSearchParams): Filter {
  const one = <T extends string>(name: string, values: readonly T[], otherwise: T): T =>
    values.find(value => value === query.get(name)) ?? otherwise
  const sort = one('sort', boardSorts, 'newest')
  const page = Math.min(10_000, Math.max(1, Math.trunc(Number(query.get('page') ?? 1)) || 1))
  const text = (name: string) => wordOf(query, name)
  return {
    ...{ when: one('when', ['now', 'day', 'all'], 'now'), sort, page },
    state: jobStateNames.find(name => name === query.get('state')) ?? null,
    cluster: text('cluster') === '' ? null : text('cluster'),
    ...{ project: text('project'), search: text('search') },
    descending: one('order', ['asc', 'desc'], first(sort)) === 'desc',
    ...{ offset: (page - 1) * perPage, limit: perPage },
  }
}

/** Only what differs from what an empty address means. */
function writeFilter(filter: Filter, changes: Partial<Record<string, string>>): Record<string, string> {
  const sort = changes.sort ?? filter.sort
  const all: Record<string, string> = {
    ...{ search: filter.search, when: filter.when, state: filter.state ?? '', cluster: filter.cluster ?? '' },
    ...{ project: filter.project, sort, order: filter.descending ? 'desc' : 'asc', page: String(filter.page) },
    ...changes,
  }
  const usual: Record<string, string> = { when: 'now', sort: 'newest', order: first(sort as BoardSort), page: '1' }
  return Object.fromEntries(Object.entries(all).filter(([name, value]) => value !== '' && value !== usual[name]))
}
