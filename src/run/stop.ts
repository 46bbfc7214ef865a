import { and, inArray, notInArray, or, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { transact } from '../store/open.ts'
import { finalStates, touchRuns } from '../store/runs.ts'
import { jobs } from '../store/schema.ts'
import type { Within } from './begin-again.ts'

/**
 * Asks for the end of unfinished jobs, also of what runs. The row is the wish; `cancelJobs` carries it out and the cluster says when they are gone. What
 * needs one of them is skipped. Returns the names; none: they have all ended.
 */
export async function stopJobs(
  context: Context,
  which: { readonly runs?: readonly string[]; readonly jobs?: readonly string[] },
  reason: string,
  within?: Within,
): Promise<readonly string[]> {
  const meant = or(
    inArray(jobs.runId, which.runs?.length ? [...which.runs] : [nobody]),
    inArray(jobs.id, which.jobs?.length ? [...which.jobs] : [nobody]),
  )
  const names = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const asked = await tx
      .update(jobs)
      .set({
        // A cancellation that only takes a job out of a queue for a while, or spares what runs, becomes one for good.
        cancelReason: reason,
        cancelQueuedOnly: false,
        cancelNextAt: sql`now()`,
        runAgain: false,
      })
      .where(and(meant, notInArray(jobs.state, finalStates)))
      .returning({ name: jobs.name, runId: jobs.runId })
    if (asked.length === 0) return []
    await touchRuns(
      tx,
      asked.map(job => job.runId),
    )
    const list = [...new Set(asked.map(job => job.name))]
    await within?.(tx, `cancelled: ${list.join(', ')}`)
    return list
  })
  if (names.length > 0) {
    context.log.info({ step: 'cancel', ...which, names }, reason)
    for (const topic of ['cancel', 'compose'] as const) context.wake.call(topic)
  }
  return names
}

const nobody = '00000000-0000-0000-0000-000000000000'
