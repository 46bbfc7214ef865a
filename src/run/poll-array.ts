import { type AttemptArray, nativeNumbers, readTasks } from '../model/array.ts'
import { arrayState, tally } from '../model/array-state.ts'
import { isFinal, mayFollow } from '../model/job-state.ts'
import { type NextStateOptions, nextState } from '../model/next-state.ts'
import type { AccountingRow, Conclusion, Seen } from '../model/observation.ts'
import type { AttemptChange, WatchedRow } from '../store/attempts.ts'
import type { TaskChange, TaskRow, TasksOfAttempt } from '../store/tasks.ts'

/** What a round says of an array: the tasks that changed, and what the attempt comes to. */
export interface ArrayConcluded {
  readonly tasks: readonly TaskChange[]
  readonly after: Conclusion
  readonly row: AttemptChange
  /** An end waits for accounting, or a task was not seen. */
  readonly due: boolean
  readonly copy: boolean
  /** All have ended, some of them without a start, which may still stand in the queue. */
  readonly stuck: boolean
}

/** Its tasks that have not ended, as the cluster is asked for them. */
export function tasksToWatch(array: AttemptArray, known: TasksOfAttempt): { index: number; native: number }[] {
  const natives = nativeNumbers(array)
  return readTasks(array.tasks)
    .map((index, i) => ({ index, native: natives[i]! }))
    .filter(({ index }) => !isFinal(known.get(index)?.state ?? 'queued'))
}

const untouched: Omit<TaskRow, 'index'> = {
  ...{ state: 'queued', reason: null, message: null, exitCode: null, signal: null, startedAt: null, endedAt: null },
  ...{
    restarts: 0,
    misses: 0,
    missedSince: null,
    awaiting: null,
    maxRss: null,
    cpuSeconds: null,
    coreSeconds: null,
    node: null,
  },
}

/** The state oracle, asked for each task; the attempt follows from all of them. What was not seen of a task now changes nothing of it. */
export function concludeArray(
  attempt: WatchedRow,
  known: TasksOfAttempt,
  seen: ReadonlyMap<number, Seen>,
  { cancelRequested, ...options }: NextStateOptions & { readonly cancelRequested: boolean },
): ArrayConcluded {
  const all = new Map(known)
  const tasks: TaskChange[] = []
  let why: string | null = null
  let due = false
  let passed: string | null = null
  let accounting: AccountingRow | null = null
  let { queue } = attempt
  const nodes = new Set(attempt.nodes)
  for (const [index, found] of seen) {
    const row = known.get(index) ?? { ...untouched, index }
    const { state, restarts, misses, missedSince, awaiting } = row
    const { nativeId } = attempt
    const after = nextState(
      { nativeId, state, restarts, misses, missedSince, awaiting, cancelRequested },
      found,
      options,
    )
    if (after.awaiting !== null || after.misses > 0) due = true
    if (after.state === 'queued') why ??= after.message
    if (found.started !== null && found.started.nativeId !== nativeId) passed = found.started.nativeId
    if (found.accounting !== null && found.accounting !== 'off') accounting = found.accounting
    queue = accounting?.queue ?? found.queue?.queue ?? queue
    for (const node of nodesOf(found)) if (nodes.size < mostNodes) nodes.add(node)
    const next = toTask(row, after, found, options.now)
    if (!mayFollow(state, next.state) || !differs(row, next)) continue
    all.set(index, next)
    tasks.push({ ...next, attemptId: attempt.id, jobId: attempt.jobId })
  }
  const whole = readTasks(attempt.array?.tasks ?? '').map(index => all.get(index) ?? { ...untouched, index })
  const concluded = arrayState(tally(whole), { ending: cancelRequested })
  const after = {
    ...concluded,
    message: concluded.message ?? (concluded.state === 'queued' ? why : null),
    misses: 0,
    awaiting: null,
  }
  return {
    tasks,
    after,
    row: toAttempt(attempt, after, whole, { passed, accounting, queue, nodes, at: options.now }),
    due,
    copy: passed !== null,
    stuck: isFinal(after.state) && whole.some(task => task.reason === 'submit' && task.startedAt === null),
  }
}

const mostNodes = 200

function nodesOf({ accounting, queue }: Seen): readonly string[] {
  return accounting !== null && accounting !== 'off' && accounting.nodes.length > 0
    ? accounting.nodes
    : (queue?.nodes ?? [])
}

function toTask(row: TaskRow, after: Conclusion, seen: Seen, at: Date): TaskRow {
  const accounted = seen.accounting === 'off' ? null : seen.accounting
  const ended = isFinal(after.state)
  const ran = after.state === 'running' || after.state === 'suspended'
  const startedAt =
    row.startedAt ?? accounted?.startedAt ?? seen.started?.at ?? (ran ? (seen.queue?.startAt ?? at) : null)
  const { elapsedSeconds, cpus } = accounted ?? {}
  return {
    index: row.index,
    state: after.state,
    reason: after.reason,
    // Of those that wait thousands would be written again whenever the scheduler finds another reason.
    message: after.state === 'queued' ? null : after.message,
    exitCode: after.exitCode,
    signal: ended ? (accounted?.signal ?? null) : null,
    startedAt: after.state === 'queued' ? null : startedAt,
    endedAt: ended ? (accounted?.endedAt ?? seen.exit?.at ?? seen.queue?.endAt ?? at) : null,
    restarts: Math.max(row.restarts, seen.queue?.restarts ?? 0, seen.exit?.restarts ?? 0),
    misses: after.misses,
    missedSince: after.misses === 0 ? null : (row.missedSince ?? at),
    awaiting: after.awaiting,
    maxRss: ended ? (accounted?.maxRss ?? null) : null,
    cpuSeconds: ended ? (accounted?.cpuSeconds ?? null) : null,
    coreSeconds: ended && elapsedSeconds != null && cpus != null ? elapsedSeconds * cpus : null,
    node: nodesOf(seen)[0] ?? row.node,
  }
}

function differs(a: TaskRow, b: TaskRow): boolean {
  return (
    a.state !== b.state ||
    a.message !== b.message ||
    a.misses !== b.misses ||
    a.awaiting?.getTime() !== b.awaiting?.getTime() ||
    a.restarts !== b.restarts ||
    (a.startedAt === null) !== (b.startedAt === null)
  )
}

function toAttempt(
  attempt: WatchedRow,
  after: Conclusion,
  tasks: readonly TaskRow[],
  seen: {
    passed: string | null
    accounting: AccountingRow | null
    queue: string | null
    nodes: ReadonlySet<string>
    at: Date
  },
): AttemptChange {
  const startedAt = earliest(tasks.map(task => task.startedAt)) ?? attempt.startedAt
  const nodes = [...seen.nodes]
  const end = isFinal(after.state)
    ? {
        at: latest(tasks.map(task => task.endedAt)) ?? seen.at,
        exitCode: after.exitCode,
        signal: null,
        accounting: summed(seen.accounting, tasks, nodes, startedAt),
        collectProblem: startedAt === null ? 'it never started' : null,
      }
    : null
  return {
    id: attempt.id,
    state: after.state,
    reason: after.reason,
    message: after.message,
    // The fence was passed by another copy of this attempt than the one we knew: that one is the job.
    nativeId: seen.passed ?? attempt.nativeId,
    misses: 0,
    missedSince: null,
    awaiting: null,
    restarts: Math.max(0, ...tasks.map(task => task.restarts)),
    nodes,
    queue: seen.queue,
    startedAt,
    end,
  }
}

/** The whole array as one record: its time is from the first start to the last end, its cores those held on average. */
function summed(
  one: AccountingRow | null,
  tasks: readonly TaskRow[],
  nodes: readonly string[],
  startedAt: Date | null,
): AccountingRow | null {
  if (one === null) return null
  const endedAt = latest(tasks.map(task => task.endedAt))
  const wall =
    startedAt === null || endedAt === null ? null : Math.max(1, (endedAt.getTime() - startedAt.getTime()) / 1000)
  const held = sum(tasks.map(task => task.coreSeconds))
  return {
    ...one,
    tasks: null,
    exitCode: null,
    signal: null,
    startedAt,
    endedAt,
    nodes,
    cpus: held === null || wall === null ? one.cpus : Math.round((held / wall) * 100) / 100,
    cpuSeconds: sum(tasks.map(task => task.cpuSeconds)),
    elapsedSeconds: wall,
    maxRss: tasks.reduce<number | null>(
      (most, { maxRss }) => (maxRss === null ? most : Math.max(most ?? 0, maxRss)),
      null,
    ),
  }
}

function sum(values: readonly (number | null)[]): number | null {
  const known = values.filter(value => value !== null)
  return known.length === 0 ? null : known.reduce((all, value) => all + value, 0)
}

function earliest(times: readonly (Date | null)[]): Date | null {
  return times.reduce((first, time) => (time !== null && (first === null || time < first) ? time : first), null)
}

function latest(times: readonly (Date | null)[]): Date | null {
  return times.reduce((last, time) => (time !== null && (last === null || time > last) ? time : last), null)
}
