import { and, eq, isNotNull, isNull, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { type GitLab, isGitLabError } from '../gitlab/gitlab.ts'
import { notBegun } from '../model/job-state.ts'
import { asOutage, retryAfterOf } from '../run/outage.ts'
import { stopJobs } from '../run/stop.ts'
import { broughtItself, type CiJobRow, wantedJobs } from '../store/ci-jobs.ts'
import { findProject } from '../store/projects.ts'
import { finalStates } from '../store/runs.ts'
import { attempts, ciJobs } from '../store/schema.ts'
import { claim, putBack, putOff, sideBySide, stillClaimed } from '../store/work.ts'
import { mayBeGate } from './order.ts'
import { forgetJobs, jobByName, nowPlayed, statusOfJob } from './pipeline-jobs.ts'

/** An attached CI job that has said nothing for so long may be dead: GitLab is asked. */
const silence = 60

const counts = sql`j.run_id = ${ciJobs.runId} and (${ciJobs.wanted} is null or ${ciJobs.wanted} ? j.name)`
/** Every job whose end counts has ended, and its results are here. In two questions: the first has an answer for nearly all that wait, the second costs more. */
const ended = sql`case when exists (select 1 from jobs j where ${counts} and j.state not in ${finalStates}) then false
  else not exists (select 1 from jobs j join attempts a on a.job_id = j.id where ${counts} and not (a.final and (a.collected is not null or a.collect_problem is not null))) end`
const silent = sql`(${ciJobs.asked}->>'mode' = 'attach' and ${ciJobs.heardAt} < now() - make_interval(secs => ${silence}))`
const late = sql`(${ciJobs.beginsBy} is not null and ${ciJobs.beginsBy} <= now())`

/**
 * What CI jobs have left to us: gates are played when their jobs have ended, what waits longer than it may is cancelled, and so is what a CI job followed that is no more. Rows that only wait are
 * passed over by one statement, whatever their number, and cost GitLab nothing. Returns how many were looked at.
 */
export async function lookAfterCiJobs(context: Context): Promise<number> {
  if (context.gitlabs().every(gitlab => gitlab.pause() > 0)) return 0
  const claimed = await claim(context.db, ciJobs, {
    claimant: context.claimant,
    seconds: 120,
    limit: 40,
    condition: and(isNull(ciJobs.endedAt), isNotNull(ciJobs.runId), sql`(${ended} or ${silent} or ${late})`),
  })
  if (claimed.length === 0) return 0
  const now = await nowOf(context)
  // One pipeline's gates in turn: its list of jobs is asked for once.
  const pipelines = Map.groupBy(claimed, row => `${row.projectId} ${row.pipelineId}`)
  await sideBySide(
    [...pipelines.values()].map(async rows => {
      const few = rows.filter(row => silenceOf(row, now) > silence).length <= 3
      for (const row of rows) {
        try {
          await lookAfter(context, row, { now, few })
        } catch (error) {
          const fate = await putBack(context.db, ciJobs, row, asOutage(error), retryAfterOf(error))
          context.log.warn(
            { step: 'bridge', ciJob: row.ciJobId, fate, err: describeError(error) },
            'a CI job could not be looked after',
          )
        }
      }
    }),
  )
  return claimed.length
}

/** Seconds. */
const silenceOf = (row: CiJobRow, now: Date) =>
  row.asked.mode === 'attach' ? (now.getTime() - row.heardAt.getTime()) / 1_000 : 0

async function lookAfter(
  context: Context,
  row: CiJobRow,
  { now, few }: { readonly now: Date; readonly few: boolean },
): Promise<void> {
  const project = await findProject(context.db, row.projectId)
  if (project === null) return close(context, row, 'its project is not known any more')
  const gitlab = context.gitlabOf(project.path)
  const jobs = await wantedJobs(context.db, row)
  const open = jobs.filter(job => !finalStates.includes(job.state))
  if (open.length > 0) {
    const waiting = open.filter(job => notBegun.includes(job.state))
    if (row.beginsBy !== null && row.beginsBy <= now) {
      const why = `it has waited longer than max_wait (${row.asked.maxWait} s)`
      if (waiting.length > 0) await stopJobs(context, { jobs: waiting.map(job => job.id) }, why)
      await context.db.update(ciJobs).set({ beginsBy: null }).where(eq(ciJobs.id, row.id))
    }
    const silent = silenceOf(row, now)
    if (silent > silence) {
      const status = await statusOfJob(context, gitlab, row, { few })
      // Cancelled: a person wants the end. Failed (its runner died, its time was up): what a push had started goes on.
      if (status === 'failed' && !(await broughtItself(context.db, row)))
        return close(context, row, 'its CI job has failed')
      if (['canceled', 'canceling', 'failed'].includes(status)) {
        await stopJobs(
          context,
          { jobs: open.map(job => job.id) },
          `CI job ${row.ciJobId} (${row.name}) is ${status} in GitLab`,
        )
        return close(context, row, `its CI job is ${status}`)
      }
      if (status === 'success') return close(context, row, 'its CI job has ended')
    }
    // A runner that is away: asked at growing distance, until GitLab gives it up.
    return putOff(context.db, ciJobs, row, distance(silent), 'it goes on')
  }
  if (!jobs.every(job => job.settled)) return putOff(context.db, ciJobs, row, 1_000, 'results are on their way')
  if (row.asked.gate === null) return close(context, row, 'ended')
  const rule = projectFor(context.config, project.path)
  if (rule === null || !mayBeGate(rule, row.asked.gate))
    return close(context, row, `${row.asked.gate} may be no gate any more (\`gates\` of the project's rule)`)
  await openGate(context, row, row.asked.gate, gitlab, now)
}

/** 30 s to five minutes, by how long it is so already, in seconds. */
const distance = (seconds: number) => 1_000 * Math.min(300, Math.max(30, seconds / 4))

/** Plays the manual job; before it is ready, or while GitLab refuses, that is tried again. */
async function openGate(context: Context, row: CiJobRow, gate: string, gitlab: GitLab, now: Date): Promise<void> {
  const job = await jobByName(context, gitlab, row, gate)
  if (job === undefined) return close(context, row, `the pipeline has no job ${gate}`)
  switch (job.status) {
    case 'created':
    case 'waiting_for_resource':
    case 'preparing': {
      const since = (now.getTime() - (await endedAt(context, row, now)).getTime()) / 1_000
      const ms = 1_000 * Math.min(60, Math.max(5, since / 4))
      return putOff(context.db, ciJobs, row, ms, `${gate} is ${job.status}: GitLab has not come to it yet`)
    }
    case 'manual':
      try {
        await gitlab.playCiJob(row.projectId, job.id)
        nowPlayed(context, row, gate)
      } catch (error) {
        // Somebody was quicker, or the answer of the first time was lost.
        if (!isGitLabError(error, 'invalid') || !/unplayable/i.test(error.said)) throw error
        forgetJobs(context, row)
      }
      return close(context, row, `${gate} was played (job ${job.id})`)
    case 'failed':
    case 'canceled': {
      if (!row.gateEarly) return close(context, row, `${gate} is ${job.status} already`)
      const again = await gitlab.retryCiJob(row.projectId, job.id)
      await context.db.update(ciJobs).set({ gateEarly: false }).where(eq(ciJobs.id, row.id))
      forgetJobs(context, row)
      // GitLab sets some versions' retried manual jobs going at once, others' wait to be played.
      return putOff(context.db, ciJobs, row, 1_000, `${gate} was played too early: it goes again as job ${again.id}`)
    }
    default:
      return close(context, row, `${gate} is ${job.status}`)
  }
}

/** When the last of its jobs has. */
async function endedAt({ db }: Context, row: CiJobRow, now: Date): Promise<Date> {
  const [last] = await db
    .select({ at: sql<string | null>`max(${attempts.endedAt})` })
    .from(attempts)
    .where(eq(attempts.runId, row.runId!))
  return last?.at == null ? now : new Date(last.at)
}

async function close(context: Context, row: CiJobRow, result: string): Promise<void> {
  await context.db
    .update(ciJobs)
    .set({ endedAt: sql`now()`, result, leaseUntil: null, attempts: 0, lastError: null })
    .where(stillClaimed(ciJobs, row))
  context.log.info({ step: 'bridge', ciJob: row.ciJobId, run: row.runId }, result)
}

/** Of the database, whose times the row has. */
async function nowOf(context: Context): Promise<Date> {
  const [row] = await context.db.select({ now: sql<string>`now()` }).from(sql`(select 1) one`)
  return new Date(row!.now)
}
