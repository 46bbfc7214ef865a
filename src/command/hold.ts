import type { Context } from '../context.ts'
import { code, oneLine } from '../render/markdown.ts'
import { holdJobs, releaseJobs } from '../run/hold.ts'
import { transact } from '../store/open.ts'
import type { Order } from './order.ts'
import type { Place } from './place.ts'
import { branchesMeant, jobsOfRuns, openRunsOf } from './subtree.ts'
import type { Verb } from './verb.ts'

export const holdVerb: Verb = {
  also: [],
  usage: '[job|branch] [--subtree] [--why "…"]',
  summary: 'nothing further of it begins: what waits stays, what is queued comes out of the queue, what runs goes on',
  right: 'change',
  target: 'job or branch',
  async obey(context, order, place, within) {
    const given = order.args.options.why
    const why = typeof given === 'string' ? oneLine(given, 200) : ''
    const which = await meant(context, order, place)
    const { held, withdrawn } = await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      const done = await holdJobs(tx, which, {
        ...{ kind: 'person', by: order.person.username, since: context.clock.now().toISOString() },
        reason: `held by ${order.person.username}${why === '' ? '' : `: ${why}`}`,
      })
      if (done.held.length > 0) await within(tx, `held: ${done.held.join(', ')}`)
      return done
    })
    wake(context)
    if (held.length === 0)
      return {
        outcome: 'nothing to do',
        said: 'Nothing can be held: what runs goes on (`/compops cancel` ends it), what is held stays held.',
        tell: true,
      }
    const out = withdrawn.length === 0 ? '' : ` Out of the queue: ${listed(withdrawn)}.`
    return { outcome: 'done', said: `Held: ${listed(held)}.${out} \`/compops unhold\` lets it go on.` }
  },
}

export const unholdVerb: Verb = {
  also: ['release'],
  usage: '[job|branch] [--subtree]',
  summary: 'lets go on what a person holds, or what was tried often enough and asks for one',
  right: 'change',
  target: 'job or branch',
  async obey(context, order, place, within) {
    const which = await meant(context, order, place)
    const released = await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      const done = [...(await releaseJobs(tx, which, 'person')), ...(await releaseJobs(tx, which, 'paused'))]
      if (done.length > 0) await within(tx, `goes on: ${done.join(', ')}`)
      return done
    })
    wake(context)
    return released.length === 0
      ? { outcome: 'nothing to do', said: 'Nobody holds anything here.', tell: true }
      : { outcome: 'done', said: `Goes on: ${listed(released)}.` }
  },
}

async function meant(context: Context, order: Order, place: Place): Promise<readonly string[]> {
  if (place.chosen.length > 0) return place.chosen.map(job => job.id)
  if (order.args.options.subtree !== true) return place.jobs.map(job => job.id)
  return jobsOfRuns(context, await openRunsOf(context, await branchesMeant(context, order, place)))
}

const listed = (names: readonly string[]) =>
  `${names
    .slice(0, 40)
    .map(name => code(name))
    .join(', ')}${names.length > 40 ? ` and ${names.length - 40} more` : ''}`

function wake(context: Context): void {
  for (const topic of ['prepare', 'cancel', 'compose'] as const) context.wake.call(topic)
}
