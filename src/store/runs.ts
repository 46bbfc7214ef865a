import { and, asc, desc, eq, getTableColumns, inArray, isNull, ne, sql } from 'drizzle-orm'
import { nativeTaskId, readTasks } from '../model/array.ts'
import { mergeCollected } from '../model/array-results.ts'
import { isFinal, jobStateNames } from '../model/job-state.ts'
import { stateOfRun } from '../model/needs.ts'
import type { AccountingRow, Collected } from '../model/observation.ts'
import type { Removal } from '../model/retention.ts'
import type { Attempt, Cause, Job, Run, Task } from '../model/run.ts'
import { type Db, rows } from './open.ts'
import { attempts, branches, jobs, projects, runDirectories, runs } from './schema.ts'
import { currentTasks, type TasksOfAttempt, tasksOfJobs } from './tasks.ts'

export type RunRow = typeof runs.$inferSelect
export type JobRow = typeof jobs.$inferSelect
export type AttemptRow = typeof attempts.$inferSelect
export type BranchRow = typeof branches.$inferSelect

export const finalStates = jobStateNames.filter(isFinal)
export const openStates = jobStateNames.filter(name => !isFinal(name))

/** Says that something a person could see of these runs has changed; whoever composes reports looks at them again. */
export async function touchRuns(db: Db, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await db
    .update(runs)
    // What could not be composed before may well be now.
    .set({ version: sql`${runs.version} + 1`, nextAt: sql`now()`, attempts: 0, parkedAt: null })
    .where(inArray(runs.id, [...new Set(ids)]))
}

export async function findRun(db: Db, id: string): Promise<RunRow | null> {
  return (await db.select().from(runs).where(eq(runs.id, id)))[0] ?? null
}

/** The run that one request made on a branch, at this commit or whichever it was. */
export async function findRunCausedBy(
  db: Db,
  of: { readonly projectId: number; readonly ref: string; readonly cause: Cause; readonly sha?: string },
): Promise<RunRow | null> {
  const commit = of.sha === undefined ? undefined : eq(runs.sha, of.sha)
  const request = and(eq(runs.projectId, of.projectId), eq(runs.ref, of.ref), eq(runs.cause, of.cause))
  return (await db.select().from(runs).where(and(request, commit)))[0] ?? null
}

export async function findRunOf(db: Db, projectId: number, ref: string, sha: string): Promise<RunRow | null> {
  const found = await db
    .select()
    .from(runs)
    .where(and(eq(runs.projectId, projectId), eq(runs.ref, ref), eq(runs.sha, sha)))
    .orderBy(desc(runs.createdAt))
    .limit(1)
  return found[0] ?? null
}

/** A run that has computed its commit, or is about to, on a branch that still lives; what a fork's merge request computed stands there alone. */
const computes = sql`(${branches.state} = 'active' and ${runs.ref} like 'refs/heads/%'
  and (${runs.state} in ('completed', 'failed') or (${runs.endedAt} is null and ${runs.supersededBy} is null)))`

/**
 * Commits at which a living branch had nothing to compute because another branch computed them, which does so no longer: it moved on, or was
 * deleted, and a crash may have come before anybody looked at the first one again.
 */
export async function leftBehind(db: Db, projectId: number): Promise<string[]> {
  const found = await rows<{ sha: string }>(
    db,
    sql`select distinct b.head_sha as sha from branches b
    where b.project_id = ${projectId} and b.state = 'active' and b.latest_run_id is null and b.generation > 0
      and exists (select 1 from runs r where r.project_id = b.project_id and r.sha = b.head_sha)
      and not exists (select 1 from ${runs} join ${branches} on ${branches.id} = ${runs.branchId}
        where ${runs.projectId} = b.project_id and ${runs.sha} = b.head_sha and ${computes})`,
  )
  return found.map(row => row.sha)
}

/**
 * A run of the same commit on another living branch of the project that has computed it, or is about to: a branch made from it has nothing new
 * to compute. One that was superseded, cancelled or lost to the cluster has not, and one on a deleted branch will not.
 */
export async function findRunElsewhere(db: Db, projectId: number, ref: string, sha: string): Promise<RunRow | null> {
  const found = await db
    .select({ run: runs })
    .from(runs)
    .innerJoin(branches, eq(branches.id, runs.branchId))
    .where(and(eq(runs.projectId, projectId), eq(runs.sha, sha), ne(runs.ref, ref), computes))
    .orderBy(desc(runs.createdAt))
    .limit(1)
  return found[0]?.run ?? null
}

/** The run of a branch that has not ended, unless a newer one took its place. */
export async function openRunOf(db: Db, branchId: string): Promise<string | null> {
  const found = await db
    .select({ id: runs.id })
    .from(runs)
    .where(and(eq(runs.branchId, branchId), isNull(runs.endedAt), isNull(runs.supersededBy)))
    .limit(1)
  return found[0]?.id ?? null
}

export async function hasRuns(db: Db, projectId: number): Promise<boolean> {
  const found = await db.select({ id: runs.id }).from(runs).where(eq(runs.projectId, projectId)).limit(1)
  return found.length > 0
}

/** For a statement over rows of the runs of a commit. */
export function runsAt(db: Db, projectId: number, sha: string) {
  return db
    .select({ id: runs.id })
    .from(runs)
    .where(and(eq(runs.projectId, projectId), eq(runs.sha, sha)))
}

export async function jobsOf(db: Db, runId: string): Promise<JobRow[]> {
  return db.select().from(jobs).where(eq(jobs.runId, runId)).orderBy(asc(jobs.position))
}

export async function attemptsOf(
  db: Db,
  jobIds: readonly string[],
  collected: 'collected' | 'not collected' = 'not collected',
): Promise<AttemptRow[]> {
  if (jobIds.length === 0) return []
  const columns = getTableColumns(attempts)
  return db
    .select(
      collected === 'collected' ? columns : { ...columns, collected: sql<Collected | null>`null`.as('collected') },
    )
    .from(attempts)
    .where(inArray(attempts.jobId, [...jobIds]))
    .orderBy(asc(attempts.number))
}

/** The run with everything that is shown of it, or without what was collected. Throws when there is none. */
export async function loadRun(
  db: Db,
  id: string,
  collected: 'collected' | 'not collected' = 'not collected',
): Promise<Run> {
  const found = await db
    .select({ run: runs, path: projects.path })
    .from(runs)
    .innerJoin(projects, eq(projects.id, runs.projectId))
    .where(eq(runs.id, id))
  const row = found[0]
  if (row === undefined) throw new Error(`there is no run ${id}`)
  const jobRows = await jobsOf(db, id)
  const attemptRows: AttemptRow[] = []
  // In parts: with the logs that were collected, those of a large run are megabytes.
  for (let from = 0; from < jobRows.length; from += 50)
    attemptRows.push(
      ...(await attemptsOf(
        db,
        jobRows.slice(from, from + 50).map(job => job.id),
        collected,
      )),
    )
  // Who shows no results shows no tasks either.
  const arrays = collected === 'collected' ? jobRows.filter(job => job.spec.array !== undefined) : []
  const known = await tasksOfJobs(
    db,
    arrays.map(job => job.id),
  )
  const removed = await removalsOf(db, id)
  return { ...toRun(row.run, row.path, jobRows, attemptRows, known), ...(removed.length === 0 ? {} : { removed }) }
}

/** What of its directories was removed by age, or is being removed. */
export async function removalsOf(db: Db, runId: string): Promise<Removal[]> {
  const found = await db
    .select()
    .from(runDirectories)
    .where(eq(runDirectories.runId, runId))
    .orderBy(runDirectories.connection)
  return found.map(({ connection, removedAt, days, problem, nextAt }) => ({
    ...{ cluster: connection.split('#')[0]!, at: removedAt, days },
    ...(problem === null ? {} : { problem: { why: problem, nextAt } }),
  }))
}

export function toRun(
  run: RunRow,
  projectPath: string,
  jobRows: readonly JobRow[],
  attemptRows: readonly AttemptRow[],
  taskRows: ReadonlyMap<string, TasksOfAttempt> = new Map(),
): Run {
  const byJob = Map.groupBy(attemptRows, attempt => attempt.jobId)
  return {
    id: run.id,
    projectId: run.projectId,
    projectPath,
    branch: shortBranch(run.ref),
    sha: run.sha,
    cause: run.cause,
    causedBy: run.causedBy,
    causedHow: run.causedHow,
    commit: run.commit,
    parent: run.parent,
    parentRunId: run.parentRunId,
    spec: run.specSha256 === null ? null : { sha256: run.specSha256, problems: run.problems },
    problem: run.problem,
    ...(run.includes.length === 0 ? {} : { includes: run.includes }),
    state: jobRows.length === 0 ? run.state : stateOfRun(jobRows),
    createdAt: run.createdAt,
    endedAt: run.endedAt,
    jobs: jobRows.map(job => toJob(job, byJob.get(job.id) ?? [], taskRows)),
    supersededBy: run.supersededBy,
    ...(run.approval === null ? {} : { approval: run.approval }),
  }
}

function toJob(row: JobRow, attemptRows: readonly AttemptRow[], taskRows: ReadonlyMap<string, TasksOfAttempt>): Job {
  return {
    id: row.id,
    name: row.name,
    spec: row.spec,
    cluster: row.cluster,
    scheduler: row.scheduler,
    state: row.state,
    reason: row.reason,
    message: row.message,
    ...(row.spec.array === undefined
      ? { attempts: attemptRows.map(toAttempt) }
      : { attempts: withAllResults(attemptRows.map(toAttempt)), tasks: toTasks(attemptRows, taskRows) }),
  }
}

/** Of an array the last attempt shows the results of all: a job is shown by its last attempt. */
function withAllResults(attempts: readonly Attempt[]): readonly Attempt[] {
  const last = attempts.at(-1)
  if (last === undefined || attempts.length === 1) return attempts
  const collected = mergeCollected(attempts.flatMap(attempt => attempt.collected ?? []))
  return [...attempts.slice(0, -1), { ...last, collected }]
}

function toTasks(attemptRows: readonly AttemptRow[], taskRows: ReadonlyMap<string, TasksOfAttempt>): Task[] {
  const nativeOf = new Map(
    attemptRows.map(({ id, nativeId, array }) => {
      const numbers = array?.renumbered === true ? readTasks(array.tasks) : null
      const native = numbers === null ? null : new Map(numbers.map((index, i) => [index, i + 1]))
      return [id, (index: number) => (nativeId === null ? null : nativeTaskId(nativeId, native?.get(index) ?? index))]
    }),
  )
  return [...currentTasks(attemptRows, taskRows).values()]
    .sort((a, b) => a.index - b.index)
    .map(({ row, attempt, ...task }) => {
      return {
        ...task,
        attempt: attempt.number,
        nativeId: nativeOf.get(attempt.id)?.(task.index) ?? null,
        startedAt: row?.startedAt ?? null,
        endedAt: row?.endedAt ?? null,
        maxRss: row?.maxRss ?? null,
        node: row?.node ?? null,
      }
    })
}

function toAttempt(row: AttemptRow): Attempt {
  return {
    id: row.id,
    number: row.number,
    nativeId: row.nativeId,
    state: row.state,
    reason: row.reason,
    message: row.message,
    queue: row.queue,
    nodes: row.nodes,
    submittedAt: row.submittedAt,
    queuedAt: row.queuedAt,
    startedAt: row.startedAt,
    endedAt: row.endedAt,
    exitCode: row.exitCode,
    signal: row.signal,
    accounting: reviveAccounting(row.accounting),
    progress: row.progress,
    collected: row.collected satisfies Collected | null,
    scriptSha256: row.scriptSha256,
    restarts: row.restarts,
    ...(row.asked === null ? {} : { asked: row.asked }),
    ...(row.inputs === null ? {} : { inputs: row.inputs }),
    ...(row.array === null ? {} : { array: row.array }),
    ...(row.reused === null ? {} : { reused: row.reused }),
  }
}

/** jsonb keeps times as text. */
function reviveAccounting(row: AccountingRow | null): AccountingRow | null {
  if (row === null) return null
  const revive = (value: Date | string | null) => (value === null ? null : new Date(value))
  return {
    ...row,
    submittedAt: revive(row.submittedAt),
    startedAt: revive(row.startedAt),
    endedAt: revive(row.endedAt),
  }
}

/** The newest runs of a branch, for its history: without what was collected. */
export async function latestRunsOf(db: Db, branchId: string, limit: number): Promise<Run[]> {
  const found = await db
    .select({ id: runs.id })
    .from(runs)
    .where(eq(runs.branchId, branchId))
    .orderBy(desc(runs.createdAt), desc(runs.id))
    .limit(limit)
  return Promise.all(found.map(row => loadRun(db, row.id, 'not collected')))
}

export function shortBranch(ref: string): string {
  return ref.replace(/^refs\/heads\//, '')
}
