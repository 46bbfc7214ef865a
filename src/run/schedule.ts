import { and, eq } from 'drizzle-orm'
import { matchGlob } from '../config/index.ts'
import { ciJobOfRef } from '../model/ci.ts'
import { newId } from '../model/id.ts'
import type { Schedule } from '../model/job-spec.ts'
import { nextTick } from '../spec/index.ts'
import type { Db } from '../store/open.ts'
import { type BranchRow, shortBranch } from '../store/runs.ts'
import { schedules } from '../store/schema.ts'

/** What the file at the head of a branch says of its schedule becomes its row, or takes it away. One that is as before keeps its next time. */
export async function rememberSchedule(
  tx: Db,
  branch: Pick<BranchRow, 'id' | 'projectId' | 'ref'>,
  schedule: Schedule | null,
  now: Date,
): Promise<void> {
  // What a CI job brought is computed when CI says so.
  const isFor = (one: Schedule) =>
    ciJobOfRef(branch.ref) === null &&
    (one.branches === undefined || one.branches.some(glob => matchGlob(glob, shortBranch(branch.ref))))
  const tickAt = schedule === null || !isFor(schedule) ? null : nextTick(schedule, now)
  if (schedule === null || tickAt === null) {
    await tx.delete(schedules).where(eq(schedules.branchId, branch.id))
    return
  }
  const { cron, timezone } = schedule
  const kept = await tx
    .select({ id: schedules.id })
    .from(schedules)
    .where(and(eq(schedules.branchId, branch.id), eq(schedules.cron, cron), eq(schedules.timezone, timezone)))
  if (kept.length > 0) return
  await tx
    .insert(schedules)
    .values({ id: newId(), branchId: branch.id, projectId: branch.projectId, cron, timezone, tickAt })
    .onConflictDoUpdate({ target: schedules.branchId, set: { cron, timezone, tickAt, parkedAt: null } })
}
