import { and, eq } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { touchRuns } from '../store/runs.ts'
import { branches } from '../store/schema.ts'

/** A merge request of the branch was opened or changed: its note should show the branch's latest run. Returns that run's id. */
export async function showOnMergeRequest(context: Context, projectId: number, branch: string): Promise<string | null> {
  const found = await context.db
    .select({ latest: branches.latestRunId })
    .from(branches)
    .where(and(eq(branches.projectId, projectId), eq(branches.ref, `refs/heads/${branch}`)))
  const latest = found[0]?.latest ?? null
  if (latest === null) return null
  await touchRuns(context.db, [latest])
  context.wake.call('compose')
  return latest
}
