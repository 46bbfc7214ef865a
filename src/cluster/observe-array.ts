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
  for (const { index } of tasks) {
    const files = left.has(index) ? past.files?.get(index) : undefined
    if (past.silent && left.has(index) && files?.exit === undefined) continue
    seen.set(index, {
      queue: inQueue.get(index) ?? ended.get(index) ?? null,
      accounting: past.accounting ? (accounted.get(index) ?? null) : 'off',
      exit: files?.exit ?? null,
      started: files?.started ?? null,
    })
  }
  return seen
}
