import { CompopsError } from '../errors.ts'
import { writeTasks } from '../model/array.ts'
import { countOf } from '../render/amounts.ts'
import { code } from '../render/markdown.ts'
import { followNewResults } from '../run/follow-results.ts'
import { rerunMissing, retryJobs } from '../run/rerun.ts'
import { startAgain } from '../run/start-again.ts'
import { jobsOf, removalsOf, shortBranch } from '../store/runs.ts'
import { headNow } from './head.ts'
import { readRaised } from './raise.ts'
import { branchesMeant } from './subtree.ts'
import type { Verb } from './verb.ts'

/** `run`: the head of the branch anew, in a run of its own. `run <job>`: that job in the run of the head, also where it has completed. */
export const runVerb: Verb = {
  also: ['test'],
  usage: '[job|branch] [--subtree] [-- key=value …]',
  summary: 'computes the head of the branch anew; with a job: runs that one again, also where it has completed',
  right: 'change',
  target: 'job or branch',
  async obey(context, order, place, within) {
    if (place.fork)
      return {
        outcome: 'refused',
        said: 'Nothing of a fork runs before a Maintainer has read its commit: `/compops ok-to-test <sha>`.',
      }
    const { values, options } = order.args
    const { chosen, run } = place
    const subtree = options.subtree === true
    if (subtree && chosen.length > 0)
      return { outcome: 'refused', said: 'A subtree is one of branches, not of jobs: `/compops run --subtree`.' }
    const below = subtree
      ? (await branchesMeant(context, order, place)).filter(branch => branch.id !== place.branch?.id)
      : []
    if (chosen.length > 0 && run !== null && Object.keys(values).length === 0) {
      const head = await headNow(context, order.project, place.ref)
      if (head === run.sha && run.supersededBy === null && (await removalsOf(context.db, run.id)).length === 0) {
        const names = chosen.map(job => job.name)
        const again = await retryJobs(context, { runId: run.id, names }, { completedToo: true, within })
        return { outcome: 'done', said: runsAgain([...again.keys()], names.length) }
      }
    }
    const started = await startAgain(context, {
      ...{ project: order.project, ref: place.ref, cause: order.cause, by: order.person },
      async within(tx, result) {
        await followNewResults(
          tx,
          below.map(branch => branch.id),
        )
        await within(tx, result)
      },
      how: `/compops run${chosen.length === 0 ? '' : ` ${order.target}`}${subtree ? ' --subtree' : ''}${valuesInWords(values)} by ${order.person.username}`,
      only: chosen.length === 0 ? undefined : [order.target!],
      values,
    })
    const jobs = await jobsOf(context.db, started.id)
    if (started.problem !== null)
      return { outcome: 'done', said: `The run of ${code(started.sha.slice(0, 8))} has failed: see the note.` }
    return {
      outcome: 'done',
      said: `${code(shortBranch(place.ref))} is computed anew at ${code(started.sha.slice(0, 8))}: ${countOf(jobs.length, 'job')}.${below.length === 0 ? '' : ` ${below.length === 1 ? 'One branch below it follows' : `${below.length} branches below it follow`}, each when its parent has its new result.`}`,
    }
  },
}

/** ` -- degree=12`, shortened. */
function valuesInWords(values: Readonly<Record<string, string>>): string {
  const text = Object.entries(values)
    .map(([key, value]) => `${key}=${/[\s"']/.test(value) ? JSON.stringify(value) : value}`)
    .join(' ')
  return text === '' ? '' : ` -- ${text.length > 100 ? `${text.slice(0, 99)}…` : text}`
}

/** `solve-1`, `solve-2` run again; the other one is let be. */
function runsAgain(names: readonly string[], of: number): string {
  const more = names.length > 40 ? ` and ${names.length - 40} more` : ''
  const listed = names
    .slice(0, 40)
    .map(name => code(name))
    .join(', ')
  const left = of - names.length
  const rest = left === 0 ? '' : `; the other ${left === 1 ? 'one is' : `${left} are`} let be`
  return `${listed}${more} ${names.length === 1 ? 'runs' : 'run'} again${rest}.`
}

function tasksOf(name: string, tasks: readonly number[], named: boolean): string {
  const of = named ? ` of ${code(name)}` : ''
  return `${countOf(tasks.length, 'task')}${of} that had not completed (${code(writeTasks(tasks), 'paragraph', 100)})`
}

export const rerunVerb: Verb = {
  also: ['retest'],
  usage: '[branch]',
  summary: 'runs again what failed, was cancelled or is missing in the present run; what completed keeps its result',
  right: 'change',
  target: 'job or branch',
  async obey(context, order, place, within) {
    if (place.chosen.length > 0) return retryVerb.obey(context, order, place, within)
    if (place.run === null) throw new CompopsError('there is no run yet: `/compops run` starts one')
    const names = await rerunMissing(context, place.run.id, within)
    if (names.length === 0)
      return { outcome: 'nothing to do', said: 'Nothing has failed and nothing is missing.', tell: true }
    return {
      outcome: 'done',
      said: `Again: ${names
        .slice(0, 40)
        .map(name => code(name))
        .join(', ')}.`,
    }
  },
}

export const retryVerb: Verb = {
  also: [],
  usage: '<job> [--mem 8G] [--time 4h]',
  summary:
    'runs a job again that did not complete, with more memory or time if you say so; of an array the tasks that did not',
  right: 'change',
  target: 'job',
  async obey(context, order, place, within) {
    const { chosen, run } = place
    const raised = chosen.map(job => readRaised(context, order, job.spec))[0]
    const how = { completedToo: false, within, raised }
    const names = chosen.map(job => job.name)
    const again = [...(await retryJobs(context, { runId: run!.id, names }, how))]
    const tasks = again.map(([name, list]) => (list === null ? null : tasksOf(name, list, again.length > 1)))
    const arrays = tasks.filter(one => one !== null)
    const of = runsAgain(
      again.map(([name]) => name),
      names.length,
    )
    return { outcome: 'done', said: arrays.length === 0 ? of : `${of.slice(0, -1)}: ${arrays.join('; ')}.` }
  },
}
