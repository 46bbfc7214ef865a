import { and, eq, inArray, isNotNull, or, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { failureReasonNames, failureReasons } from '../model/job-state.ts'
import { moveHead } from '../store/branches.ts'
import { transact } from '../store/open.ts'
import { type BranchRow, openStates, type RunRow, shortBranch, touchRuns } from '../store/runs.ts'
import { branches, jobs, runs } from '../store/schema.ts'
import { supersede } from './supersede.ts'

// A lost job may still be somewhere: it is not begun again by itself.
const notRun = failureReasonNames.filter(reason => failureReasons[reason].infrastructure && reason !== 'lost')

/**
 * The branch has come back to a commit that it was at before: what finished is kept; what was cancelled, skipped or failed because of the cluster
 * runs now, in the same run. A cancellation that is under way is not raced: when it has taken effect the job waits anew.
 */
export async function resumeRun(
  context: Context,
  { branch, run }: { branch: BranchRow; run: RunRow },
): Promise<string> {
  const again = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    await moveHead(tx, branch, run.sha)
    const reopened = await tx
      .update(jobs)
      .set({
        state: 'waiting',
        reason: null,
        message: null,
        cancelReason: null,
        cancelQueuedOnly: false,
        runAgain: false,
      })
      .where(
        and(
          eq(jobs.runId, run.id),
          or(inArray(jobs.state, ['canceled', 'skipped']), and(eq(jobs.state, 'failed'), inArray(jobs.reason, notRun))),
        ),
      )
      .returning({ id: jobs.id })
    const cancelling = await tx
      .update(jobs)
      .set({ cancelReason: null, cancelQueuedOnly: false, runAgain: true })
      .where(and(eq(jobs.runId, run.id), isNotNull(jobs.cancelReason), inArray(jobs.state, openStates)))
      .returning({ id: jobs.id })
    await supersede(tx, branch.id, run.id, run.sha)
    await tx
      .update(runs)
      .set({
        supersededBy: null,
        ...(reopened.length > 0 ? { endedAt: null, state: 'waiting' as const, sweptAt: null, sweepTries: 0 } : {}),
      })
      .where(eq(runs.id, run.id))
    await tx.update(branches).set({ latestRunId: run.id, updatedAt: sql`now()` }).where(eq(branches.id, branch.id))
    await touchRuns(tx, [run.id])
    return reopened.length + cancelling.length
  })
  for (const topic of ['prepare', 'cancel', 'compose'] as const) context.wake.call(topic)
  const where = `${shortBranch(branch.ref)} is back at ${run.sha.slice(0, 8)}, computed in run ${run.id}`
  return again === 0
    ? `${where}: nothing is missing`
    : `${where}: ${again} cancelled or missing ${again === 1 ? 'job runs' : 'jobs run'} again`
}
