import { isId } from '../../model/id.ts'
import { plain } from '../../render/plain.ts'
import { listActs } from '../../store/journal.ts'
import { listRegion } from '../page.ts'
import { render } from '../template.ts'
import { type PageKind, wordOf } from './site.ts'

const perPage = 50

/** Who had what done, and what came of it: in notes, over the API, and on these pages. */
export const auditPage: PageKind = {
  at: /^\/audit$/,
  async show(site, visitor, { query }) {
    const { context } = site
    const seen = await visitor.projects()
    const search = wordOf(query, 'search')
    const after = query.get('after')
    const found = await listActs(context.db, {
      ...{ projectIds: seen.map(one => one.project.id), search, limit: perPage + 1 },
      after: after !== null && isId(after) ? after : null,
    })
    const shown = found.slice(0, perPage)
    const paths = new Map(seen.map(one => [one.project.id, one.project.path]))
    const rows = shown.map(act => ({
      key: act.id,
      html: render('audit-row', {
        ...{ act, key: act.id, now: context.clock.now(), zone: context.config.timeZone },
        ...{ project: paths.get(act.projectId) ?? '', said: plain(act.said).slice(0, 400) },
        where: act.cause.startsWith('note:')
          ? 'in a note'
          : act.cause.startsWith('ci:')
            ? 'by a CI job'
            : 'on a page or over the API',
      }),
    }))
    const last = shown.at(-1)
    const more = new URLSearchParams({ ...(search === '' ? {} : { search }), after: last?.id ?? '' })
    return {
      title: 'Audit',
      section: 'audit',
      template: 'audit',
      view: { search },
      regions: [
        listRegion('acts', {
          before: render('audit-head', { empty: rows.length === 0 }),
          rows,
          after: render('list-foot', {
            empty: rows.length === 0,
            next: found.length > perPage ? `${site.base}/audit?${more}` : null,
          }),
        }),
      ],
    }
  },
}
