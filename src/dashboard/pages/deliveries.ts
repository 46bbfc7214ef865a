import { eq } from 'drizzle-orm'
import { noSuch } from '../../auth/access.ts'
import { Refusal } from '../../auth/refusal.ts'
import { isId } from '../../model/id.ts'
import { plain } from '../../render/plain.ts'
import { renderWhy } from '../../render/why.ts'
import { listDeliveries } from '../../store/journal.ts'
import { shortBranch } from '../../store/runs.ts'
import { deliveries } from '../../store/schema.ts'
import { why } from '../../why/why.ts'
import { listRegion, region } from '../page.ts'
import { render } from '../template.ts'
import { addressesOf, type PageKind, wordOf } from './site.ts'

const perPage = 50
const kinds = ['others', 'ignored', 'waiting', 'all'] as const

/** What GitLab told us, and what came of each: accepted, ignored with its reason, or still to be acted on. */
export const deliveriesPage: PageKind = {
  at: /^\/deliveries$/,
  async show(site, visitor, { query }) {
    const { context } = site
    const seen = await visitor.projects()
    const which = kinds.find(one => one === query.get('which')) ?? 'others'
    const search = wordOf(query, 'search')
    const after = query.get('after')
    const found = await listDeliveries(context.db, {
      ...{ projectIds: seen.map(one => one.project.id), which, search, limit: perPage + 1 },
      after: after !== null && isId(after) ? after : null,
    })
    const shown = found.slice(0, perPage)
    const paths = new Map(seen.map(one => [one.project.id, one.project.path]))
    const [now, zone, to] = [context.clock.now(), context.config.timeZone, addressesOf(site)]
    const rows = shown.map(row => ({
      key: row.id,
      html: render('delivery-row', {
        ...{ row, now, zone, key: row.id, href: `${site.base}/deliveries/${row.id}` },
        project: paths.get(row.projectId) ?? '',
        branch: row.ref === null ? null : shortBranch(row.ref),
        sha: row.sha?.slice(0, 8) ?? null,
        run: row.runId === null ? null : to.run(row.runId),
        words: row.result === null ? null : withoutIds(plain(row.result)).slice(0, 300),
        error: row.lastError?.slice(0, 300) ?? null,
      }),
    }))
    const last = shown.at(-1)
    const more = new URLSearchParams({
      ...(which === 'others' ? {} : { which }),
      ...(search === '' ? {} : { search }),
      after: last?.id ?? '',
    })
    return {
      title: 'Deliveries',
      section: 'deliveries',
      template: 'deliveries',
      view: {
        search,
        kinds: [
          { value: 'others', label: 'what others did' },
          { value: 'ignored', label: 'ignored ones' },
          { value: 'waiting', label: 'not acted on yet' },
          { value: 'all', label: 'all, our own doings too' },
        ].map(one => ({ ...one, here: one.value === which })),
      },
      regions: [
        listRegion('deliveries', {
          before: render('deliveries-head', { empty: rows.length === 0 }),
          rows,
          after: render('list-foot', {
            empty: rows.length === 0,
            next: found.length > perPage ? `${site.base}/deliveries?${more}` : null,
          }),
        }),
      ],
    }
  },
}

/** Why a push did or did not run: the rows from the delivery to what GitLab was told. */
export const deliveryPage: PageKind = {
  at: /^\/deliveries\/([^/]+)$/,
  async show(site, visitor, { params }) {
    const { context } = site
    const id = params[0]!
    const [row] = isId(id)
      ? await context.db.select({ projectId: deliveries.projectId }).from(deliveries).where(eq(deliveries.id, id))
      : []
    if (row === undefined || row.projectId === null) throw noSuch('delivery')
    const { project } = await site.desk.project(visitor.caller, String(row.projectId)).catch(error => {
      // That GitLab is away says nothing of the delivery.
      throw error instanceof Refusal && [403, 404].includes(error.status) ? noSuch('delivery') : error
    })
    const told = await why(
      {
        ...{ db: context.db, timeZone: context.config.timeZone, running: true },
        pollEvery(connection) {
          if (!context.connections().includes(connection)) return null
          const { pollInterval, maxPollInterval } = context.clusterConfig(connection)
          return [pollInterval, maxPollInterval]
        },
      },
      id,
    )
    return {
      title: `Delivery of ${project.path}`,
      section: 'deliveries',
      template: 'delivery',
      view: { project: project.path },
      regions: [region('chain', render('delivery-chain', { text: renderWhy(told).trim() }))],
    }
  },
}

/** `run <id> started with 3 jobs`: the id is a link beside it. */
function withoutIds(words: string): string {
  return words.replace(/^run [0-9a-f]{8}-[0-9a-f-]{27} /, 'a run ')
}
