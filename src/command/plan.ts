import { type ProjectConfig, projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { ensureCommit } from '../git/mirror.ts'
import { countTasks } from '../model/array.ts'
import { costOf, isAbove } from '../model/cost.ts'
import type { JobSpec } from '../model/job-spec.ts'
import { specsNamed } from '../model/matrix.ts'
import { formatWalltime } from '../model/walltime.ts'
import { countOf } from '../render/amounts.ts'
import { approvalWanted, costInWords } from '../render/approval.ts'
import { code, fence, html, prose } from '../render/markdown.ts'
import { branchRefused } from '../run/branch-refused.ts'
import { readComputation, readSpecFile } from '../run/computation.ts'
import { planJob, valuesOf } from '../run/plan.ts'
import { explainProblems } from '../spec/index.ts'
import { shortBranch } from '../store/runs.ts'
import { headNow } from './head.ts'
import type { Order } from './order.ts'
import type { Verb } from './verb.ts'

/** Of a note; what is longer is read with `compops plan`. */
const longest = 60_000

/** What would run, without running it: scripts, resources, where each value came from, and what it can cost at most. */
export const planVerb: Verb = {
  also: [],
  usage: '[job] [-- key=value …]',
  summary: 'what would run: scripts, resources, where each value came from, what it can cost at most',
  right: 'see',
  target: 'none',
  async obey(context, order, place) {
    const rule = projectFor(context.config, order.project.path)
    if (rule === null) throw new CompopsError(`no rule of the configuration matches ${order.project.path}`)
    const { ref } = place
    const sha = place.fork ? (place.mergeRequest?.sha ?? null) : await headNow(context, order.project, ref)
    const name = place.fork ? `!${place.mergeRequest?.iid}` : shortBranch(ref)
    if (sha === null) throw new CompopsError(`there is no commit of ${name}`)
    const mirror = await context.mirror(order.project)
    if (!(await ensureCommit(mirror, sha))) throw new CompopsError(`commit ${sha.slice(0, 8)} is not there any more`)
    const file = await readSpecFile(mirror, sha)
    if (file === 'absent') throw new CompopsError(`${name} has no .compops.yml at ${sha.slice(0, 8)}`)
    // As a run that a command starts would read it.
    const at = {
      rule,
      project: order.project,
      branch: { ref },
      cause: 'note:0',
      sha,
      mirror,
      file,
      values: order.args.values,
    } as const
    const read = await readComputation(context, at)
    if (read.spec === null)
      return {
        outcome: 'done',
        said: `It would not run:\n\n${explainProblems(read.problems, read.text ?? '')}`,
        tell: true,
      }
    const all = read.spec.jobs
    if (all.length === 0)
      return { outcome: 'nothing to do', said: `Nothing would run: ${read.notices.join('; ')}.`, tell: true }
    const jobs = order.target === null ? all : specsNamed(all, order.target)
    if (jobs.length === 0)
      return {
        outcome: 'refused',
        said: `There is no job ${code(order.target ?? '', 'paragraph', 100)} at ${code(sha.slice(0, 8))}. Its jobs: ${all.map(job => code(job.name)).join(', ')}.`,
      }
    const no = place.fork
      ? 'Nothing of a fork runs before a Maintainer has allowed its commit.'
      : branchRefused(rule, order.project, ref)
    const head = [
      `${code(name, 'paragraph', 200)} at ${code(sha.slice(0, 8))}: ${countOf(jobs.length, 'job')}, ${costInWords(costOf(jobs))}.`,
      ...(no === null ? [] : [prose(no)]),
      ...approvalOf(all, rule),
      ...read.notices.map(notice => prose(notice, 'paragraph', 300)),
    ]
    const parts: string[] = []
    let size = 0
    for (const job of jobs) {
      const part = planOf(context, order, { job, sha, branch: name, rule })
      size += part.length
      if (size > longest) {
        parts.push(`And ${countOf(jobs.length - parts.length, 'more job')}: \`/compops plan <job>\` shows one.`)
        break
      }
      parts.push(part)
    }
    return { outcome: 'done', said: [head.join('\n\n'), ...parts].join('\n\n'), tell: true }
  },
}

/** Whether the run as a whole would wait for somebody. */
function approvalOf(all: readonly JobSpec[], { approval }: ProjectConfig): string[] {
  const estimate = costOf(all)
  if (approval == null || !isAbove(estimate, approval)) return []
  return [`It would be held: ${approvalWanted({ estimate, limit: approval, approved: null }, null)}.`]
}

interface ToPlan {
  readonly job: JobSpec
  readonly sha: string
  readonly branch: string
  readonly rule: ProjectConfig
}

/** Folded: who asks for the plan of thirty jobs wants the list first. */
function planOf(context: Context, order: Order, { job, sha, branch, rule }: ToPlan): string {
  const tasks = job.array === undefined ? '' : `, ${countOf(countTasks(job.array.tasks), 'task')}`
  const title = `<summary>${html(job.name, 100)} on ${html(job.cluster, 60)}${tasks} · ${costInWords(costOf([job]))}</summary>`
  let shown: string
  try {
    const lines = planJob(context, { project: order.project, rule, spec: job, branch, sha, by: order.person })
    const width = Math.min(70, Math.max(...lines.map(line => line.text.length)))
    shown = fence(
      lines.map(({ text, from }) => (from === null ? text : `${text.padEnd(width)}  ← ${from}`)).join('\n'),
      'sh',
    )
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    shown = prose(describeError(error))
  }
  const values = valuesOf(job).map(one => rowOf(one, job.resources))
  const table = values.length === 0 ? '' : `\n\n| key | value | from |\n|---|---|---|\n${values.join('\n')}`
  return `<details>${title}\n\n${shown}${table}\n\n</details>`
}

function rowOf({ key, value, from }: ReturnType<typeof valuesOf>[number], { time }: JobSpec['resources']): string {
  const shown = key === 'time' && time !== undefined ? formatWalltime(time) : value
  const text = typeof shown === 'string' ? shown : JSON.stringify(shown)
  return `| ${code(key, 'table', 80)} | ${code(text, 'table', 120)} | ${prose(from, 'table', 120)} |`
}
