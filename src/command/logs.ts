import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { isFinal } from '../model/job-state.ts'
import type { Attempt, Job } from '../model/run.ts'
import { code, fence, lastLines, prose } from '../render/markdown.ts'
import { readPiece } from '../results/piece.ts'
import { knowSecrets } from '../run/known-secrets.ts'
import { loadRun } from '../store/runs.ts'
import type { Answer, Order } from './order.ts'
import type { Verb } from './verb.ts'

const usual = 40
const most = 200
const bytes = 64 * 1024

/** The last lines of what a job printed, read on the cluster while it is there, redacted, in a fence that nothing in them closes. */
export const logsVerb: Verb = {
  also: ['log'],
  usage: '<job> [--lines 40] [--task 7]',
  summary: 'the last lines of what the job printed',
  right: 'see',
  target: 'job',
  async obey(context, order, place) {
    const run = await loadRun(context.db, place.run!.id, 'collected')
    const jobs = run.jobs.filter(job => place.chosen.some(one => one.id === job.id))
    if (jobs.length === 1) return logOf(context, order, jobs[0]!, usual)
    // Of those that a matrix has made: first what somebody asks about most likely.
    const sorted = jobs.toSorted((a, b) => rank(a) - rank(b)).slice(0, several)
    const parts: string[] = []
    for (const job of sorted) parts.push((await logOf(context, order, job, Math.ceil(usual / sorted.length))).said)
    const names = jobs.filter(job => !sorted.includes(job)).map(job => code(job.name))
    if (names.length > 0) parts.push(`Also: ${names.slice(0, 40).join(', ')}. \`/compops logs <job>\` shows one.`)
    return { outcome: 'done', said: parts.join('\n\n'), tell: true }
  },
}

const several = 4
const rank = ({ state }: Job) => (state === 'failed' ? 0 : isFinal(state) ? 2 : 1)

async function logOf(context: Context, order: Order, job: Job, usualLines: number): Promise<Answer> {
  const attempt = job.attempts.findLast(one => one.nativeId !== null) ?? null
  if (attempt === null)
    return { outcome: 'done', said: `${code(job.name)} has not begun: it has no log yet.`, tell: true }
  const { lines: wanted, task } = order.args.options
  const lines = Math.min(most, Math.max(1, Number(wanted ?? usualLines) || usualLines))
  if (job.spec.array !== undefined && !/^\d{1,9}$/.test(String(task ?? '')))
    return { outcome: 'refused', said: `${code(job.name)} is an array: name one of its tasks, \`--task 7\`.` }
  await knowSecrets(context, attempt.id)
  const text = await tail(() =>
    readPiece(context.db, context.clusterOf, {
      ...{ attempt: attempt.id, in: 'log', path: '', offset: -bytes, bytes },
      task: job.spec.array === undefined ? undefined : Number(task),
    }),
  )
  const known = text ?? (job.spec.array === undefined ? kept(attempt) : null)
  if (known === null)
    return {
      outcome: 'done',
      said: `The log of ${code(job.name)} is not to be had: the cluster has none, or does not answer.`,
      tell: true,
    }
  const shown = lastLines(context.secrets.redact(known), { lines, width: 400 })
  if (shown.length === 0) return { outcome: 'done', said: `${code(job.name)} has printed nothing yet.`, tell: true }
  const which = `${code(job.name)}${task === undefined ? '' : ` task ${prose(String(task))}`}, attempt ${attempt.number}, last ${shown.length} lines:`
  return { outcome: 'done', said: `${which}\n\n${fence(shown.join('\n'), 'text')}`, tell: true }
}

const kept = (attempt: Attempt) => attempt.collected?.logTail ?? null

/** null where the cluster is away, or the file is not there (any more). */
async function tail(read: () => ReturnType<typeof readPiece>): Promise<string | null> {
  try {
    const piece = await read()
    return 'problem' in piece ? null : Buffer.from(piece.bytes).toString('utf8')
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    return null
  }
}
