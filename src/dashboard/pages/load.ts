import { adminsOnly } from '../../auth/admins.ts'
import { Refusal } from '../../auth/refusal.ts'
import { describeHold } from '../../model/hold.ts'
import type { HourOfLoad } from '../../model/load.ts'
import { formatCount } from '../../render/amounts.ts'
import { promisedCommands } from '../../render/load.ts'
import { loadOfLastDay } from '../../store/load.ts'
import { connections, holds } from '../../store/schema.ts'
import { listRegion } from '../page.ts'
import { render } from '../template.ts'
import type { Visitor } from '../visitor.ts'
import { addressesOf, type PageKind } from './site.ts'
import { hourBars } from './strip.ts'

const hour = 3_600_000

/** Throws Refusal for whoever does not administrate the service. */
export function onlyAdmins(visitor: Visitor): void {
  if (!visitor.admin) throw new Refusal(403, adminsOnly)
}

/** What the service asks of each cluster, hour by hour, and whether a person holds it back: for whoever answers for it. */
export const loadPage: PageKind = {
  at: /^\/load$/,
  async show(site, visitor) {
    onlyAdmins(visitor)
    const { context } = site
    const [now, zone, to] = [context.clock.now(), context.config.timeZone, addressesOf(site)]
    const known = await context.db.select().from(connections)
    const held = await context.db.select().from(holds)
    const rows = await Promise.all(
      context.config.clusters.map(async ({ name, scheduler }) => {
        const load = await loadOfLastDay(context.db, name)
        const hold = held.find(one => one.cluster === name && (one.until === null || one.until > now)) ?? null
        const accounts = [
          ...new Set(
            [...load.map(row => row.connection), ...known.map(row => row.name)].filter(
              one => one.split('#')[0] === name,
            ),
          ),
        ].sort()
        return {
          key: name,
          html: render('load-cluster', {
            ...{ name, scheduler, now, zone, hold },
            words: hold === null ? null : describeHold(hold),
            accounts: accounts.map(account =>
              accountView(
                account,
                load,
                known.find(row => row.name === account),
                now,
              ),
            ),
            acts: (hold === null
              ? (['pause', 'drain'] as const)
              : hold.mode === 'pause'
                ? (['resume', 'drain'] as const)
                : (['resume', 'pause'] as const)
            ).map(act => ({ label: labels[act], danger: act === 'pause', href: to.clusterAct(name, act) })),
          }),
        }
      }),
    )
    return {
      title: 'Load',
      section: 'load',
      template: 'load',
      view: { promised: promisedCommands },
      regions: [listRegion('load', { before: '<div class="cards wide">', rows, after: '</div>' })],
    }
  },
}

export const labels = { pause: 'Pause', drain: 'Drain', resume: 'Resume' } as const

function accountView(
  name: string,
  all: readonly HourOfLoad[],
  row: typeof connections.$inferSelect | undefined,
  now: Date,
) {
  const own = all.filter(one => one.connection === name)
  const sum = (key: 'logins' | 'programs' | 'schedulerCommands') => formatCount(own.reduce((n, one) => n + one[key], 0))
  const busiest = own.reduce((most, one) => Math.max(most, one.schedulerCommands), 0) / 3_600
  const thisHour = Math.floor(now.getTime() / hour) * hour
  return {
    // Of one account there is nothing to tell apart.
    ...{
      name,
      alone: !name.includes('#'),
      logins: sum('logins'),
      programs: sum('programs'),
      commands: sum('schedulerCommands'),
    },
    busiest: busiest === 0 ? '0' : busiest < 0.01 ? 'less than 0.01' : busiest.toFixed(2),
    above: busiest > promisedCommands,
    answered: row?.lastRoundAt ?? null,
    away: row?.unreachableSince ?? null,
    why: row?.lastError ?? 'no answer',
    bars: hourBars(own, now),
    hours: Array.from({ length: 24 }, (_, ago) => new Date(thisHour - ago * hour)).flatMap(at => {
      const found = own.find(one => one.hour.getTime() === at.getTime())
      return found === undefined ? [] : [{ began: at, ...found }]
    }),
  }
}
