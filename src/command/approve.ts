import { prose } from '../render/markdown.ts'
import { approveRun } from '../run/approve.ts'
import type { Verb } from './verb.ts'

export const approveVerb: Verb = {
  also: [],
  usage: '[branch]',
  summary: 'lets a run begin that can cost more than may begin unasked; never by who caused it',
  right: 'allow',
  target: 'job or branch',
  async obey(context, order, place, within) {
    if (place.run === null) return { outcome: 'refused', said: 'There is no run to approve.' }
    const answer = await approveRun(context, { runId: place.run.id, person: order.person, within })
    if (answer.kind === 'refused') return { outcome: 'refused', said: prose(`Not approved: ${answer.why}.`) }
    return { outcome: 'done', said: prose(`Approved: ${answer.released.slice(0, 40).join(', ')} may begin.`) }
  },
}
