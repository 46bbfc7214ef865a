/** Tasks of arrays: what a round concluded of them. Set-based, since one array has as many as ten thousand. */
import { setImmediate as turn } from 'node:timers/promises'
import { eq, type SQL, sql } from 'drizzle-orm'
import { type AttemptArray, readTasks, writeTasks as writeList } from '../model/array.ts'
import { type FailureReason, isFinal, type JobState, jobStateNames, notRun } from '../model/job-state.ts'
import type { Ladder } from '../model/ladder.ts'
import { storable } from '../model/storable.ts'
import { type Db, first, rows } from './open.ts'
import { jobs } from './schema.ts'

/** A task that stands differently from its attempt. */
export interface TaskRow {
  readonly index: number
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
  readonly exitCode: number | null
  readonly signal: number | null
  readonly startedAt: Date | null
  readonly endedAt: Date | null
  readonly restarts: number
  readonly misses: number
  readonly missedSince: Date | null
  readonly awaiting: Date | null
  readonly maxRss: number | null
  readonly cpuSeconds: number | null
  readonly coreSeconds: number | null
  readonly node: string | null
}

export type TasksOfAttempt = ReadonlyMap<number, TaskRow>

const page = 1_000
const finalStates = jobStateNames.filter(isFinal)

/** By attempt, then by number. In pages of one JSON text each, as {@link import('./attempts.ts').attemptsUnderWay}. */
export async function tasksOfAttempts(
  db: Db,
  attemptIds: readonly string[],
): Promise<ReadonlyMap<string, TasksOfAttempt>> {
  return tasksWhere(db, attemptIds, sql`attempt_id in ${uuids(attemptIds)}`)
}

/** Those of all attempts of these jobs. */
export async function tasksOfJobs(db: Db, jobIds: readonly string[]): Promise<ReadonlyMap<string, TasksOfAttempt>> {
  return tasksWhere(db, jobIds, sql`job_id in ${uuids(jobIds)}`)
}

const uuids = (ids: readonly string[]) =>
  sql`(select value::uuid from jsonb_array_elements_text(${JSON.stringify(ids)}::jsonb))`

async function tasksWhere(
  db: Db,
  ids: readonly string[],
  condition: SQL,
): Promise<ReadonlyMap<string, TasksOfAttempt>> {
  const found = new Map<string, Map<number, TaskRow>>()
  if (ids.length === 0) return found
  let after: [string, number] | null = null
  for (;;) {
    const later: SQL = after === null ? sql`` : sql`and (attempt_id, index) > (${after[0]}::uuid, ${after[1]}::integer)`
    const answer: { list: string | null } | undefined = await first<{ list: string | null }>(
      db,
      sql`
        select json_agg(json_build_array(attempt_id, index, state, reason, message, exit_code, signal, started_at, ended_at, restarts, misses,
            missed_since, awaiting, max_rss, cpu_seconds, core_seconds, node) order by attempt_id, index)::text as list
        from (select * from tasks where ${condition} ${later} order by attempt_id, index limit ${page}) as page`,
    )
    const list = JSON.parse(answer?.list ?? '[]') as TaskFields[]
    for (const fields of list) {
      const [attemptId, task] = toTask(fields)
      const ofAttempt = found.get(attemptId) ?? new Map<number, TaskRow>()
      found.set(attemptId, ofAttempt.set(task.index, task))
    }
    const last = list.at(-1)
    if (last === undefined || list.length < page) return found
    after = [last[0], last[1]]
    await turn()
  }
}

type TaskFields = [
  ...names: [string, number, JobState, FailureReason | null, string | null, number | null, number | null],
  ...times: [string | null, string | null, number, number, string | null, string | null],
  ...used: [number | null, number | null, number | null, string | null],
]

function toTask(fields: TaskFields): [attemptId: string, TaskRow] {
  const [attemptId, index, state, reason, message, exitCode, signal, startedAt, endedAt, restarts, misses, ...rest] =
    fields
  const [missedSince, awaiting, maxRss, cpuSeconds, coreSeconds, node] = rest
  const task = {
    ...{ index, state, reason, message, exitCode, signal, restarts, misses, maxRss, cpuSeconds, coreSeconds, node },
    startedAt: toDate(startedAt),
    endedAt: toDate(endedAt),
    missedSince: toDate(missedSince),
    awaiting: toDate(awaiting),
  }
  return [attemptId, task]
}

const toDate = (text: string | null) => (text === null ? null : new Date(text))

export interface TaskChange extends TaskRow {
  readonly attemptId: string
  readonly jobId: string
}

/** Writes tasks of attempts that are still open; a task that has ended stays as it ended. */
export async function writeTasks(db: Db, changes: readonly TaskChange[]): Promise<void> {
  if (changes.length === 0) return
  await db.execute(sql`
    insert into tasks (attempt_id, index, job_id, state, reason, message, exit_code, signal, started_at, ended_at, restarts, misses, missed_since,
      awaiting, max_rss, cpu_seconds, core_seconds, node)
    select new."attemptId", new.index, new."jobId", new.state, new.reason, new.message, new."exitCode", new.signal, new."startedAt", new."endedAt",
      new.restarts, new.misses, new."missedSince", new.awaiting, new."maxRss", new."cpuSeconds", new."coreSeconds", new.node
    from jsonb_to_recordset(${JSON.stringify(storable(changes))}::jsonb) as new ("attemptId" uuid, index integer, "jobId" uuid, state text, reason text,
      message text, "exitCode" integer, signal integer, "startedAt" timestamptz, "endedAt" timestamptz, restarts integer, misses integer,
      "missedSince" timestamptz, awaiting timestamptz, "maxRss" bigint, "cpuSeconds" float8, "coreSeconds" float8, node text)
    where exists (select 1 from attempts a where a.id = new."attemptId" and not a.final)
    on conflict (attempt_id, index) do update set state = excluded.state, reason = excluded.reason, message = excluded.message,
      exit_code = excluded.exit_code, signal = excluded.signal, started_at = excluded.started_at, ended_at = excluded.ended_at,
      restarts = excluded.restarts, misses = excluded.misses, missed_since = excluded.missed_since, awaiting = excluded.awaiting,
      max_rss = excluded.max_rss, cpu_seconds = excluded.cpu_seconds, core_seconds = excluded.core_seconds, node = excluded.node
    where tasks.state not in ${finalStates}`)
}

/** An attempt, as far as its tasks need it. */
export interface AttemptOfArray {
  readonly id: string
  readonly number: number
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
  readonly exitCode: number | null
  readonly final: boolean
  readonly array: AttemptArray | null
}

/** A task as it stands now: in the last attempt that had it. */
export interface CurrentTask extends Pick<TaskRow, 'index' | 'state' | 'reason' | 'message' | 'exitCode'> {
  readonly attempt: AttemptOfArray
  /** null where nothing is known of it but its attempt. */
  readonly row: TaskRow | null
}

/** The tasks that were handed over, each as the last attempt that had it left it, by number. */
export function currentTasks(
  attempts: readonly AttemptOfArray[],
  rowsOf: ReadonlyMap<string, TasksOfAttempt>,
): Map<number, CurrentTask> {
  const current = new Map<number, CurrentTask>()
  for (const attempt of attempts.toSorted((a, b) => a.number - b.number)) {
    const known = rowsOf.get(attempt.id)
    for (const index of readTasks(attempt.array?.tasks ?? '')) {
      const row = known?.get(index) ?? null
      const own = row !== null && (isFinal(row.state) || !attempt.final) ? row : attempt
      const { state, reason, message, exitCode } = own
      current.set(index, { index, state, reason, message, exitCode, attempt, row })
    }
  }
  return current
}

/** The tasks of a job that have not completed: what runs again where somebody asks for that. */
export async function openTasks(db: Db, jobId: string, list: string): Promise<number[]> {
  const current = currentTasks(await attemptsOfArrays(db, [jobId]), await tasksOfJobs(db, [jobId]))
  return readTasks(list).filter(index => current.get(index)?.state !== 'completed')
}

/** The tasks of a job that never ran, by nobody's fault of their own: what a new attempt runs by itself. */
export async function tasksNotRun(db: Db, jobId: string, list: string): Promise<number[]> {
  const current = currentTasks(await attemptsOfArrays(db, [jobId]), await tasksOfJobs(db, [jobId]))
  return readTasks(list).filter(index => {
    const { state = 'waiting', reason = null } = current.get(index) ?? {}
    const stopped = state === 'waiting' || state === 'canceled' || state === 'skipped'
    return stopped || (state === 'failed' && reason !== null && notRun.includes(reason))
  })
}

/** For the update that starts a job anew: its retries and segments count from now on, what was raised stays raised. */
export const begunAnew = sql<Ladder | null>`case when not exists (select 1 from attempts a where a.job_id = jobs.id) then jobs.ladder
  else (coalesce(jobs.ladder, '{}'::jsonb) #- '{asked,step}') ||
    jsonb_build_object('from', (select max(a.number) from attempts a where a.job_id = jobs.id)) end`

/** Of a large array what no attempt has is still to be handed over. */
export async function rememberTasksLeft(db: Db, jobId: string, list: string): Promise<void> {
  const handedOver = new Set(
    (await attemptsOfArrays(db, [jobId])).flatMap(attempt => readTasks(attempt.array?.tasks ?? '')),
  )
  const left = readTasks(list).filter(index => !handedOver.has(index))
  await db
    .update(jobs)
    .set({ tasksLeft: listOf(left) })
    .where(eq(jobs.id, jobId))
}

export async function attemptsOfArrays(
  db: Db,
  jobIds: readonly string[],
): Promise<(AttemptOfArray & { jobId: string })[]> {
  return rows(
    db,
    sql`select id, job_id as "jobId", number, state, reason, message, exit_code as "exitCode", final, task_array as "array" from attempts
      where job_id in ${uuids(jobIds)} and task_array is not null`,
  )
}

/** What is handed over later, as the row keeps it. */
export const listOf = (numbers: readonly number[]): string | null => (numbers.length === 0 ? null : writeList(numbers))
