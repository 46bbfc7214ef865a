import { countOf } from '../render/amounts.ts'
import { code } from '../render/markdown.ts'
import { forkRef, rememberMergeRequest } from '../run/merge-request.ts'
import { startAgain } from '../run/start-again.ts'
import { jobsOf } from '../store/runs.ts'
import type { Answer } from './order.ts'
import type { Verb } from './verb.ts'

const no = (said: string): Answer => ({ outcome: 'refused', said })

/** A Maintainer has read a commit of a fork and answers for it: this very commit runs, and nothing that is pushed there later. */
export const okToTestVerb: Verb = {
  also: [],
  usage: '<sha>',
  summary: 'on a merge request from a fork: this very commit may run; a later push needs a new word',
  right: 'allow',
  target: 'none',
  async obey(context, order, place, within) {
    const { mergeRequest } = place
    if (mergeRequest === null || !place.fork)
      return no('This is no merge request from a fork: nothing needs to be allowed.')
    if (mergeRequest.state !== 'opened') return no(`The merge request is ${mergeRequest.state}.`)
    const { sha } = mergeRequest
    if (sha === null) return no('GitLab does not say yet at which commit the merge request is: try again in a moment.')
    const named = (order.target ?? '').toLowerCase()
    if (!/^[0-9a-f]{8,64}$/.test(named))
      return no(
        `Name the commit that you have read, with eight digits at least: \`/compops ok-to-test ${sha.slice(0, 8)}\`, if it is the one.`,
      )
    if (!sha.startsWith(named))
      return no(
        `The merge request is at ${code(sha.slice(0, 8))} now, not at ${code(named.slice(0, 8))}: read what has changed since.`,
      )
    await rememberMergeRequest(context.db, order.project.id, mergeRequest)
    const run = await startAgain(context, {
      ...{ project: order.project, ref: forkRef(mergeRequest.iid), allowed: sha, within },
      ...{ cause: order.cause, by: order.person },
      how: `/compops ok-to-test ${sha.slice(0, 8)} by ${order.person.username}`,
    })
    if (run.problem !== null) return { outcome: 'done', said: 'Its `.compops.yml` has mistakes: see the note.' }
    const jobs = await jobsOf(context.db, run.id)
    return {
      outcome: 'done',
      said: `${code(sha.slice(0, 8))} runs: ${countOf(jobs.length, 'job')}. A later push does not.`,
    }
  },
}
