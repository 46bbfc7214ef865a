import { and, eq, isNull } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { branches } from '../store/schema.ts'
import { headMoved } from './head.ts'

/**
 * A branch was deleted, perhaps because it was renamed: living branches at the same commit, which had nothing to compute as long as the other
 * computed it, are looked at again.
 */
export async function lookAgain(context: Context, projectId: number, sha: string): Promise<void> {
  const same = await context.db
    .select({ ref: branches.ref })
    .from(branches)
    .where(
      and(
        eq(branches.projectId, projectId),
        eq(branches.headSha, sha),
        eq(branches.state, 'active'),
        isNull(branches.latestRunId),
      ),
    )
  for (const { ref } of same) {
    const result = await headMoved(context, {
      projectId,
      ref,
      by: null,
      how: 'the branch that computed this commit was deleted',
      delivered: true,
      deliveryId: null,
    })
    context.log.info({ step: 'heads', project: projectId, ref, sha, result }, result)
  }
}
