import { eq } from 'drizzle-orm'
import type { Seen } from '../../auth/desk.ts'
import { describeHold } from '../../model/hold.ts'
import type { JobState } from '../../model/job-state.ts'
import { formatCoreHours, formatTime } from '../../render/amounts.ts'
import { plain } from '../../render/plain.ts'
import { countBoard, usageOf } from '../../store/board.ts'
import { type ListedRun, runsOfProjects } from '../../store/lists.ts'
import { shortBranch } from '../../store/runs.ts'
import { connections, holds } from '../../store/schema.ts'
import { listRegion, type Region, region } from '../page.ts'
import { render } from '../template.ts'
import { addressesOf, type PageKind, type Site } from './site.ts'
import { stateBar } from './strip.ts'
import { countsInWords } from './words.ts'

const days = 7

/** What runs, what failed today, what waits for a person, and what it all costs. */
export const overviewPage: PageKind = {
  at: /^\/$/,
  async show(site, visitor) {
    const { db } = site.context
    const seen = await visitor.projects()
    const ids = seen.map(one => one.project.id)
    const paths = new Map(seen.map(one => [one.project.id, one.project.path]))
    const [counts, running, held, failed, usage] = [
      await countBoard(db, ids),
      await runsOfProjects(db, ids, 'under way', 25),
      await runsOfProjects(db, ids, 'held', 12),
      await runsOfProjects(db, ids, 'failed lately', 12),
      await usageOf(db, paths, days),
    ]
    const open = (...states: JobState[]) => states.reduce((sum, state) => sum + (counts.open[state] ?? 0), 0)
    const to = addressesOf(site)
    const tiles = [
      { label: 'running', state: 'running', n: open('running', 'suspended'), href: to.jobs({ state: 'running' }) },
      { label: 'queued', state: 'queued', n: open('queued', 'submitting'), href: to.jobs({ state: 'queued' }) },
      { label: 'waiting', state: 'waiting', n: open('waiting'), href: to.jobs({ state: 'waiting' }) },
      { label: 'held', state: 'held', n: open('held'), href: to.jobs({ state: 'held' }) },
      { label: 'failed today', state: 'failed', n: counts.failed, href: to.jobs({ when: 'day', state: 'failed' }) },
      {
        label: 'completed today',
        state: 'completed',
        n: counts.completed,
        href: to.jobs({ when: 'day', state: 'completed' }),
      },
    ]
    const list = (id: string, title: string, empty: string, found: typeof running) =>
      runList(site, id, { title, empty, found, paths })
    const regions: Region[] = [
      region('trouble', render('overview-trouble', { troubles: await troublesOf(site, seen) })),
      region('tiles', render('overview-tiles', { tiles })),
      list('held', 'Waits for a person', 'Nothing waits for an approval or is held.', held),
      list(
        'running',
        'Under way',
        'Nothing is under way. Push a branch with a .compops.yml, and it appears here.',
        running.filter(run => run.state !== 'held'),
      ),
      list('failed', 'Failed in the last 24 hours', 'Nothing has failed.', failed),
      region(
        'usage',
        render('overview-usage', {
          days,
          tables: [
            { title: 'by person', rows: shares(usage.person) },
            { title: 'by project', rows: shares(usage.project) },
            { title: 'by cluster', rows: shares(usage.cluster) },
          ].filter(table => table.rows.length > 0),
        }),
      ),
    ]
    return { title: 'Overview', section: 'overview', template: 'overview', view: { none: seen.length === 0 }, regions }
  },
}

function shares(usage: readonly { name: string; coreSeconds: number }[]) {
  const most = Math.max(1, ...usage.map(one => one.coreSeconds))
  return usage
    .filter(one => one.coreSeconds > 0)
    .map(({ name, coreSeconds }) => ({
      name,
      hours: formatCoreHours(coreSeconds),
      width: Math.max(0.5, (coreSeconds / most) * 100).toFixed(1),
    }))
}

/** Runs as a list, each with what its jobs do. */
export function runList(
  site: Site,
  id: string,
  view: {
    readonly title: string
    readonly empty: string
    readonly found: readonly (ListedRun & { readonly projectId?: number })[]
    readonly paths: ReadonlyMap<number, string>
  },
): Region {
  const to = addressesOf(site)
  const now = site.context.clock.now()
  const rows = view.found.map(run => ({
    key: run.id,
    html: render('run-row', {
      ...{ now, zone: site.context.config.timeZone, run },
      href: to.run(run.id),
      project: run.projectId === undefined ? null : (view.paths.get(run.projectId) ?? null),
      branch: shortBranch(run.ref),
      sha: run.sha.slice(0, 8),
      bar: stateBar(run.jobs),
      words: run.problem === null ? countsInWords(run.jobs) : plain(run.problem),
      by: run.causedBy?.username ?? run.causedHow,
    }),
  }))
  const head = render('run-list-head', { title: view.title, empty: rows.length === 0 ? view.empty : null })
  return listRegion(id, { before: head, rows, after: rows.length === 0 ? '</section>' : '</ol></section>' })
}

/** What keeps the visitor's projects from going on: clusters that do not answer, or are held back. */
async function troublesOf({ context }: Site, seen: readonly Seen[]): Promise<string[]> {
  const used = new Set(seen.flatMap(one => one.rule.clusters))
  const now = context.clock.now()
  const when = (date: Date) => formatTime(date, context.config.timeZone, { seenFrom: now })
  const troubles: string[] = []
  for (const row of await context.db.select().from(connections)) {
    const cluster = row.name.split('#')[0]!
    if (used.has(cluster) && row.unreachableSince !== null)
      troubles.push(
        `${cluster} has not answered since ${when(row.unreachableSince)} (${row.lastError ?? 'no answer'}). Nothing is lost; states of its jobs are from then.`,
      )
  }
  for (const cluster of used)
    for (const row of await context.db.select().from(holds).where(eq(holds.cluster, cluster)))
      if (row.until === null || row.until > now) troubles.push(`${describeHold(row)}.`)
  const gitlab = context.troubles.get('gitlab')
  if (gitlab !== undefined)
    troubles.push(
      `GitLab has not answered as it should since ${when(gitlab.since)}. Jobs go on; it is told when it is back.`,
    )
  return troubles
}
