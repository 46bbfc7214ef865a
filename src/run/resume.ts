import { and, eq, inArray, isNotNull, or, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { notRun } from '../model/job-state.ts'
import { notCalledFor } from '../model/needs.ts'
import { moveHead } from '../store/branches.ts'
import { type Db, transact } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import {
  type BranchRow,
  type JobRow,
  jobsOf,
  openStates,
  type RunRow,
  removalsOf,
  shortBranch,
  touchRuns,
} from '../store/runs.ts'
import { branches, jobs, runs } from '../store/schema.ts'
import { begunAnew, rememberTasksLeft } from '../store/tasks.ts'
import { touchTree } from '../store/tree.ts'
import { restorePlace } from './parent.ts'
import { rememberSchedule } from './schedule.ts'
import { supersede } from './supersede.ts'

/**
 * What a commit that is wanted again lacks; a job that was to follow a failure is not missed where nothing failed. `canceledFor`: only what was cancelled for
 * that reason, and what was skipped. An array says in its own words what became of it.
 */
async function missingOf(db: Db, runId: string, canceledFor: string | null): Promise<string[]> {
  const all = await jobsOf(db, runId)
  const spared = notCalledFor(all)
  const missing = ({ name, state, reason, message, spec }: JobRow) => {
    if (state === 'skipped') return !spared.has(name)
    if (canceledFor !== null) return state === 'canceled' && (message === canceledFor || spec.array !== undefined)
    return state === 'canceled' || (state === 'failed' && reason !== null && notRun.includes(reason))
  }
  return all.filter(missing).map(job => job.id)
}

/** Asked again in the statement that changes them. */
const stillMissing = or(
  inArray(jobs.state, ['canceled', 'skipped']),
  and(eq(jobs.state, 'failed'), inArray(jobs.reason, notRun)),
)

/**
 * The branch has come back to a commit that it was at before: what finished is kept; what was cancelled, skipped or failed because of the cluster
 * runs now, in the same run.  A cancellation that is under way is not raced: when it has taken effect the job waits anew.
 * Where something is missing and the run's directory has been removed, nothing is done: it is to be computed anew.
 */
export async function resumeRun(
  context: Context,
  { branch, run, canceledFor = null }: { branch: BranchRow; run: RunRow; canceledFor?: string | null },
): Promise<string | 'directory removed'> {
  const project = await findProject(context.db, run.projectId)
  const rule = project === null ? null : projectFor(context.config, project.path)
  const again = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    // Under the lock that a removal takes too: it has begun, or it never will.
    await tx.execute(sql`select 1 from ${runs} where ${runs.id} = ${run.id} for update`)
    const missing = await missingOf(tx, run.id, canceledFor)
    if (missing.length > 0 && (await removalsOf(tx, run.id)).length > 0) return null
    await moveHead(tx, branch, run.sha)
    await rememberSchedule(tx, branch, run.schedule, context.clock.now())
    const reopened = await tx
      .update(jobs)
      .set({
        state: 'waiting',
        reason: null,
        message: null,
        cancelReason: null,
        cancelQueuedOnly: false,
        runAgain: false,
        tasksLeft: null,
        retryAt: null,
        ladder: begunAnew,
      })
      .where(and(inArray(jobs.id, missing), stillMissing))
      .returning({ id: jobs.id })
    const cancelling = await tx
      .update(jobs)
      .set({ cancelReason: null, cancelQueuedOnly: false, runAgain: true })
      .where(
        and(
          eq(jobs.runId, run.id),
          canceledFor === null ? isNotNull(jobs.cancelReason) : eq(jobs.cancelReason, canceledFor),
          inArray(jobs.state, openStates),
        ),
      )
      .returning({ id: jobs.id })
    // What was taken away of arrays that run. Those that wait anew, now or when their cancellation has taken effect, choose their tasks then.
    const underWay = openStates.filter(state => state !== 'waiting' && state !== 'held')
    const running = await tx
      .select({ id: jobs.id, spec: jobs.spec })
      .from(jobs)
      .where(and(eq(jobs.runId, run.id), inArray(jobs.state, underWay), eq(jobs.runAgain, false)))
    for (const { id, spec } of running) if (spec.array !== undefined) await rememberTasksLeft(tx, id, spec.array.tasks)
    await supersede(tx, branch.id, run, run.supersede ?? rule?.supersede ?? 'queued')
    await tx
      .update(runs)
      .set({
        supersededBy: null,
        ...(reopened.length > 0 ? { endedAt: null, state: 'waiting' as const, sweptAt: null, sweepTries: 0 } : {}),
      })
      .where(eq(runs.id, run.id))
    await tx.update(branches).set({ latestRunId: run.id, updatedAt: sql`now()` }).where(eq(branches.id, branch.id))
    await touchRuns(tx, [run.id])
    await restorePlace(tx, branch, run.parent)
    await touchTree(tx, run.projectId)
    return reopened.length + cancelling.length
  })
  if (again === null) return 'directory removed'
  for (const topic of ['prepare', 'cancel', 'tree', 'compose'] as const) context.wake.call(topic)
  const where = `${shortBranch(branch.ref)} is back at ${run.sha.slice(0, 8)}, computed in run ${run.id}`
  return again === 0
    ? `${where}: nothing is missing`
    : `${where}: ${again} cancelled or missing ${again === 1 ? 'job runs' : 'jobs run'} again`
}
