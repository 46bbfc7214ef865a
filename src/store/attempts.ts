/** Attempts by the thousand: what a round watches, and what it concluded, each in few statements whatever their number. */
import { setImmediate as turn } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import type { AttemptArray } from '../model/array.ts'
import type { FailureReason, JobState } from '../model/job-state.ts'
import type { AccountingRow } from '../model/observation.ts'
import { storable } from '../model/storable.ts'
import { climb } from './climb.ts'
import { type Db, first, rows } from './open.ts'
import { finalStates } from './runs.ts'

/** What a round needs to know of an attempt that it watches. */
export interface WatchedRow {
  readonly id: string
  readonly jobId: string
  readonly runId: string
  readonly projectId: number
  readonly nativeId: string
  readonly state: JobState
  readonly message: string | null
  readonly queue: string | null
  readonly nodes: readonly string[]
  readonly restarts: number
  readonly misses: number
  readonly missedSince: Date | null
  readonly awaiting: Date | null
  readonly submittedAt: Date | null
  readonly startedAt: Date | null
  /** The tasks that it hands over; null where the job is no array. */
  readonly array: AttemptArray | null
}

const page = 1_000

/**
 * Everything under way on an account, in pages: ten thousand rows at once would hold up the event loop. Each page comes as one JSON text, which the
 * embedded database hands over three times as fast as rows.
 */
export async function attemptsUnderWay(db: Db, connection: string): Promise<WatchedRow[]> {
  const all: WatchedRow[] = []
  for (;;) {
    const last = all.at(-1)?.id
    const found = await first<{ list: string | null }>(
      db,
      sql`
        select json_agg(json_build_array(id, job_id, run_id, project_id, native_id, state, message, queue, nodes, restarts, misses,
            missed_since, awaiting, submitted_at, started_at, task_array) order by id)::text as list
        from (
          select * from attempts
          where connection = ${connection} and not final and native_id is not null ${last === undefined ? sql`` : sql`and id > ${last}`}
          order by id limit ${page}
        ) as page`,
    )
    const list = JSON.parse(found?.list ?? '[]') as WatchedFields[]
    for (const fields of list) all.push(toWatched(fields))
    if (list.length < page) return all
    await turn()
  }
}

type WatchedFields = [
  ...text: [string, string, string, number, string, JobState, string | null, string | null],
  ...counts: [nodes: string[], restarts: number, misses: number],
  ...times: [string | null, string | null, string | null, string | null],
  array: AttemptArray | null,
]

function toWatched(fields: WatchedFields): WatchedRow {
  const [id, jobId, runId, projectId, nativeId, state, message, queue, nodes, restarts, misses, ...times] = fields
  const [missedSince, awaiting, submittedAt, startedAt, array] = times
  return {
    id,
    jobId,
    runId,
    projectId,
    nativeId,
    state,
    message,
    queue,
    nodes,
    restarts,
    misses,
    missedSince: toDate(missedSince),
    awaiting: toDate(awaiting),
    submittedAt: toDate(submittedAt),
    startedAt: toDate(startedAt),
    array,
  }
}

const toDate = (text: string | null) => (text === null ? null : new Date(text))

/** What a round concluded of an attempt, as its row shall be. */
export interface AttemptChange {
  readonly id: string
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
  readonly nativeId: string
  readonly misses: number
  readonly missedSince: Date | null
  readonly awaiting: Date | null
  readonly restarts: number
  readonly nodes: readonly string[]
  readonly queue: string | null
  readonly startedAt: Date | null
  /** A segment of a chain has left the file that the chain waits for. */
  readonly reached?: boolean
  /** null while it is under way. */
  readonly end: AttemptEnd | null
}

export interface AttemptEnd {
  readonly at: Date
  readonly exitCode: number | null
  readonly signal: number | null
  readonly accounting: AccountingRow | null
  /** Why nothing is to be fetched of it. */
  readonly collectProblem: string | null
}

/** Writes what was concluded of attempts that are still open; whoever closed one meanwhile has the last word. Returns the ids of those written. */
export async function writeAttempts(db: Db, changes: readonly AttemptChange[]): Promise<ReadonlySet<string>> {
  const list = changes.map(({ end, ...change }) => ({ ...change, ...end, final: end !== null }))
  const written = await rows<{ id: string }>(
    db,
    sql`
      update attempts set
        state = new.state, reason = new.reason, message = new.message, native_id = new."nativeId", misses = new.misses,
        missed_since = new."missedSince", awaiting = new.awaiting, restarts = new.restarts, nodes = new.nodes, queue = new.queue,
        started_at = new."startedAt", final = new.final, reached = coalesce(new.reached, false),
        ended_at = case when new.final then new.at else attempts.ended_at end,
        exit_code = case when new.final then new."exitCode" else attempts.exit_code end,
        signal = case when new.final then new.signal else attempts.signal end,
        accounting = case when new.final then new.accounting else attempts.accounting end,
        collect_problem = coalesce(new."collectProblem", attempts.collect_problem),
        next_at = case when new.final then now() else attempts.next_at end,
        tries = case when new.final then 0 else attempts.tries end
      from jsonb_to_recordset(${asJson(list)}::jsonb) as new (id uuid, state text, reason text, message text, "nativeId" text, misses integer,
        "missedSince" timestamptz, awaiting timestamptz, restarts integer, nodes jsonb, queue text, "startedAt" timestamptz, reached boolean, final boolean,
        at timestamptz, "exitCode" integer, signal integer, accounting jsonb, "collectProblem" text)
      where attempts.id = new.id and not attempts.final
      returning attempts.id`,
  )
  return new Set(written.map(row => row.id))
}

export interface JobChange {
  readonly id: string
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
}

export interface RetryOptions {
  /** ms; what the cluster could not do is tried again after one, then two, then four … of them. */
  readonly retryInterval?: number
}

/**
 * Passes on to jobs what became of their attempts. Of a cancellation what we asked for says more than "CANCELLED by 1001"; a job whose commit is
 * wanted again meanwhile waits anew; so does one that has retries left. What has ended stays as it ended.
 */
export async function writeJobs(
  db: Db,
  changes: readonly JobChange[],
  { retryInterval = 30_000 }: RetryOptions = {},
): Promise<void> {
  if (changes.length === 0) return
  const list = (await climb(db, changes)).map(({ again, ...change }) => ({
    ...change,
    again: again !== undefined,
    retryIn: again === undefined ? null : (again.wait * retryInterval) / 1_000,
    ladder: again?.ladder ?? null,
    hold: again?.hold ?? null,
    tasksLeft: again?.tasksLeft ?? null,
  }))
  await db.execute(sql`
    update jobs set
      state = case when not canceled then new.state when run_again then 'waiting' else 'canceled' end,
      reason = case when not canceled then new.reason end,
      message = case when not canceled then new.message when run_again then null else coalesce(cancel_reason, new.message) end,
      cancel_reason = case when new.again or (canceled and run_again) then null else cancel_reason end,
      run_again = run_again and not canceled and not new.again,
      hold = coalesce(jobs.hold, new.hold),
      tasks_left = case when canceled or new.state in ${finalStates} then null when new.again then new."tasksLeft" else tasks_left end,
      ladder = coalesce(new.ladder, jobs.ladder),
      retry_at = case when new.again then now() + make_interval(secs => new."retryIn") else retry_at end
    from jsonb_to_recordset(${asJson(list)}::jsonb) as new (id uuid, state text, reason text, message text, again boolean, "retryIn" float8,
        ladder jsonb, hold jsonb, "tasksLeft" text),
      lateral (select new.state = 'canceled' as canceled) as how
    where jobs.id = new.id and jobs.state not in ${finalStates}`)
}

/** Times travel as ISO text, to the millisecond that a Date has. */
const asJson = (list: readonly unknown[]) => JSON.stringify(storable(list))
