import { and, eq, sql } from 'drizzle-orm'
import { CompopsError } from '../errors.ts'
import type { Db } from './open.ts'
import type { BranchRow } from './runs.ts'
import { branches } from './schema.ts'

/**
 * Moves the head of a branch, if it is still where the caller saw it; the generation counts the moves. Throws a transient error where
 * another worker was faster: then everything is looked at anew, and the branch never goes back.
 */
export async function moveHead(tx: Db, seen: BranchRow, sha: string): Promise<void> {
  const moved = await tx
    .update(branches)
    .set({ headSha: sha, state: 'active', missingSince: null, updatedAt: sql`now()`, generation: seen.generation + 1 })
    .where(and(eq(branches.id, seen.id), eq(branches.generation, seen.generation)))
    .returning({ id: branches.id })
  if (moved.length === 0) throw new CompopsError(`${seen.ref} moved at the same moment`, { transient: true })
}

/** By its full ref; null where nothing is known of it. */
export async function findBranch(db: Db, projectId: number, ref: string): Promise<BranchRow | null> {
  const found = await db
    .select()
    .from(branches)
    .where(and(eq(branches.projectId, projectId), eq(branches.ref, ref)))
  return found[0] ?? null
}

/** Whether what the branch was computed from has a newer result. */
export async function isStale(db: Db, branchId: string): Promise<boolean> {
  const [found] = await db.select({ stale: branches.stale }).from(branches).where(eq(branches.id, branchId))
  return found !== undefined && found.stale !== null
}

/** The run that a branch shows. */
export async function latestRunIdOf(db: Db, branchId: string): Promise<string | null> {
  const [found] = await db.select({ latest: branches.latestRunId }).from(branches).where(eq(branches.id, branchId))
  return found?.latest ?? null
}
