import { z } from 'zod'
import type { Desk } from '../auth/desk.ts'
import { Refusal } from '../auth/refusal.ts'
import { causeAsked } from '../command/cause.ts'
import type { Answer } from '../command/order.ts'
import { perform } from '../command/perform.ts'
import { verbNamed, verbs } from '../command/verbs.ts'
import type { Context } from '../context.ts'
import { CommandAnswer, CommandAsked } from '../model/api.ts'
import { newId } from '../model/id.ts'
import { branchAsListed } from '../store/lists.ts'
import { fullRef } from '../why/find.ts'
import { type Endpoint, endpoint, projectParam } from './endpoint.ts'
import { showListed } from './show.ts'

const names = Object.keys(verbs) as [string, ...string[]]

/** The verbs of comments on merge requests, asked for over HTTP: the same table, the same rights. */
export function commandEndpoints(context: Context, desk: Desk): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/projects/{project}/commands/{verb}',
      name: 'command',
      summary: `What \`/compops <verb>\` does in a merge request: ${names.join(', ')}. Your rights are asked of GitLab at that moment. 409: it cannot be done as things stand.`,
      params: { ...projectParam, verb: z.enum(names) },
      body: CommandAsked,
      answer: CommandAnswer,
      changes: ({ verb }) => verbNamed(verb ?? '')?.verb.right !== 'see',
      async handle({ caller, params, body, key }) {
        const { verb } = params
        const { project } = await desk.project(caller, params.project, true)
        const { branch, target = null, options = {}, values = {}, words = [] } = body
        const order = { verb, target, args: { options, values, words } }
        const answer: Answer = await perform(context, {
          ...order,
          person: caller.person,
          project,
          at: { branch },
          // A key is its sender's own, and of this one request: nobody is answered with what another asked.
          cause: causeAsked(caller.person.id, [project.id, branch, order, key ?? newId()]),
        })
        if (answer.outcome === 'refused') throw new Refusal(answer.denied === true ? 403 : 409, answer.said)
        const named = target === null ? null : await branchAsListed(context.db, project.id, fullRef(target))
        const shown = named ?? (await branchAsListed(context.db, project.id, fullRef(branch)))
        return {
          outcome: answer.outcome,
          said: answer.said,
          run: shown?.run == null ? null : showListed(project.path, shown.run),
        }
      },
    }),
  ]
}
