import { and, eq, inArray, isNull, ne } from 'drizzle-orm'
import type { Context } from '../context.ts'
import type { Db } from '../store/open.ts'
import { type BranchRow, type RunRow, shortBranch, touchRuns } from '../store/runs.ts'
import { branches, jobs, runs } from '../store/schema.ts'

/** The branch has come back to a commit that it was at before: what finished is kept, what was cancelled or skipped runs now, in the same run. */
export async function resumeRun(
  context: Context,
  { branch, run }: { branch: BranchRow; run: RunRow },
): Promise<string> {
  const again = await context.db.transaction(async tx => {
    await tx.update(branches).set({ latestRunId: run.id }).where(eq(branches.id, branch.id))
    const reopened = await tx
      .update(jobs)
      .set({ state: 'waiting', reason: null, message: null, cancelReason: null })
      .where(and(eq(jobs.runId, run.id), inArray(jobs.state, ['canceled', 'skipped'])))
      .returning({ id: jobs.id })
    // A cancellation that was asked for but has not happened is taken back.
    await tx
      .update(jobs)
      .set({ cancelReason: null })
      .where(and(eq(jobs.runId, run.id), inArray(jobs.state, ['waiting', 'held', 'queued', 'running', 'suspended'])))
    await tx
      .update(runs)
      .set({ supersededBy: null, ...(reopened.length > 0 ? { endedAt: null } : {}) })
      .where(eq(runs.id, run.id))
    const others = await tx
      .update(runs)
      .set({ supersededBy: run.id })
      .where(and(eq(runs.branchId, branch.id), isNull(runs.endedAt), ne(runs.id, run.id), isNull(runs.supersededBy)))
      .returning({ id: runs.id })
    if (others.length > 0) {
      await tx
        .update(jobs)
        .set({ cancelReason: `superseded by ${run.sha.slice(0, 8)}` })
        .where(
          and(
            inArray(
              jobs.runId,
              others.map(row => row.id),
            ),
            inArray(jobs.state, ['waiting', 'held', 'submitting', 'queued']),
            isNull(jobs.cancelReason),
          ),
        )
    }
    await touchRuns(tx as unknown as Db, [run.id, ...others.map(row => row.id)])
    return reopened.length
  })
  for (const topic of ['submit', 'cancel', 'compose'] as const) context.wake.call(topic)
  const where = `${shortBranch(branch.ref)} is back at ${run.sha.slice(0, 8)}, computed in run ${run.id}`
  return again === 0
    ? `${where}: nothing is missing`
    : `${where}: ${again} cancelled or missing ${again === 1 ? 'job runs' : 'jobs run'} again`
}
