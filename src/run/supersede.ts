import { and, eq, inArray, isNotNull, isNull, ne, sql } from 'drizzle-orm'
import { notBegun } from '../model/job-state.ts'
import type { Supersede } from '../model/supersede.ts'
import type { Db } from '../store/open.ts'
import { openStates, type RunRow, touchRuns } from '../store/runs.ts'
import { jobs, runs } from '../store/schema.ts'
import { settleArrays } from '../store/settle-arrays.ts'
import { notCancelledForGood } from './hold.ts'

/**
 * A branch has moved on: of its other unfinished runs, what has not begun is cancelled, what runs keeps its investment, unless file or site say otherwise:
 * `all` ends what runs too, with `never` each commit is computed to its end.
 */
export async function supersede(
  tx: Db,
  branchId: string,
  by: Pick<RunRow, 'id' | 'sha'>,
  mode: Supersede,
): Promise<void> {
  if (mode === 'never') return
  const older = await tx
    .select({ id: runs.id })
    .from(runs)
    .where(and(eq(runs.branchId, branchId), isNull(runs.endedAt), ne(runs.id, by.id), isNull(runs.supersededBy)))
  const ids = older.map(row => row.id).sort()
  if (ids.length === 0) return
  const reason = `superseded by ${by.sha.slice(0, 8)}`
  await (mode === 'all' ? cancelAll(tx, ids, reason) : cancelQueued(tx, ids, reason))
  await tx.update(runs).set({ supersededBy: by.id }).where(inArray(runs.id, ids))
  await touchRuns(tx, ids)
}

/** Asks for the end of every job of these runs that has not begun, and hands over no more of the arrays that have: what runs finishes. */
export async function cancelQueued(tx: Db, runIds: readonly string[], reason: string): Promise<number> {
  const asked = await tx
    .update(jobs)
    .set({ cancelReason: reason, cancelQueuedOnly: true, runAgain: false })
    .where(and(inArray(jobs.runId, [...runIds]), inArray(jobs.state, [...notBegun]), notCancelledForGood))
    .returning({ id: jobs.id })
  // Of an array that runs the rest has not begun; and one that only seems not to run is found running, and left alone.
  const cut = await tx
    .update(jobs)
    .set({ tasksLeft: null })
    .where(and(inArray(jobs.runId, [...runIds]), inArray(jobs.state, openStates), isNotNull(jobs.tasksLeft)))
    .returning({ id: jobs.id })
  const before = new Set(asked.map(job => job.id))
  const others = cut.filter(job => !before.has(job.id))
  await settleArrays(
    tx,
    others.map(job => job.id),
  )
  return asked.length + others.length
}

/** Asks for the end of every unfinished job of these runs, also of what runs. */
export async function cancelAll(tx: Db, runIds: readonly string[], reason: string): Promise<number> {
  const asked = await tx
    .update(jobs)
    .set({
      cancelReason: sql`case when ${jobs.runAgain} then ${reason}::text else coalesce(${jobs.cancelReason}, ${reason}::text) end`,
      cancelQueuedOnly: false,
      runAgain: false,
    })
    .where(and(inArray(jobs.runId, [...runIds]), inArray(jobs.state, openStates)))
    .returning({ id: jobs.id })
  return asked.length
}
