import { and, desc, eq, isNotNull, ne } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { describeHold } from '../model/hold.ts'
import { isFinal, jobStates } from '../model/job-state.ts'
import { jobNeeds, needInWords, needStands } from '../model/needs.ts'
import type { Job, Run } from '../model/run.ts'
import { formatDuration, formatTime } from '../render/amounts.ts'
import { code, inline, prose } from '../render/markdown.ts'
import { advice, failureInWords, lastAttempt } from '../render/outcome.ts'
import { holdOf } from '../store/holds.ts'
import { type JobRow, loadRun } from '../store/runs.ts'
import { attempts, connections, jobs, runs } from '../store/schema.ts'
import type { Verb } from './verb.ts'

/** Why a job stands where it does, in words: what it waits for, whose limit that is, and when the scheduler thinks that it begins. */
export const whyVerb: Verb = {
  also: [],
  usage: '<job>',
  summary:
    'why the job waits, or how it ended: the scheduler’s reason in words, our own limits, its estimate of the start',
  right: 'see',
  target: 'job',
  async obey(context, _order, place) {
    const run = await loadRun(context.db, place.run!.id)
    const shown = place.chosen.filter(row => place.chosen.length === 1 || row.state !== 'completed').slice(0, several)
    const said: string[] = []
    for (const row of shown) said.push(await whyOf(context, run, row))
    const left = place.chosen.length - shown.length
    const completed = place.chosen.filter(row => row.state === 'completed').length
    if (left > 0 && completed === left) said.push(`${left === 1 ? 'One has' : `${left} have`} completed.`)
    else if (left > 0)
      said.push(`And ${left} more, of which ${completed} have completed: \`/compops why <job>\` tells of one.`)
    return { outcome: 'done', said: said.join('\n\n'), tell: true }
  },
}

/** Of those that a matrix has made. */
const several = 10

async function whyOf(context: Context, run: Run, row: JobRow): Promise<string> {
  const job = run.jobs.find(one => one.id === row.id)!
  const said: string[] = [
    `${jobStates[job.state].symbol} ${code(job.name, 'paragraph', 80)} ${jobStates[job.state].label}.`,
  ]
  if (isFinal(job.state)) {
    if (job.state === 'failed') said.push(`It ended by ${inline(failureInWords(job), 200)}.`)
    if (job.message !== null) said.push(sentence(job.message))
    const advised = job.state === 'failed' ? advice(job, true) : null
    if (advised !== null) said.push(`**Try:** ${advised}`)
    return said.join(' ')
  }
  const needs = jobNeeds(job.spec.needs).filter(need => {
    const needed = run.jobs.find(one => one.name === need.job)
    return needed !== undefined && needStands(need.kind, { state: needed.state, begun: false }) === 'open'
  })
  if (needs.length > 0) said.push(`It needs ${needs.map(need => code(needInWords(need))).join(', ')}.`)
  if (job.message !== null) said.push(sentence(job.message))
  if (row.hold !== null) said.push(endOfHold[row.hold.kind])
  said.push(...(await ofCluster(context, row)))
  if (job.state === 'queued') said.push(...(await ofQueue(context, row, job)))
  return said.join(' ')
}

const endOfHold = {
  person: '`/compops unhold` lets it go on.',
  approval: '`/compops approve` by a Maintainer lets it begin.',
  paused: '`/compops retry` lets it try again.',
} as const

/** What keeps everything on its cluster back. */
async function ofCluster(context: Context, row: JobRow): Promise<string[]> {
  const said: string[] = []
  const hold = await holdOf(context.db, row.connection)
  if (hold !== null) said.push(sentence(describeHold(hold)))
  const [peer] = await context.db.select().from(connections).where(eq(connections.name, row.connection))
  if (peer?.unreachableSince != null)
    said.push(
      `${inline(row.cluster, 60)} has not answered since ${formatTime(peer.unreachableSince, context.config.timeZone)}: ${prose(peer.lastError ?? 'no answer', 'paragraph', 300)}.`,
    )
  return said
}

/** What the scheduler says at this moment, and what earlier runs tell of the request. */
async function ofQueue(context: Context, row: JobRow, job: Job): Promise<string[]> {
  const attempt = lastAttempt(job)
  if (attempt === null || attempt.nativeId === null) return []
  const said: string[] = []
  try {
    const watched = { ...attempt, projectId: row.projectId, runId: row.runId, jobId: row.id }
    const round = row.spec.array === undefined ? await context.clusterOf(row.connection).observe([watched]) : null
    const queue = round?.seen.get(attempt.id)?.queue ?? null
    if (queue?.reason != null && queue.reason !== '' && row.message === null)
      said.push(sentence(context.clusterOf(row.connection).inWords(queue.reason)))
    if (queue?.state === 'queued' && queue.startAt !== null && queue.startAt.getTime() > context.clock.now().getTime())
      said.push(
        `${inline(row.cluster, 60)} expects it to begin at ${formatTime(queue.startAt, context.config.timeZone)}; that moves with what others do.`,
      )
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    said.push(`${inline(row.cluster, 60)} does not answer at the moment.`)
  }
  const shorter = await shorterTime(context, row, job)
  if (shorter !== null) said.push(shorter)
  return said
}

/** Only what is known: how long this job took before on its branch. A scheduler fits in earlier what asks for less. */
async function shorterTime(context: Context, row: JobRow, job: Job): Promise<string | null> {
  const limit = job.spec.resources.time
  if (limit === undefined || job.spec.array !== undefined) return null
  const before = await context.db
    .select({ startedAt: attempts.startedAt, endedAt: attempts.endedAt })
    .from(attempts)
    .innerJoin(jobs, eq(jobs.id, attempts.jobId))
    .innerJoin(runs, eq(runs.id, attempts.runId))
    .where(
      and(
        ...[
          eq(jobs.projectId, row.projectId),
          eq(jobs.name, row.name),
          eq(jobs.cluster, row.cluster),
          ne(jobs.id, row.id),
        ],
        ...[eq(attempts.state, 'completed'), isNotNull(attempts.startedAt), isNotNull(attempts.endedAt)],
      ),
    )
    .orderBy(desc(attempts.endedAt))
    .limit(5)
  if (before.length === 0) return null
  const longest = Math.max(...before.map(one => (one.endedAt!.getTime() - one.startedAt!.getTime()) / 1_000))
  // Half as long again as it ever took; a step that is worth the edit.
  const enough = Math.max(60, Math.ceil((longest * 1.5) / 60) * 60)
  if (enough > limit / 2) return null
  const times = before.length === 1 ? 'the last time' : `at most, the last ${before.length} times`
  return `It asks for ${formatDuration(limit)} and took ${formatDuration(longest)} ${times}: with \`time: ${Math.ceil(enough / 60)}m\` the scheduler can fit it into gaps that are too short for it now.`
}

function sentence(text: string): string {
  const words = prose(text, 'paragraph', 400)
  const capital = words.slice(0, 1).toUpperCase() + words.slice(1)
  return /[.!?]$/.test(capital) ? capital : `${capital}.`
}
