import { and, eq, inArray, isNotNull, isNull, or, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { readTasks } from '../model/array.ts'
import { mustHold } from '../store/leases.ts'
import { type Db, transact } from '../store/open.ts'
import { upToDate } from '../store/recovery.ts'
import type { AttemptRow } from '../store/runs.ts'
import { attempts, jobs } from '../store/schema.ts'
import { tasksOfAttempts } from '../store/tasks.ts'
import { setUnreachable } from './connection.ts'

/**
 * Attempts of jobs that are to run again of which nobody knows whether something of them still runs, or may yet begin. Of an array the lost tasks only count where
 * they run again themselves.
 */
async function lostAttempts(db: Db, connection: string): Promise<AttemptRow[]> {
  const found = await db
    .select({ attempt: attempts, tasksLeft: jobs.tasksLeft })
    .from(attempts)
    .innerJoin(jobs, eq(jobs.id, attempts.jobId))
    .where(
      and(
        eq(jobs.connection, connection),
        inArray(jobs.state, ['waiting', 'held']),
        eq(attempts.final, true),
        isNull(attempts.fencedAt),
        isNotNull(attempts.nativeId),
        or(eq(attempts.reason, 'lost'), isNotNull(attempts.array)),
        upToDate(db, attempts.projectId),
      ),
    )
  const arrays = found.filter(({ attempt, tasksLeft }) => attempt.array !== null && tasksLeft !== null)
  const tasks = await tasksOfAttempts(
    db,
    arrays.map(({ attempt }) => attempt.id),
  )
  return found
    .filter(({ attempt, tasksLeft }) => {
      if (attempt.array === null) return true
      const again = new Set(readTasks(tasksLeft ?? ''))
      return [...(tasks.get(attempt.id)?.values() ?? [])].some(task => task.reason === 'lost' && again.has(task.index))
    })
    .map(({ attempt }) => attempt)
}

/** Jobs that must not begin yet: something of them may still be on the cluster. */
export async function jobsToFence(db: Db, connection: string): Promise<ReadonlySet<string>> {
  return new Set((await lostAttempts(db, connection)).map(attempt => attempt.jobId))
}

/**
 * What was lost may still be somewhere. Before its job begins again it is fenced, so that no copy of it can begin, and ended by id and name; only what the
 * cluster says is gone is written down as gone. Asked again until then. Returns how many are.
 */
export async function fenceLost(context: Context, connection: string): Promise<number> {
  const now = context.clock.now()
  const lost = (await lostAttempts(context.db, connection)).filter(attempt => attempt.nextAt <= now).slice(0, 200)
  if (lost.length === 0) return 0
  mustHold(context.lease)
  const ids = lost.map(attempt => attempt.id)
  await context.db.update(attempts).set({ nextAt: sql`now() + interval '10 seconds'` }).where(inArray(attempts.id, ids))
  try {
    const fates = await context.clusterOf(connection).cancel(lost, { fence: true })
    const gone = ids.filter(id => fates.get(id) === 'gone')
    if (gone.length === 0) return 0
    await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      await tx.update(attempts).set({ fencedAt: sql`now()`, nextAt: sql`now()` }).where(inArray(attempts.id, gone))
    })
    context.log.info({ step: 'prepare', connection, attempts: gone }, 'lost jobs are fenced and gone')
    return gone.length
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    context.metrics.failures.inc({ verb: 'fence' })
    await setUnreachable(context, connection, error)
    context.log.warn({ step: 'prepare', connection, err: describeError(error) }, 'lost jobs are fenced later')
    return 0
  }
}
