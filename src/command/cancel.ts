import { code, prose } from '../render/markdown.ts'
import { stopJobs } from '../run/stop.ts'
import { branchesMeant, openRunsOf } from './subtree.ts'
import type { Verb } from './verb.ts'

export const cancelVerb: Verb = {
  also: [],
  usage: '[job|branch] [--subtree]',
  summary: 'ends the job, or all that is unfinished of the branch, also what runs; the cluster says when it is gone',
  right: 'stop',
  target: 'job or branch',
  async obey(context, order, place, within) {
    const open = await openRunsOf(context, await branchesMeant(context, order, place))
    const which = place.chosen.length === 0 ? { runs: open } : { jobs: place.chosen.map(job => job.id) }
    const names = await stopJobs(context, which, `canceled by ${order.person.username}`, within)
    if (names.length === 0)
      return {
        outcome: 'nothing to do',
        said: place.chosen.length === 0 ? 'Nothing is under way.' : `${code(order.target ?? '')} has ended.`,
        tell: true,
      }
    return { outcome: 'done', said: prose(`Cancelled: ${names.slice(0, 40).join(', ')}.`) }
  },
}
