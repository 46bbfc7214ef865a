import type { AccountingRow, ExitRecord, QueueRow, Seen, TaskRange } from '../model/observation.ts'
import type { WatchedTask } from './contract.ts'

/** What our own files say of a task. */
export interface TaskFiles {
  readonly started?: NonNullable<Seen['started']>
  readonly exit?: ExitRecord
}

interface TaskRow {
  readonly tasks: readonly TaskRange[] | null
}

/**
 * The row that speaks of each task, by the researcher's number: one of that task alone says more than one of many (Slurm's `4711_[5-9%4]` may
 * name a task that has just got a row of its own), and that more than one of the whole array. Of rows alike the last.
 */
export function rowsByTask<Row extends TaskRow>(
  tasks: readonly WatchedTask[],
  rows: readonly Row[],
): ReadonlyMap<number, Row> {
  const found = new Map<number, Row>()
  if (rows.length === 0) return found
  const byNative = new Map(tasks.map(task => [task.native, task.index]))
  for (const precision of [0, 1, 2])
    for (const row of rows) {
      if (precisionOf(row) !== precision) continue
      if (row.tasks === null) for (const task of tasks) found.set(task.index, row)
      else for (const range of row.tasks) setRange(found, range, row, byNative)
    }
  return found
}

function precisionOf({ tasks }: TaskRow): number {
  if (tasks === null) return 0
  return tasks.length === 1 && tasks[0]!.from === tasks[0]!.to ? 2 : 1
}

/** A range may be far larger than what is watched, so the smaller of the two is walked through. */
function setRange<Row>(
  found: Map<number, Row>,
  { from, to, step }: TaskRange,
  row: Row,
  byNative: ReadonlyMap<number, number>,
): void {
  if ((to - from) / step < byNative.size) {
    for (let native = from; native <= to; native += step) {
      const index = byNative.get(native)
      if (index !== undefined) found.set(index, row)
    }
  } else
    for (const [native, index] of byNative)
      if (native >= from && native <= to && (native - from) % step === 0) found.set(index, row)
}

interface ArrayPast {
  readonly silent: boolean
  readonly accounting: boolean
  readonly queue: readonly QueueRow[]
  readonly accounted: readonly AccountingRow[]
  readonly files: ReadonlyMap<number, TaskFiles> | undefined
  /** The id that we know, and the one of the copy that passed the fence. */
  readonly nativeId: string | null
  readonly claimedBy: string | null
}

/** What was seen of each task of an array. One of which nothing can be known now is left out, which is not the same as a miss. */
export function arrayTasks(
  tasks: readonly WatchedTask[],
  gone: readonly WatchedTask[],
  inQueue: ReadonlyMap<number, QueueRow>,
  past: ArrayPast,
): Map<number, Seen> {
  const left = new Set(gone.map(task => task.index))
  const ended = rowsByTask(gone, past.queue)
  const accounted = rowsByTask(gone, past.accounted)
  const seen = new Map<number, Seen>()
  const { nativeId, claimedBy } = past
  for (const { index } of tasks) {
    const files = left.has(index) ? past.files?.get(index) : undefined
    // Another copy has the claim: all that is said of this task is of one that did nothing, and the other's may not have begun yet.
    if (left.has(index) && files?.started === undefined && claimedBy !== null && claimedBy !== nativeId) {
      const accounting = past.accounting ? null : 'off'
      seen.set(index, { queue: null, accounting, exit: null, started: { nativeId: claimedBy, at: null } })
      continue
    }
    if (past.silent && left.has(index) && files?.exit === undefined) continue
    seen.set(index, {
      queue: inQueue.get(index) ?? ended.get(index) ?? null,
      accounting: past.accounting ? turnedAway(accounted.get(index) ?? null, files, claimedBy) : 'off',
      exit: files?.exit ?? null,
      started: files?.started ?? null,
    })
  }
  return seen
}

/**
 * A task that found its attempt fenced although its array had begun: a cancellation that was under way took the fence back. It did nothing, so it was
 * canceled and not the failure that its exit code makes of it.
 */
function turnedAway(
  row: AccountingRow | null,
  files: TaskFiles | undefined,
  claimedBy: string | null,
): AccountingRow | null {
  const away = row?.verdict === 'exit' && row.exitCode === atTheFence && row.nativeId === claimedBy
  if (row === null || !away || files?.started !== undefined || files?.exit !== undefined) return row
  return { ...row, verdict: 'canceled', nativeState: 'it found its array given up, and did nothing', startedAt: null }
}

/** The exit code of what leaves at the fence (scheduler/wrapper.ts). */
const atTheFence = 75
