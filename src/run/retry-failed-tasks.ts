import { eq } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { isFinal } from '../model/job-state.ts'
import { jobs } from '../store/schema.ts'
import { retryJob } from './rerun.ts'

/**
 * Runs those tasks of an ended array again that did not complete, under their numbers, in a new attempt; the others keep their results. Jobs that were skipped
 * because of it wait for it anew. Returns which tasks.
 */
export async function retryFailedTasks(context: Context, jobId: string): Promise<readonly number[]> {
  const [job] = await context.db.select().from(jobs).where(eq(jobs.id, jobId))
  if (job === undefined) throw new CompopsError(`there is no job ${jobId}`)
  const { runId, name, state } = job
  if (job.spec.array === undefined) throw new CompopsError(`${name} is no array: it has no tasks to retry`)
  if (!isFinal(state)) throw new CompopsError(`${name} is ${state}: its failed tasks can be retried when it has ended`)
  return (await retryJob(context, { runId, name }, { completedToo: false })).tasks ?? []
}
