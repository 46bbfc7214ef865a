import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import type { JobState } from '../model/job-state.ts'
import { jobNeeds, waitsFor } from '../model/needs.ts'
import { branchNeedsStand } from '../store/branch-needs.ts'
import { ofCiJob } from '../store/ci-jobs.ts'
import { mustHold } from '../store/leases.ts'
import { type Db, first, rows, transact } from '../store/open.ts'
import { upToDate } from '../store/recovery.ts'
import { jobsOf, touchRuns } from '../store/runs.ts'
import { branches, jobs, runs } from '../store/schema.ts'
import { touchTree } from '../store/tree.ts'
import { eachInTurn } from '../store/work.ts'
import { type Gate, type GateAnswer, parentGate } from '../tree/gate.ts'

/**
 * Runs that use their parent: those that wait for it go on or are skipped when it has ended, those that were skipped go on when it has a result after all.
 * Compares rows with rows. Returns how many gates have moved.
 */
export async function followParents(context: Context): Promise<number> {
  const due = await rows<{ id: string }>(
    context.db,
    sql`select r.id from runs r
      join branches b on b.id = r.branch_id and b.latest_run_id = r.id
      join projects o on o.id = r.project_id and not o.recovering
      left join branches p on p.project_id = r.project_id and p.ref = 'refs/heads/' || (r.parent->>'branch')
      left join runs l on l.id = ${shownBy('p')}
      where r.parent_gate in ('waits', 'skipped') and r.superseded_by is null and (
        (r.parent_gate = 'waits' and (r.parent is null or l.ended_at is not null or (l.id is null and (p.head_sha is not null or p.id is null))))
        or (r.parent_gate = 'skipped' and b.state = 'active' and ((l.ended_at is not null and l.state = 'completed')
          or exists (select 1 from jobs j where j.run_id = r.id and j.state in ('waiting', 'held') and j.cancel_reason is null))))
      order by r.id limit 500`,
  )
  let moved = 0
  await eachInTurn(due, async ({ id }) => {
    mustHold(context.lease)
    const gate = await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      return openGate(tx, id)
    })
    if (gate === null) return
    moved++
    context.log.info({ step: 'tree', run: id }, gate.gate === 'passed' ? 'its parent has a result' : gate.message)
  })
  if (moved > 0) for (const topic of ['prepare', 'finish', 'compose'] as const) context.wake.call(topic)
  return moved
}

/**
 * Jobs that were skipped because of a job of another branch wait anew when nothing stands against them any more, and with them what was skipped
 * because of them. Returns how many runs go on.
 */
export async function followNeeds(context: Context): Promise<number> {
  const skipped = await context.db
    .select({ job: jobs })
    .from(jobs)
    .innerJoin(runs, eq(runs.id, jobs.runId))
    .innerJoin(branches, and(eq(branches.id, runs.branchId), eq(branches.latestRunId, runs.id)))
    .where(
      and(
        eq(jobs.skippedForBranch, true),
        eq(jobs.state, 'skipped'),
        isNull(jobs.cancelReason),
        isNull(runs.supersededBy),
        eq(branches.state, 'active'),
        upToDate(context.db, runs.projectId),
      ),
    )
    .limit(500)
  const again = new Set<string>()
  await eachInTurn(skipped, async ({ job }) => {
    mustHold(context.lease)
    const stands = await branchNeedsStand(context.db, job.projectId, job.spec.branch_needs ?? [])
    if (stands.kind !== 'never') again.add(job.runId)
  })
  for (const runId of again)
    await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      await tx.execute(sql`select 1 from ${runs} where ${runs.id} = ${runId} for update`)
      await letGo(tx, runId, null)
    })
  if (again.size > 0) for (const topic of ['prepare', 'compose'] as const) context.wake.call(topic)
  return again.size
}

/** The run that a branch shows; of one that had nothing to compute, the run of its commit on the branch that did. */
const shownBy = (branch: string) => {
  const of = sql.raw(branch)
  return sql`coalesce(${of}.latest_run_id, (select e.id from runs e join branches eb on eb.id = e.branch_id and eb.state = 'active' and not ${ofCiJob(sql`eb.ref`)}
    where e.project_id = ${of}.project_id and e.sha = ${of}.head_sha order by e.created_at desc, e.id desc limit 1))`
}

interface GateRow {
  project_id: number | string
  gate: Gate | null
  branch: string | null
  life: 'active' | 'gone' | null
  head_sha: string | null
  latest_id: string | null
  latest_sha: string
  latest_state: JobState
  latest_ended_at: Date | string | null
}

/** Decides of one run by what its parent shows at this moment. null where nothing has changed. The run from which it computes is fixed when it passes. */
export async function openGate(tx: Db, runId: string): Promise<GateAnswer | null> {
  const row = await first<GateRow>(
    tx,
    sql`select r.project_id, r.parent_gate as gate, r.parent->>'branch' as branch, p.state as life, p.head_sha,
        l.id as latest_id, l.sha as latest_sha, l.state as latest_state, l.ended_at as latest_ended_at
      from runs r
      left join branches p on p.project_id = r.project_id and p.ref = 'refs/heads/' || (r.parent->>'branch')
      left join runs l on l.id = ${shownBy('p')}
      where r.id = ${runId} for update of r`,
  )
  if (row === undefined || row.gate === null || row.gate === 'passed') return null
  if (row.branch === null) {
    await tx.update(runs).set({ parentGate: null }).where(eq(runs.id, runId))
    await letGo(tx, runId, null)
    return { gate: 'waits', message: 'it has no parent any more, and waits for none' }
  }
  const answer = parentGate({
    branch: row.branch,
    life: row.life,
    seen: row.head_sha !== null,
    latest:
      row.latest_id === null
        ? null
        : {
            id: row.latest_id,
            sha: row.latest_sha,
            state: row.latest_state,
            endedAt: row.latest_ended_at === null ? null : new Date(row.latest_ended_at),
          },
  })
  if (answer.gate === 'passed') {
    // A removal of the parent's directory takes the same lock: it has begun, or it sees that somebody computes from it.
    await tx.execute(sql`select 1 from runs where id = ${answer.run} for update`)
    await letGo(tx, runId, answer)
    await touchTree(tx, Number(row.project_id))
    return answer
  }
  const changed =
    answer.gate === 'skipped' ? await skipJobs(tx, runId, answer.message) : await holdJobs(tx, runId, answer.message)
  if (!changed && row.gate === answer.gate) return null
  await tx.update(runs).set({ parentGate: answer.gate }).where(eq(runs.id, runId))
  await touchRuns(tx, [runId])
  return answer
}

const open = (runId: string) =>
  and(eq(jobs.runId, runId), inArray(jobs.state, ['waiting', 'held']), isNull(jobs.cancelReason))

async function skipJobs(tx: Db, runId: string, message: string): Promise<boolean> {
  const skipped = await tx.update(jobs).set({ state: 'skipped', message }).where(open(runId)).returning({ id: jobs.id })
  return skipped.length > 0
}

/** Those that wait for jobs of their own run say so. */
async function holdJobs(tx: Db, runId: string, message: string): Promise<boolean> {
  const told = await tx
    .update(jobs)
    .set({ message })
    .where(
      and(
        open(runId),
        eq(jobs.state, 'waiting'),
        sql`${jobs.message} is distinct from ${message} and jsonb_array_length(${jobs.spec}->'needs') = 0`,
      ),
    )
    .returning({ id: jobs.id })
  return told.length > 0
}

/** What was skipped because of the parent waits again; everything else is left as it stands. */
async function letGo(tx: Db, runId: string, passed: Extract<GateAnswer, { gate: 'passed' }> | null): Promise<void> {
  let reopened = 0
  for (const job of await jobsOf(tx, runId)) {
    const again = job.state === 'skipped' && job.cancelReason === null
    if (!again && job.state !== 'waiting') continue
    const message = job.spec.needs.length > 0 ? waitsFor(jobNeeds(job.spec.needs)) : null
    if (!again && job.message === message) continue
    await tx
      .update(jobs)
      .set({ state: 'waiting', message, reason: null, skippedForBranch: false })
      .where(and(eq(jobs.id, job.id), eq(jobs.state, job.state)))
    if (again) reopened++
  }
  await tx
    .update(runs)
    .set({
      ...(passed === null
        ? {}
        : {
            parentGate: 'passed',
            parentRunId: passed.run,
            parentEndedAt: passed.endedAt,
            parent: sql`${runs.parent} || jsonb_build_object('sha', ${passed.sha}::text)`,
          }),
      ...(reopened > 0 ? { endedAt: null, state: 'waiting', sweptAt: null, sweepTries: 0 } : {}),
    })
    .where(eq(runs.id, runId))
  await touchRuns(tx, [runId])
}
