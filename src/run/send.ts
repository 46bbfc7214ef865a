import { and, eq, inArray, isNull, ne, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { choosePipeline, type GitLab, isGitLabError, type StatusState, sendCommitStatus } from '../gitlab/gitlab.ts'
import { mustHold } from '../store/leases.ts'
import { openMergeRequests } from '../store/merge-requests.ts'
import { findProject } from '../store/projects.ts'
import { upToDate } from '../store/recovery.ts'
import { sendAgain } from '../store/reports.ts'
import { findRun, type RunRow, runsAt } from '../store/runs.ts'
import { type Desired, reports, runs } from '../store/schema.ts'
import { claim, putBack, putOff, sideBySide, stillClaimed } from '../store/work.ts'
import { asOutage, retryAfterOf } from './outage.ts'

type Report = typeof reports.$inferSelect
type Of<Kind extends Desired['kind']> = Extract<Desired, { kind: Kind }>

/** Step 6: sends what GitLab was not told yet: statuses, notes, replies. A lost answer is a repeat, not a loss. Returns how many were tried. */
export async function sendReports(context: Context): Promise<number> {
  // While GitLab wants no calls (rate limit), claiming would only be a thousand rows written for nothing.
  if (context.gitlabs().every(gitlab => gitlab.pause() > 0)) return 0
  const condition = and(
    ne(reports.kind, 'evidence'),
    sql`${reports.sentHash} is distinct from ${reports.desiredHash}`,
    upToDate(context.db, reports.projectId),
  )
  const claimed = await claim(context.db, reports, { claimant: context.claimant, seconds: 120, limit: 40, condition })
  // Those of one commit or one merge request in turn, as GitLab locks them; different ones side by side.
  const lanes = Map.groupBy(
    claimed,
    report => `${report.projectId} ${report.desired.kind === 'status' ? report.desired.sha : report.key}`,
  )
  await sideBySide(
    [...lanes.values()].map(async lane => {
      const inOrder = lane.sort(jobsFirst)
      for (const [at, report] of inOrder.entries()) {
        mustHold(context.lease)
        const answer = await send(context, report)
        if (answer === true) continue
        if (answer !== false)
          for (const other of inOrder.slice(at + 1)) await putOff(context.db, reports, other, answer.pause, answer.why)
        break
      }
    }),
  )
  return claimed.length
}

const jobsFirst = (a: Report, b: Report) =>
  Number(a.key.endsWith(' compops/tree')) - Number(b.key.endsWith(' compops/tree'))

/** Returns false where the rest of the lane waits of itself, and for how long it should, ms, where GitLab wants no more calls. */
async function send(context: Context, report: Report): Promise<boolean | { pause: number; why: string }> {
  const log = context.log.child({ step: 'report', report: report.id, kind: report.kind, run: report.runId })
  try {
    const project = await findProject(context.db, report.projectId)
    if (project === null) throw new CompopsError(`project ${report.projectId} is not known`)
    const gitlab = context.gitlabOf(project.path)
    switch (report.desired.kind) {
      case 'status':
        if (!(await sendStatus(context, gitlab, report, report.desired))) return false
        break
      case 'note':
        await sendNote(context, gitlab, report, report.desired)
        break
      case 'reply':
        await sendReply(context, gitlab, report, report.desired)
        break
      case 'evidence':
        break
    }
    log.info({ key: report.key }, `${report.kind} sent`)
    return true
  } catch (thrown) {
    if (isGitLabError(thrown, 'rate limited')) {
      const rest = { pause: retryAfterOf(thrown), why: describeError(thrown) }
      await putOff(context.db, reports, report, rest.pause, rest.why)
      log.info({ key: report.key }, `${report.kind} waits: GitLab's rate limit`)
      return rest
    }
    const fate = await putBack(context.db, reports, report, asOutage(thrown), retryAfterOf(thrown))
    // Perhaps GitLab did it and only the answer was lost.
    if (fate === 'taken over') await markToldTwice(context, report)
    context.metrics.failures.inc({ verb: `send ${report.kind}` })
    log.warn({ key: report.key, fate, err: describeError(thrown) }, `${report.kind} could not be sent`)
    return true
  }
}

/** The sent hash of a report that two processes may have told: it differs from any other, so whoever claims it next tells it anew. */
const toldTwice = 'told twice'

/**
 * Closes a report with what was sent; what has changed meanwhile differs from it and is sent next. Where another process has taken the report
 * over since (we were frozen), what GitLab shows may be ours and old, or there twice: the row says so, and it is told once more.
 */
async function sent(
  context: Context,
  report: Report,
  more: Partial<typeof reports.$inferInsert> = {},
  pauseMs = 0,
): Promise<void> {
  const saved = await context.db
    .update(reports)
    .set({
      sentHash: report.desiredHash,
      sentAt: sql`now()`,
      leaseUntil: null,
      lastError: null,
      attempts: 0,
      nextAt: sql`now() + make_interval(secs => ${pauseMs / 1000})`,
      ...more,
    })
    .where(stillClaimed(reports, report))
    .returning({ id: reports.id })
  if (saved.length === 0) await markToldTwice(context, report)
}

/** Under our name: the other process, if it has not saved yet, sees that as we do. */
async function markToldTwice(context: Context, report: Report): Promise<void> {
  await context.db
    .update(reports)
    .set({ sentHash: toldTwice, leaseUntil: null, leaseHolder: report.leaseHolder, nextAt: sql`now()` })
    .where(eq(reports.id, report.id))
  context.log.info({ step: 'report', key: report.key }, 'another process has told it too: it is told once more')
}

/** Returns false where it waits: for the commit's pipeline, or for the statuses that come before it. */
async function sendStatus(context: Context, gitlab: GitLab, report: Report, desired: Of<'status'>): Promise<boolean> {
  const run = (await findRun(context.db, report.runId))!
  const open = await openMergeRequests(context.db, report.projectId, desired.branch)
  const iid = open.find(one => one.headSha === desired.sha)?.iid ?? null
  if (run.hasCi && run.pipelineId === null && !(await pipelineOrPatience(context, gitlab, run, desired, iid)))
    return false
  if (desired.name === 'compops/tree' && isEnd(desired.state) && (await othersUnsent(context, report))) {
    await context.db
      .update(reports)
      .set({ leaseUntil: null, attempts: 0, nextAt: afterSiblings(report) })
      .where(eq(reports.id, report.id))
    return false
  }
  const answer = await sendCommitStatus(gitlab, {
    projectId: report.projectId,
    sha: desired.sha,
    branch: desired.branch,
    mergeRequestIid: iid,
    name: desired.name,
    state: desired.state,
    description: desired.description,
    targetUrl: desired.targetUrl,
    pipelineId: run.pipelineId,
    last: lastSent(report),
  })
  if (answer.pipelineId !== null && answer.pipelineId !== run.pipelineId) {
    const unmoved = sql`${runs.pipelineId} is not distinct from ${run.pipelineId}`
    await context.db
      .update(runs)
      .set({ pipelineId: answer.pipelineId })
      .where(and(eq(runs.id, run.id), unmoved))
  }
  if (answer.outcome === 'impossible') {
    context.log.warn(
      { step: 'report', run: run.id, name: desired.name, reason: answer.reason },
      'GitLab does not take the status',
    )
    // A person gives rights back at any time; whatever else it is has eight tries, then it is parked.
    if (answer.retryLater !== undefined)
      throw new CompopsError(answer.reason ?? 'GitLab refused the status', {
        transient: answer.retryLater === 'rights',
      })
  }
  if (answer.outcome === 'impossible') context.metrics.statusesRefused.inc()
  await sent(context, report, {
    externalId: answer.statusId,
    refused: answer.outcome === 'impossible' ? (answer.reason ?? 'refused') : null,
  })
  await sendAgainIfMoved(context, report, answer.pipelineId)
  return true
}

/** The state that GitLab was last told of this status in this run, where it took it: what may follow depends on it. */
function lastSent(report: Report): StatusState | null {
  const [run, state] = (report.sentHash ?? '').split(' ')
  return run === report.runId && report.refused === null ? ((state as StatusState | undefined) ?? null) : null
}

/** The run's statuses were moved to another pipeline while this one was on its way to the old: it follows. */
async function sendAgainIfMoved(context: Context, report: Report, pipelineId: number | null): Promise<void> {
  const run = (await context.db.select({ at: runs.pipelineId }).from(runs).where(eq(runs.id, report.runId)))[0]
  if (pipelineId !== null && run?.at != null && run.at !== pipelineId) await sendAgain(context.db, [report.id])
}

const isEnd = (state: string): boolean => state !== 'pending' && state !== 'running'

/** As late as the first of the statuses that it waits for, in an outage too. */
function afterSiblings(report: Report) {
  return sql`greatest(now() + interval '1 second', (select min(s.next_at) from reports s where s.run_id = ${report.runId} and s.kind = 'status'
    and s.id <> ${report.id} and s.parked_at is null and s.sent_hash is distinct from s.desired_hash))`
}

/** Statuses of the same run that GitLab has not been told yet and will be: the run as a whole ends after its jobs, also after an outage. */
async function othersUnsent(context: Context, report: Report): Promise<boolean> {
  const others = await context.db
    .select({ id: reports.id })
    .from(reports)
    .where(
      and(
        eq(reports.runId, report.runId),
        eq(reports.kind, 'status'),
        ne(reports.id, report.id),
        isNull(reports.parkedAt),
        sql`${reports.sentHash} is distinct from ${reports.desiredHash}`,
      ),
    )
    .limit(1)
  return others.length > 0
}

/**
 * GitLab makes the pipeline of a push a moment later; a status sent before it would make a second, external one. Asked once for all statuses of the
 * commit, which wait together.
 */
async function pipelineOrPatience(
  context: Context,
  gitlab: GitLab,
  run: RunRow,
  desired: Of<'status'>,
  iid: number | null,
): Promise<boolean> {
  const patience = sql<boolean>`${runs.createdAt} > now() - make_interval(secs => ${context.config.gitlab.ciPipelineWait})`
  const young = (await context.db.select({ is: patience }).from(runs).where(eq(runs.id, run.id)))[0]?.is
  if (young !== true) return true
  const found = choosePipeline(await gitlab.pipelines(run.projectId, { sha: desired.sha }), {
    sha: desired.sha,
    branch: desired.branch,
    mergeRequestIid: iid,
  })
  if (found !== null) {
    await context.db.update(runs).set({ pipelineId: found.id }).where(eq(runs.id, run.id))
    return true
  }
  await context.db
    .update(reports)
    .set({ leaseUntil: null, attempts: 0, nextAt: sql`now() + interval '3 seconds'` })
    .where(
      and(
        eq(reports.projectId, run.projectId),
        eq(reports.kind, 'status'),
        sql`${reports.sentHash} is distinct from ${reports.desiredHash}`,
        inArray(reports.runId, runsAt(context.db, run.projectId, desired.sha)),
      ),
    )
  return false
}

async function sendNote(context: Context, gitlab: GitLab, report: Report, desired: Of<'note'>): Promise<void> {
  const pause = context.config.intervals.note
  const marker = desired.body.slice(0, desired.body.indexOf('-->') + 3)
  if (report.sentHash === toldTwice) await keepOne(gitlab, report, desired.iid, marker)
  if (report.externalId !== null) {
    const edit = await editNote(gitlab, report, desired, report.externalId)
    // A person deleted it: the end of a run is told again, not each step on the way, or they would delete for ever.
    if (edit === 'edited' || (edit === 'gone' && desired.final === false)) return sent(context, report, {}, pause)
  }
  // Perhaps it was made and the answer lost; or it was deleted by a person; or a former bot of ours made it, whose notes the present one may not edit.
  const me = await gitlab.self()
  const known = await gitlab.findNote(report.projectId, desired.iid, marker, me.id)
  if (known !== null && (await editNote(gitlab, report, desired, known.id)) === 'edited')
    return sent(context, report, { externalId: known.id }, pause)
  const made = await gitlab.createNote(report.projectId, desired.iid, desired.body)
  await sent(context, report, { externalId: made.id }, pause)
}

async function editNote(
  gitlab: GitLab,
  report: Report,
  desired: Of<'note'>,
  noteId: number,
): Promise<'edited' | 'gone' | 'not ours'> {
  try {
    await gitlab.updateNote(report.projectId, desired.iid, noteId, desired.body)
    return 'edited'
  } catch (error) {
    if (isGitLabError(error, 'not found')) return 'gone'
    if (isGitLabError(error, 'forbidden')) return 'not ours'
    throw error
  }
}

/** Two processes told at the same moment: the oldest of our notes stays, people may have answered it. */
async function keepOne(gitlab: GitLab, report: Report, iid: number, marker: string): Promise<void> {
  const me = await gitlab.self()
  const ours = await gitlab.findNotes(report.projectId, iid, marker, me.id)
  const kept = ours.find(note => note.id === report.externalId) ?? ours.at(-1)
  for (const note of ours) if (note !== kept) await gitlab.deleteNote(report.projectId, iid, note.id)
}

async function sendReply(context: Context, gitlab: GitLab, report: Report, desired: Of<'reply'>): Promise<void> {
  const marker = desired.body.slice(desired.body.lastIndexOf('<!--'))
  const me = await gitlab.self()
  const twice = report.sentHash === toldTwice
  if (twice) await keepOne(gitlab, report, desired.iid, marker)
  // Of any bot that we have been: the answer may have been lost before the token was replaced.
  const ours = new Set([...context.botIds(), me.id])
  const looked = twice || report.attempts > 1
  const before = looked ? await gitlab.findNote(report.projectId, desired.iid, marker, ours) : null
  const noteId = before?.id ?? (await gitlab.createNote(report.projectId, desired.iid, desired.body)).id
  await sent(context, report, { externalId: noteId })
}
