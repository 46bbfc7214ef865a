import { type FailureReason, failureReasons, isFinal, type JobState } from './job-state.ts'

/** How many tasks of an array stand alike. */
export interface TaskTally {
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly exitCode: number | null
  readonly count: number
}

/** What an array comes to, as a job or an attempt has it. */
export interface ArrayConclusion {
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
  /** The one exit code of all that failed; null where they differ. */
  readonly exitCode: number | null
}

export function tally(tasks: Iterable<Omit<TaskTally, 'count'>>): TaskTally[] {
  const groups = new Map<string, { -readonly [K in keyof TaskTally]: TaskTally[K] }>()
  for (const { state, reason, exitCode } of tasks) {
    const key = `${state} ${reason} ${exitCode}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { state, reason, exitCode, count: 1 })
    else group.count++
  }
  return [...groups.values()]
}

/**
 * The state of an array from those of its tasks. It runs as soon as one of them has begun and until the last has ended: what others waited for
 * is all of it. `ending`: its end was asked for, so that a cancelled task says more than one that had failed before.
 */
export function arrayState(
  tasks: readonly TaskTally[],
  { ending = false }: { ending?: boolean } = {},
): ArrayConclusion {
  const of = (...states: JobState[]) => sum(tasks.filter(task => states.includes(task.state)))
  const total = sum(tasks)
  const failed = of('failed')
  const open = sum(tasks.filter(task => !isFinal(task.state)))
  if (open > 0) {
    const state = underWay(of, total > open)
    return { state, reason: null, message: progress(total, total - open, failed), exitCode: null }
  }
  const canceled = of('canceled', 'skipped')
  if (canceled > 0 && (ending || failed === 0)) {
    const others = total === canceled ? '' : `, ${of('completed')} completed${failed === 0 ? '' : `, ${failed} failed`}`
    return {
      state: 'canceled',
      reason: null,
      message: `${canceled} of ${total} tasks canceled${others}`,
      exitCode: null,
    }
  }
  if (failed === 0) return { state: 'completed', reason: null, message: null, exitCode: total === 0 ? null : 0 }
  const failures = tasks.filter(task => task.state === 'failed')
  const codes = new Set(failures.map(task => task.exitCode))
  return {
    state: 'failed',
    reason: mainReason(failures),
    message: failuresInWords(tasks),
    exitCode: codes.size === 1 ? [...codes][0]! : null,
  }
}

function underWay(of: (...states: JobState[]) => number, someEnded: boolean): JobState {
  if (of('running') > 0) return 'running'
  if (of('suspended') > 0) return 'suspended'
  if (someEnded) return 'running'
  if (of('queued') > 0) return 'queued'
  return of('submitting') > 0 ? 'submitting' : 'waiting'
}

function progress(total: number, ended: number, failed: number): string | null {
  if (ended === 0) return null
  return `${ended - failed} of ${total} tasks done${failed === 0 ? '' : `, ${failed} failed`}`
}

/**
 * The most frequent one that is the code's own fault; the cluster's only where nothing else failed. Of those `lost` says more than any number of others:
 * what is lost may still run somewhere, so the array is not begun again by itself.
 */
function mainReason(failures: readonly TaskTally[]): FailureReason {
  const own = failures.filter(task => task.reason !== null && !failureReasons[task.reason].infrastructure)
  if (own.length === 0 && failures.some(task => task.reason === 'lost')) return 'lost'
  const counts = new Map<FailureReason, number>()
  for (const { reason, count } of own.length > 0 ? own : failures)
    counts.set(reason ?? 'exit', (counts.get(reason ?? 'exit') ?? 0) + count)
  return [...counts].sort((a, b) => b[1] - a[1])[0]![0]
}

/** `3 of 10 tasks out of memory`, `3 of 10 tasks failed: 2 out of memory, 1 exit 3`. */
export function failuresInWords(tasks: readonly TaskTally[]): string {
  const kinds = new Map<string, number>()
  for (const task of tasks)
    if (task.state === 'failed') kinds.set(kindOf(task), (kinds.get(kindOf(task)) ?? 0) + task.count)
  const sorted = [...kinds].sort((a, b) => b[1] - a[1])
  const failed = sorted.reduce((all, [, count]) => all + count, 0)
  const of = `${failed} of ${sum(tasks)} tasks`
  const [only] = sorted.length === 1 ? sorted[0]! : []
  if (only !== undefined)
    return only === 'failed'
      ? `${of} failed`
      : only === failureReasons.memory.label
        ? `${of} ${only}`
        : `${of} failed: ${only}`
  const shown = sorted.slice(0, 4).map(([kind, count]) => `${count} ${kind}`)
  const rest = sorted.slice(4).reduce((all, [, count]) => all + count, 0)
  return `${of} failed: ${[...shown, ...(rest === 0 ? [] : [`${rest} otherwise`])].join(', ')}`
}

function kindOf({ reason, exitCode }: TaskTally): string {
  if (reason !== null && reason !== 'exit') return failureReasons[reason].label
  return exitCode === null || exitCode === 0 ? 'failed' : `exit ${exitCode}`
}

function sum(tasks: readonly TaskTally[]): number {
  return tasks.reduce((all, task) => all + task.count, 0)
}
