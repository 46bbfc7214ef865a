/** What follows when attempts have ended: most jobs end with them, some have another attempt coming. */
import { and, asc, inArray, type SQL, sql } from 'drizzle-orm'
import { readTasks } from '../model/array.ts'
import type { JobHold } from '../model/job-hold.ts'
import type { JobSpec } from '../model/job-spec.ts'
import { failureReasons } from '../model/job-state.ts'
import { hasRule, type Ladder, nextStep, nextTasks, type TriedTask } from '../model/ladder.ts'
import type { JobChange } from './attempts.ts'
import type { Db } from './open.ts'
import { attempts, jobs, runs } from './schema.ts'
import { type AttemptOfArray, currentTasks, listOf, type TasksOfAttempt, tasksOfJobs } from './tasks.ts'

/** A job that waits for its next attempt. */
export interface Again {
  /** Intervals until then. */
  readonly wait: number
  readonly ladder: Ladder
  /** Of an array: which tasks run again. */
  readonly tasksLeft: string | null
  /** Its retries are used up, and it waits for a person. */
  readonly hold?: JobHold
}

/** Whether another attempt may follow by itself, as a statement asks it: `mayRunAgain` of model/retry. */
export const mayClimb = (spec: SQL): SQL =>
  sql`(${spec}->'retry' is not null or ${spec}->'checkpoint' is not null or ${spec}->'chain' is not null)`

/**
 * Decided in the transaction that ends the attempt, so that nobody ever sees a job as failed that is tried again: neither its dependants nor GitLab. What
 * should end (a cancellation) or is wanted no more (a newer push took over) is not tried again.
 */
export async function climb(
  db: Db,
  changes: readonly JobChange[],
): Promise<readonly (JobChange & { again?: Again })[]> {
  const ended = changes.filter(change => change.state === 'failed' || change.state === 'completed')
  if (ended.length === 0) return changes
  const found = await db
    .select({
      id: jobs.id,
      runId: jobs.runId,
      spec: jobs.spec,
      ladder: jobs.ladder,
      // One that is held back is taken out of the queue by such a cancellation, to wait anew.
      canceled: sql<boolean>`${jobs.cancelReason} is not null and not ${jobs.runAgain}`,
    })
    .from(jobs)
    .where(
      and(
        inArray(
          jobs.id,
          ended.map(change => change.id),
        ),
        mayClimb(sql`${jobs.spec}`),
      ),
    )
    .orderBy(jobs.id)
    .for('update')
  if (found.length === 0) return changes
  const ids = found.map(job => job.id)
  const runIds = [...new Set(found.map(job => job.runId))]
  const superseded = new Set(
    (await db.select({ id: runs.id, by: runs.supersededBy }).from(runs).where(inArray(runs.id, runIds)))
      .filter(run => run.by !== null)
      .map(run => run.id),
  )
  const tried = Map.groupBy(await triedAttempts(db, ids), attempt => attempt.jobId)
  const arrays = found.filter(job => job.spec.array !== undefined).map(job => job.id)
  const rowsOf = await tasksOfJobs(db, arrays)
  const byId = new Map(found.map(job => [job.id, job]))
  return changes.map(change => {
    const job = byId.get(change.id)
    if (job === undefined) return change
    const after = stepOf(change, job, tried.get(job.id) ?? [], rowsOf)
    if (after.again === undefined || (!job.canceled && !superseded.has(job.runId))) return after
    const why = job.canceled ? null : 'a newer push took over'
    // Its segments are one computation, and what is missing of that is no success.
    if (job.spec.chain !== undefined) return { id: change.id, state: 'canceled', reason: null, message: why }
    return why === null ? change : { ...change, message: joined(change.message, `${why}, so it is not tried again`) }
  })
}

type AttemptTried = AttemptOfArray & {
  readonly jobId: string
  readonly nodes: readonly string[]
  readonly reached: boolean
}

async function triedAttempts(db: Db, jobIds: readonly string[]): Promise<AttemptTried[]> {
  return db
    .select({
      id: attempts.id,
      jobId: attempts.jobId,
      number: attempts.number,
      state: attempts.state,
      reason: attempts.reason,
      message: attempts.message,
      exitCode: attempts.exitCode,
      final: attempts.final,
      array: attempts.array,
      nodes: attempts.nodes,
      reached: attempts.reached,
    })
    .from(attempts)
    .where(inArray(attempts.jobId, [...jobIds]))
    .orderBy(asc(attempts.number))
}

function stepOf(
  change: JobChange,
  job: { readonly spec: JobSpec; readonly ladder: Ladder | null },
  all: readonly AttemptTried[],
  rowsOf: ReadonlyMap<string, TasksOfAttempt>,
): JobChange & { again?: Again } {
  const { from = 0, asked } = job.ladder ?? {}
  if (job.spec.array !== undefined) {
    if (change.state !== 'failed') return change
    const failed = triedTasks(job.spec.array.tasks, all, rowsOf, from)
    const next = nextTasks(job.spec, failed, asked)
    if (next === null) {
      const pausing = job.spec.on_exhausted === 'pause' ? failed.filter(task => hasRule(job.spec, task)) : []
      if (pausing.length === 0) return change
      const words = joined(change.message, 'their retries are used up')
      return paused(change, words, job, all, listOf(pausing.map(task => task.index)))
    }
    const again = { wait: next.wait, ladder: { from, asked: next.asked }, tasksLeft: listOf(next.tasks) }
    return { id: change.id, state: 'waiting', reason: null, message: next.asked.step ?? null, again }
  }
  const counting = all.filter(attempt => attempt.number > from && attempt.final && attempt.state !== 'canceled')
  const step = nextStep(job.spec, counting, asked)
  if (step === null) return change
  if (step.kind === 'ends' && step.exhausted && job.spec.on_exhausted === 'pause') {
    const label = change.reason === null ? null : failureReasons[change.reason].label
    return paused(change, joined(label, step.message), job, all, null)
  }
  if (step.kind === 'ends')
    return { ...change, state: step.state, reason: step.reason, message: joined(change.message, step.message) }
  const again = { wait: step.wait, ladder: { from, asked: step.asked }, tasksLeft: null }
  return { id: change.id, state: 'waiting', reason: null, message: step.asked.step ?? null, again }
}

/** It has not failed: whoever lets it go on gives it all its retries anew, with what it had at last. */
function paused(
  change: JobChange,
  words: string,
  { spec, ladder }: { readonly spec: JobSpec; readonly ladder: Ladder | null },
  all: readonly AttemptTried[],
  tasksLeft: string | null,
): JobChange & { again?: Again } {
  const reason = `${words}: a person is asked. \`/compops retry ${spec.name}\` tries again (\`--mem 8G\` or \`--time 4h\` with more), \`/compops cancel ${spec.name}\` ends it`
  const { step: _, ...asked } = ladder?.asked ?? {}
  const hold = { kind: 'paused', by: null, reason, since: new Date().toISOString() } as const
  const anew = { from: all.at(-1)?.number ?? 0, asked }
  return {
    id: change.id,
    state: 'held',
    reason: null,
    message: reason,
    again: { wait: 0, ladder: anew, tasksLeft, hold },
  }
}

/** Each task that failed, with all its failures since the ladder began. */
function triedTasks(
  list: string,
  all: readonly AttemptTried[],
  rowsOf: ReadonlyMap<string, TasksOfAttempt>,
  from: number,
): TriedTask[] {
  const now = currentTasks(all, rowsOf)
  const failed = readTasks(list).filter(index => now.get(index)?.state === 'failed')
  const failures = new Map<number, TriedTask['failures'][number][]>(failed.map(index => [index, []]))
  for (const attempt of all) {
    if (attempt.number <= from) continue
    // Each attempt by itself: how it left the tasks that it had.
    for (const { index, state, reason, row } of currentTasks([attempt], rowsOf).values())
      if (state === 'failed' && reason !== null)
        failures.get(index)?.push({ reason, nodes: row?.node == null ? [] : [row.node] })
  }
  return [...failures].map(([index, list]) => ({ index, failures: list }))
}

const joined = (said: string | null, more: string) => (said === null ? more : `${said}; ${more}`)
