import type { Desk } from '../auth/desk.ts'
import { Refusal } from '../auth/refusal.ts'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { PlanAnswer, PlanAsked } from '../model/api.ts'
import { planBranch } from '../run/plan-branch.ts'
import { type Endpoint, endpoint, projectParam } from './endpoint.ts'

/** What would run, without running it: of a branch as it stands in GitLab, or of a file that is not committed yet. */
export function planEndpoints(context: Context, desk: Desk): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/projects/{project}/plan',
      name: 'plan',
      summary:
        'What would run: each job with its resources, the script that would be submitted, where each value came from, and what it can cost at most; or every mistake of the file.',
      params: projectParam,
      body: PlanAsked,
      answer: PlanAnswer,
      async handle({ caller, params, body }) {
        const { project, rule } = await desk.project(caller, params.project)
        try {
          return await planBranch(context, { ...body, project, rule, by: caller.person })
        } catch (error) {
          // Values that mean nothing there: a mistake of whoever asks.
          if (!(error instanceof CompopsError) || error instanceof Refusal || error.transient) throw error
          throw new Refusal(422, error.message)
        }
      },
    }),
  ]
}
