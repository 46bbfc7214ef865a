import { createHash } from 'node:crypto'
import { and, eq, gt, lt, sql } from 'drizzle-orm'
import { type ProjectConfig, projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { ciJobOfRef, ciStatusName } from '../model/ci.ts'
import type { Run } from '../model/run.ts'
import { type NoteView, renderNote } from '../render/note.ts'
import { renderReply } from '../render/reply.ts'
import { renderStatuses, statusName } from '../render/status.ts'
import { mustHold } from '../store/leases.ts'
import { type MergeRequestRow, mergeRequestsShowing } from '../store/merge-requests.ts'
import { type Db, first, rows, transact } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { fromEvidence, upToDate } from '../store/recovery.ts'
import { type ReportToWrite, writeOnce, writeReports } from '../store/reports.ts'
import { loadRun, type RunRow } from '../store/runs.ts'
import { branches, runs } from '../store/schema.ts'
import { claim, putBack, stillClaimed } from '../store/work.ts'
import { askForMergeRequests, iidOfForkRef, mergeRequestsOf } from './merge-request.ts'
import { asOutage } from './outage.ts'
import { comparisonsWith, pageOf } from './page.ts'
import { replant } from './replant.ts'
import { wantUploads } from './upload-plots.ts'

/** Between steps 5 and 6: turns what has changed of runs into what GitLab should show. Returns how many runs were claimed. */
export async function composeReports(context: Context): Promise<number> {
  const claimed = await claim(context.db, runs, {
    claimant: context.claimant,
    seconds: 120,
    limit: 100,
    condition: and(gt(runs.version, runs.reportedVersion), upToDate(context.db, runs.projectId)),
  })
  let composed = 0
  for (const row of claimed) {
    mustHold(context.lease)
    try {
      await compose(context, row)
      composed++
    } catch (error) {
      // One run that cannot be composed must not keep the others from being told.
      context.metrics.failures.inc({ verb: 'compose' })
      const fate = await putBack(context.db, runs, row, asOutage(error))
      context.log.error(
        {
          step: 'compose',
          run: row.id,
          fate,
          err: describeError(error),
          stack: error instanceof Error ? error.stack : undefined,
        },
        'a run could not be composed',
      )
    }
  }
  if (composed > 0) for (const topic of ['send', 'evidence'] as const) context.wake.call(topic)
  return claimed.length
}

// Runs whose merge requests GitLab has not told yet; only a hint, after a restart they are asked for when the run ends.
const unlearned = new Set<string>()

/**
 * GitLab tells of merge requests by itself, most often a moment after the push: it is asked when the run is composed a second time, and at its end. At once only
 * where the commit has pipelines: the statuses belong to the merge request's.
 */
function isTimeToAsk(row: RunRow): boolean {
  if (row.endedAt !== null) unlearned.delete(row.id)
  if (row.reportedVersion > 0) return row.endedAt !== null || unlearned.has(row.id)
  if (!row.hasCi && row.endedAt === null) unlearned.add(row.id)
  return row.hasCi || row.endedAt !== null
}

async function compose(context: Context, row: RunRow): Promise<void> {
  const project = await findProject(context.db, row.projectId)
  const rule = project === null ? null : projectFor(context.config, project.path)
  if (project === null || rule === null) {
    await markReported(context.db, row)
    return
  }
  const run = await loadRun(context.db, row.id, 'collected')
  let open = await mergeRequestsOf(context.db, run.projectId, row.ref)
  if (open.length === 0 && row.ref.startsWith('refs/heads/') && isTimeToAsk(row)) {
    await learnMergeRequests(context, run)
    open = await mergeRequestsOf(context.db, run.projectId, row.ref)
  }
  const latest = await isLatest(context.db, row)
  // A status belongs to the newest run of its commit that has such a job; what that does not have ends as it ended here.
  const theirs = await namesOfNewerRuns(context.db, row)
  // The pipelines of a fork's commits are the fork's: what we say of them stands in the note alone.
  const statuses = iidOfForkRef(row.ref) === null ? statusReports(context, run, rule) : []
  const wanted: ReportToWrite[] = statuses.filter(({ desired }) =>
    desired.kind === 'status' ? !theirs.has(desired.name) : true,
  )
  // A merge request that was merged or closed keeps the note that it has; the final edit comes there too.
  const shown = latest ? await mergeRequestsShowing(context.db, run.projectId, run.id, open) : []
  for (const mergeRequest of shown) wanted.push(await noteReport(context, row, run, mergeRequest, rule.commands.notes))
  if (run.endedAt !== null && !(await isFromEvidence(context.db, run.id))) {
    wanted.push({
      key: `evidence ${run.id}`,
      projectId: run.projectId,
      runId: run.id,
      desired: { kind: 'evidence', version: row.version },
      hash: String(row.version),
      atOnce: true,
    })
  }
  const reply = replyWanted(run, rule)
  await transact(context.db, async tx => {
    // Another replica that composed a newer version was faster: what we have is old.
    if (!(await markReported(tx, row))) return
    await writeReports(tx, wanted)
    if (shown.length > 0) await wantUploads(tx, run.id)
    if (!reply || !latest) return
    for (const { iid } of open) {
      const marker = replyMarker(run, iid)
      const body = `${renderReply({ run, person: run.causedBy, publicUrl: context.config.publicUrl, commands: rule.commands.notes }).trimEnd()}\n\n${marker}`
      await writeOnce(tx, {
        key: `reply ${run.id} ${iid}`,
        projectId: run.projectId,
        runId: run.id,
        desired: { kind: 'reply', iid, body },
        hash: 'once',
      })
    }
  })
}

/** Finds the reply of a run on a merge request again. */
export const replyMarker = (run: { readonly id: string }, iid: number): string =>
  `<!-- compops:reply run=${run.id} mr=${iid} -->`

/** All that is known of it was read from its record: written anew it would be poorer. */
async function isFromEvidence(db: Db, runId: string): Promise<boolean> {
  const found = await first<{ only: boolean | null }>(
    db,
    sql`select bool_and(collect_problem is not distinct from ${fromEvidence}) as only from attempts where run_id = ${runId}`,
  )
  return found?.only === true
}

async function markReported(db: Db, row: RunRow): Promise<boolean> {
  const marked = await db
    .update(runs)
    .set({ reportedVersion: row.version, leaseUntil: null, attempts: 0, lastError: null })
    .where(and(stillClaimed(runs, row), lt(runs.reportedVersion, row.version)))
    .returning({ id: runs.id })
  return marked.length > 0
}

/** The hook of a merge request may have been missed, or come before us: where none is known, GitLab is asked. */
async function learnMergeRequests(context: Context, run: Run): Promise<void> {
  try {
    unlearned.delete(run.id)
    await askForMergeRequests(context, run)
    await replant(context, run.projectId, run.branch)
  } catch (error) {
    unlearned.add(run.id)
    context.log.warn(
      { step: 'compose', run: run.id, err: describeError(error) },
      'the merge requests of the branch could not be asked for',
    )
  }
}

/** Names of the statuses that newer runs of the same commit and branch have, which a person has started. */
async function namesOfNewerRuns(db: Db, row: RunRow): Promise<ReadonlySet<string>> {
  const newer = await rows<{ name: string | null }>(
    db,
    sql`select distinct j.name from runs r left join jobs j on j.run_id = r.id
      where r.project_id = ${row.projectId} and r.sha = ${row.sha} and r.ref = ${row.ref} and r.id > ${row.id}`,
  )
  return new Set(
    newer.length === 0 ? [] : ['compops/tree', 'compops/approval', ...newer.map(({ name }) => statusName(name ?? ''))],
  )
}

/** Whether the branch shows this run: a newer one has the note and the branch's page. */
async function isLatest(db: Db, row: RunRow): Promise<boolean> {
  const branch = (
    await db.select({ latest: branches.latestRunId }).from(branches).where(eq(branches.id, row.branchId))
  )[0]
  return branch?.latest === row.id
}

export function statusReports(context: Context, run: Run, rule: ProjectConfig): ReportToWrite[] {
  if (rule.statuses === 'none') return []
  const options = { publicUrl: context.config.publicUrl, timeZone: context.config.timeZone }
  const ciJob = ciJobOfRef(run.branch)
  const all = renderStatuses(run, options)
  // What a CI job brought has one status, under its own name: others of its pipeline may have jobs of the same names.
  const own =
    ciJob === null
      ? all
      : all.flatMap(one => (one.name === 'compops/tree' ? [{ ...one, name: ciStatusName(ciJob) }] : []))
  return own
    .filter(status => rule.statuses === 'all' || (status.state !== 'pending' && status.state !== 'running'))
    .map(status => ({
      key: `status ${run.projectId} ${run.sha} ${run.branch} ${status.name}`,
      projectId: run.projectId,
      runId: run.id,
      desired: {
        kind: 'status',
        sha: run.sha,
        branch: run.branch,
        name: status.name,
        state: status.state,
        description: status.description,
        targetUrl: status.targetUrl,
      },
      hash: `${run.id} ${status.state}`,
      atOnce: true,
    }))
}

async function noteReport(
  context: Context,
  row: RunRow,
  run: Run,
  mergeRequest: MergeRequestRow,
  commands: boolean,
): Promise<ReportToWrite> {
  const view: NoteView = {
    ...(await pageOf(context, row, run)),
    commands,
    mergeRequest: { projectId: run.projectId, iid: mergeRequest.iid },
    comparisons: await comparisonsWith(context.db, run, mergeRequest.targetBranch),
  }
  const body = renderNote(view)
  return {
    key: `note ${run.projectId} ${mergeRequest.iid}`,
    projectId: run.projectId,
    runId: run.id,
    desired: { kind: 'note', iid: mergeRequest.iid, body, final: run.endedAt !== null },
    hash: createHash('sha256').update(body).digest('hex'),
    atOnce: run.endedAt !== null,
  }
}

/** Edits notify nobody, so the end of a run is told once, to the person who caused it. */
function replyWanted(run: Run, rule: ProjectConfig): boolean {
  if (run.endedAt === null || run.supersededBy !== null || rule.notify === 'never') return false
  return rule.notify === 'finished' || run.state === 'failed'
}
