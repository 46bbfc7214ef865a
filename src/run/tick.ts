import { and, eq, lte, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { ensureCommit, readCommit, readHead } from '../git/mirror.ts'
import { nextTick } from '../spec/index.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { findProject } from '../store/projects.ts'
import { type BranchRow, openRunOf, shortBranch } from '../store/runs.ts'
import { branches, schedules } from '../store/schema.ts'
import { claim, putBack, rowLease, stillClaimed } from '../store/work.ts'
import { branchGone } from './branch-gone.ts'
import { branchRefused } from './branch-refused.ts'
import { commitOfRun, readSpecFile } from './computation.ts'
import { headMoved } from './head.ts'
import { asOutage, isTokenTrouble, retryAfterOf } from './outage.ts'
import { refuseWhileRecovering } from './recovering.ts'
import { startRun } from './start.ts'

type ScheduleRow = typeof schedules.$inferSelect

/**
 * Starts the runs whose time has come, at the head of their branch. The row tells the next time, so that a restart forgets none; of those that passed while
 * nobody was there one is made up for. Returns how many times were due.
 */
export async function startScheduledRuns(context: Context): Promise<number> {
  const due = await claim(context.db, schedules, {
    claimant: context.claimant,
    seconds: 600,
    limit: 10,
    condition: lte(schedules.tickAt, sql`now()`),
  })
  for (const row of due) {
    mustHold(context.lease)
    await tick({ ...context, lease: rowLease(schedules, row, context.lease) }, row)
  }
  return due.length
}

async function tick(context: Context, row: ScheduleRow): Promise<void> {
  const log = context.log.child({ step: 'schedule', project: row.projectId, branch: row.branchId })
  try {
    const result = await startRunAt(context, row)
    const next = nextTick(row, context.clock.now())
    // The file at the head may have said something else meanwhile: then the row is another one, and has its own next time.
    const mine = and(stillClaimed(schedules, row), eq(schedules.tickAt, row.tickAt))
    if (result === 'over' || next === null) await context.db.delete(schedules).where(mine)
    else
      await context.db
        .update(schedules)
        .set({ tickAt: next, leaseUntil: null, attempts: 0, interrupted: 0, lastError: null, nextAt: sql`now()` })
        .where(mine)
    log.info({ tick: row.tickAt, next }, result === 'over' ? 'the branch has no schedule any more' : result)
  } catch (error) {
    if (error instanceof LeaseLost) return log.info(error.message)
    if (isTokenTrouble(error)) await context.renewTokens()
    await putBack(context.db, schedules, row, asOutage(error), retryAfterOf(error))
    context.metrics.failures.inc({ verb: 'schedule' })
    log.warn({ err: describeError(error) }, 'a scheduled run could not be started')
  }
}

/** What came of it, in words. */
async function startRunAt(context: Context, row: ScheduleRow): Promise<string | 'over'> {
  const project = await findProject(context.db, row.projectId)
  const rule = project === null ? null : projectFor(context.config, project.path)
  const seen = await branchOf(context, row.branchId)
  if (project === null || rule === null || seen === null || seen.state === 'gone') return 'over'
  if (branchRefused(rule, project, seen.ref) !== null) return 'over'
  await refuseWhileRecovering(context, project, rule)

  const mirror = await context.mirror(project)
  const sha = await readHead(mirror, seen.ref)
  if (sha === null) return branchGone(context, { projectId: project.id, ref: seen.ref, delivered: false })
  if (!(await ensureCommit(mirror, sha))) return `commit ${sha.slice(0, 8)} is not there any more`
  // A push that nobody told us of comes first; it may have another schedule, or none.
  if (sha !== seen.headSha)
    return headMoved(context, {
      projectId: project.id,
      ref: seen.ref,
      by: null,
      how: 'found when its schedule was due',
      delivered: false,
      deliveryId: null,
    })
  const open = await openRunOf(context.db, seen.id)
  if (open !== null) return `run ${open} of ${shortBranch(seen.ref)} is still under way: this time is left out`
  const file = await readSpecFile(mirror, sha)
  if (file === 'absent') return 'over'
  const commit = await readCommit(mirror, sha)
  return startRun(context, {
    project,
    rule,
    branch: seen,
    sha,
    cause: `tick:${row.tickAt.toISOString()}`,
    again: true,
    by: null,
    how: `schedule ${row.cron} (${row.timezone})`,
    deliveryId: null,
    commit: commitOfRun(commit),
    file,
    mirror,
  })
}

async function branchOf(context: Context, id: string): Promise<BranchRow | null> {
  return (await context.db.select().from(branches).where(eq(branches.id, id)))[0] ?? null
}
