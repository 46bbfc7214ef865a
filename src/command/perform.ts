import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { prose } from '../render/markdown.ts'
import { findAct, recordAct } from '../store/acts.ts'
import { unknownVerb } from './help.ts'
import type { Answer, Order } from './order.ts'
import { placeOf, unknownTarget } from './place.ts'
import { onlyMembers, refusal } from './rights.ts'
import { verbNamed, verbs } from './verbs.ts'

/**
 * Obeys one order: of a note, the command line or the HTTP API. Rights are asked of GitLab first. The same cause again does nothing twice and is told what
 * came of it. Throws only what time mends (GitLab or the database away): then it may be asked again.
 */
export async function perform(context: Context, asked: Order): Promise<Answer> {
  // As other projects' bots have it: `/hold cancel` lets go. Elsewhere a job may have that name.
  const lets = asked.cause.startsWith('note:') && asked.verb === 'hold' && asked.target === 'cancel'
  const order = lets ? { ...asked, verb: 'unhold', target: null } : asked
  const known = verbNamed(order.verb)
  if (known === null) return { outcome: 'refused', said: unknownVerb(order.verb, verbs) }
  const { name, verb } = known
  const before = await findAct(context.db, order.project.id, order.cause)
  if (before !== null) return { outcome: 'done', said: prose(sentence(before), 'paragraph', 1_000) }
  let answer: Answer
  try {
    const place = await placeOf(context, order)
    const no = await refusal(context, order, verb.right, place)
    if (no !== null) answer = { outcome: 'refused', said: no, denied: true, stranger: no === onlyMembers }
    else if (order.target !== null && place.chosen.length === 0 && !place.named && verb.target !== 'none')
      answer = { outcome: 'refused', said: unknownTarget(place, order.target) }
    else if (verb.target === 'job' && place.chosen.length === 0)
      answer = {
        outcome: 'refused',
        said: order.target === null ? `Which job? \`${name} ${verb.usage}\`.` : unknownTarget(place, order.target),
      }
    else
      answer = await verb.obey(context, order, place, (tx, said) =>
        recordAct(tx, {
          ...{ projectId: order.project.id, cause: order.cause, by: order.person, said },
          verb: name,
        }),
      )
  } catch (error) {
    if (!(error instanceof CompopsError) || error.transient) throw error
    answer = { outcome: 'refused', said: `${prose(sentence(error.message), 'paragraph', 500)}` }
  }
  const result = `${answer.outcome}: ${answer.said.replace(/\s+/g, ' ').slice(0, 300)}`
  context.audit.record({
    act: `command ${name}`,
    by: order.person.username,
    project: order.project.path,
    cause: order.cause,
    target: order.target,
    result,
  })
  context.log.info({ step: 'command', verb: name, project: order.project.path, cause: order.cause, result }, result)
  return answer
}

function sentence(text: string): string {
  const capital = text.slice(0, 1).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(capital) ? capital : `${capital}.`
}
