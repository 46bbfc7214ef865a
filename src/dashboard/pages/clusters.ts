import { inArray } from 'drizzle-orm'
import { describeHold } from '../../model/hold.ts'
import type { JobState } from '../../model/job-state.ts'
import { capacityAge, lookAtCapacity } from '../../run/ask-capacity.ts'
import { openOn } from '../../store/board.ts'
import { capacitiesOf } from '../../store/capacities.ts'
import { loadOfLastDay } from '../../store/load.ts'
import { connections, holds } from '../../store/schema.ts'
import { listRegion } from '../page.ts'
import { Html, render } from '../template.ts'
import { capacityView } from './capacity.ts'
import { addressesOf, type PageKind } from './site.ts'
import { hourBars, stateBar } from './strip.ts'
import { countsInWords } from './words.ts'

/**
 * The clusters of the visitor's projects: whether they answer, since when they do not, what they have and what is free, what we have there, and how much we
 * ask of them. Only here they are asked for their nodes: while the page is open, and no more often than once a minute for all who look.
 */
export const clustersPage: PageKind = {
  at: /^\/clusters$/,
  async show(site, visitor) {
    const { context } = site
    const seen = await visitor.projects()
    const names = [...new Set(seen.flatMap(one => one.rule.clusters))].sort()
    const known = await context.db.select().from(connections)
    const held = names.length === 0 ? [] : await context.db.select().from(holds).where(inArray(holds.cluster, names))
    const open = await openOn(
      context.db,
      seen.map(one => one.project.id),
    )
    const asked = await capacitiesOf(context.db, names)
    const [now, to] = [context.clock.now(), addressesOf(site)]
    const rows = await Promise.all(
      names.map(async name => {
        const config = context.config.clusters.find(one => one.name === name)
        const accounts = known.filter(row => row.name.split('#')[0] === name)
        const away = accounts.filter(row => row.unreachableSince !== null)
        const hold = held.find(one => one.cluster === name && (one.until === null || one.until > now))
        const load = await loadOfLastDay(context.db, name)
        const told = asked.find(row => row.cluster === name)
        const tells = lookAtCapacity(context, name, told)
        const counts: Partial<Record<JobState, number>> = open.get(name) ?? {}
        const sum = (key: 'logins' | 'programs' | 'schedulerCommands') => load.reduce((all, hour) => all + hour[key], 0)
        return {
          key: name,
          html: render('cluster', {
            ...{ name, now, zone: context.config.timeZone, jobs: to.jobs({ cluster: name }) },
            scheduler: accounts.find(row => row.facts !== null)?.facts?.version ?? config?.scheduler ?? '',
            answered: newest(accounts.map(row => row.lastRoundAt)),
            away: away.map(row => ({ since: row.unreachableSince, why: row.lastError ?? 'no answer' })),
            hold: hold === undefined ? null : describeHold(hold),
            capacity: new Html(
              capacityView(told, { scheduler: config?.scheduler ?? '', tells, now, zone: context.config.timeZone }),
            ),
            ...{ bar: stateBar(counts), words: countsInWords(counts) },
            load: { logins: sum('logins'), programs: sum('programs'), commands: sum('schedulerCommands') },
            hours: hourBars(load, now),
          }),
        }
      }),
    )
    return {
      title: 'Clusters',
      section: 'clusters',
      template: 'clusters',
      again: capacityAge * 1_000,
      view: { none: names.length === 0 },
      regions: [listRegion('clusters', { before: '<div class="cards clusters">', rows, after: '</div>' })],
    }
  },
}

function newest(dates: readonly (Date | null)[]): Date | null {
  return dates.reduce((last, date) => (date !== null && (last === null || date > last) ? date : last), null)
}
