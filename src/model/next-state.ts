import { type FailureReason, isFinal, type JobState } from './job-state.ts'
import {
  type AccountingRow,
  type ClusterFacts,
  type Conclusion,
  cannotWrite,
  type Ended,
  type QueueRow,
  type Seen,
  type Verdict,
} from './observation.ts'

/** What is known of an attempt before the round. */
export interface Before {
  readonly state: JobState
  readonly nativeId: string
  readonly restarts: number
  readonly misses: number
  readonly missedSince: Date | null
  readonly awaiting: Date | null
  /** We asked the cluster to cancel it. */
  readonly cancelRequested: boolean
}

export interface NextStateOptions {
  readonly facts: ClusterFacts
  readonly now: Date
  /** ms to wait for accounting to say why, once another source says that it has ended. */
  readonly accountingWait: number
  /** The scheduler's reason for waiting, in words. */
  readonly inWords: (reason: string) => string
}

/**
 * The state oracle: three sources may end a job (our exit file, accounting, the queue); the code comes from the exit file, the reason from
 * accounting. `completed` needs code 0 and nothing to the contrary. Where they disagree the worse holds and both are shown. A job that no
 * source knows is a miss, and after two misses over more than the queue remembers it is `lost`, never `completed`.
 */
export function nextState(before: Before, seen: Seen, options: NextStateOptions): Conclusion {
  if (isFinal(before.state)) throw new Error(`nextState of a final attempt (${before.state})`)
  // Another copy of this attempt has passed the fence: what is said of the id that we knew is said of a copy that did nothing. The caller
  // remembers the one that runs, and the next round asks for it.
  if (seen.started !== null && seen.started.nativeId !== before.nativeId)
    return known(before.state === 'queued' ? 'running' : before.state, null, { ...before, awaiting: null })
  const inQueue = seen.queue !== null && seen.queue.state !== 'ended' ? seen.queue : null
  // An exit file of an earlier start says nothing once the scheduler has started it again.
  const restarts = Math.max(before.restarts, seen.queue?.restarts ?? 0)
  const exit = seen.exit !== null && seen.exit.restarts >= restarts ? seen.exit : null
  const accounted = seen.accounting === 'off' ? null : seen.accounting
  // A script that came to its end has started: a record that says otherwise is of an earlier try, and the last one is not written yet.
  const verdict = exit !== null && accounted?.verdict === 'never started' ? null : (accounted?.verdict ?? null)

  if (inQueue !== null && !(inQueue.state === 'completing' && exit !== null)) return underWay(inQueue, options)

  const ended = exit !== null || verdict !== null || seen.queue?.state === 'ended'
  if (!ended) {
    // Accounting may lag; but a record that says RUNNING for ever while the queue knows nothing (a controller that lost its state) is a miss too.
    return missed(before, accounted !== null && accounted.startedAt !== null ? 'running' : before.state, options)
  }

  // What we cancelled and the queue calls cancelled needs no reason from accounting, which may never hear of a job that was not eligible.
  if (before.cancelRequested && exit === null && seen.queue?.verdict === 'canceled')
    return conclude(before, 'canceled', null, accounted, seen.queue, false)
  const silent = seen.accounting !== 'off' && options.facts.accounting && verdict === null
  const completing = inQueue?.state === 'completing'
  const noExit = exit === null && (verdict === 'completed' || (verdict === null && seen.queue?.verdict === 'completed'))
  if (silent || completing || noExit) {
    const until = before.awaiting ?? new Date(options.now.getTime() + options.accountingWait)
    if (options.now < until)
      return { ...known(before.state === 'queued' ? 'running' : before.state, null, before), awaiting: until }
  }
  const word = verdict ?? seen.queue?.verdict ?? null
  const concluded = conclude(before, word, exit?.code ?? null, accounted, seen.queue, silent)
  // The scheduler only saw it end; where it knows a graver reason (memory, node, a cancellation) that one holds.
  const seesOnlyTheEnd = word === null || word === 'completed' || word === 'exit'
  return exit?.ended !== undefined && seesOnlyTheEnd && concluded.state !== 'canceled'
    ? (endedByItself(exit.ended, exit.code) ?? concluded)
    : concluded
}

/** null: what it says is no reason for an end. */
function endedByItself(ended: Ended, code: number): Conclusion | null {
  if (ended.kind === 'reached') return null
  if (ended.kind === 'signaled')
    return code === 0
      ? null
      : failed('timeout', `exit code ${code} after ${ended.signal}, which said that its time limit was near`, code)
  return ended.kind === 'stalled'
    ? failed('stalled', `it wrote nothing for ${formatSeconds(ended.seconds)} and was ended (\`stall_timeout\`)`, code)
    : failed('fail_on', `its output has a line that \`fail_on\` names (${ended.pattern}): ${ended.line}`, code)
}

function formatSeconds(seconds: number): string {
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`
}

function underWay(row: QueueRow, options: NextStateOptions): Conclusion {
  const message = row.reason === null ? null : options.inWords(row.reason)
  const base = { reason: null, misses: 0, awaiting: null, exitCode: null }
  switch (row.state) {
    case 'queued':
    case 'held':
      return { ...base, state: 'queued', message }
    case 'suspended':
      return { ...base, state: 'suspended', message: message ?? 'suspended by the scheduler' }
    default:
      return { ...base, state: 'running', message: null }
  }
}

function known(state: JobState, message: string | null, before: Before): Conclusion {
  return { state, reason: null, message, misses: 0, awaiting: before.awaiting, exitCode: null }
}

function missed(before: Before, state: JobState, options: NextStateOptions): Conclusion {
  const misses = before.misses + 1
  const since = before.missedSince ?? options.now
  const silentFor = (options.now.getTime() - since.getTime()) / 1000
  if (misses >= 2 && silentFor > options.facts.remembers) {
    if (before.cancelRequested)
      return { state: 'canceled', reason: null, message: null, misses: 0, awaiting: null, exitCode: null }
    return failed(
      'lost',
      `neither the queue nor accounting knows ${before.nativeId} any more, and it left no exit file`,
      null,
    )
  }
  return { state, reason: null, message: null, misses, awaiting: before.awaiting, exitCode: null }
}

function conclude(
  before: Before,
  verdict: Verdict | null,
  exitFile: number | null,
  accounted: AccountingRow | null,
  row: QueueRow | null,
  silent: boolean,
): Conclusion {
  const said = accounted?.nativeState ?? row?.nativeState ?? null
  const code = exitFile ?? (verdict === 'completed' ? null : (accounted?.exitCode ?? null))
  // What we asked to be ended and was ended by a signal did what we asked, also where no scheduler says so.
  const ours = before.cancelRequested && code !== null && code > 128 && (verdict === null || verdict === 'exit')
  if (ours) return { state: 'canceled', reason: null, message: null, misses: 0, awaiting: null, exitCode: code }
  switch (verdict) {
    case null:
      // Only the exit file spoke.
      return code === 0
        ? {
            state: 'completed',
            reason: null,
            message: silent ? 'accounting did not answer; the exit code is 0' : null,
            misses: 0,
            awaiting: null,
            exitCode: 0,
          }
        : failed('exit', sayUnwritten(exitFile, code), code)
    case 'completed':
      if (exitFile === 0)
        return { state: 'completed', reason: null, message: null, misses: 0, awaiting: null, exitCode: 0 }
      if (exitFile === null)
        return failed(
          'lost',
          `the scheduler says ${said}, but the script did not come to its end: its exit file is missing`,
          null,
        )
      return failed('exit', `exit code ${exitFile}, although the scheduler says ${said}`, exitFile)
    case 'exit':
      if (exitFile === 0)
        return failed(
          'exit',
          `exit code 0, but the scheduler says ${said}${codeOf(accounted)}`,
          accounted?.exitCode ?? null,
        )
      return failed('exit', sayUnwritten(exitFile, code), code)
    case 'canceled':
      return {
        state: 'canceled',
        reason: null,
        message: before.cancelRequested ? null : `cancelled on the cluster (${said})`,
        misses: 0,
        awaiting: null,
        exitCode: exitFile,
      }
    case 'never started':
      return failed(
        'submit',
        `the scheduler gave it up before it started (${[said, row?.reason].filter(Boolean).join(', ')})`,
        null,
      )
    default:
      return failed(verdict, exitFile === 0 ? `exit code 0, but the scheduler says ${said}` : null, code)
  }
}

/** With an exit file the commands themselves may have ended with that code. */
function sayUnwritten(exitFile: number | null, code: number | null): string | null {
  if (code !== cannotWrite) return null
  const why = 'could not write to its directory on the cluster: a full disk, a quota, or a directory that is gone'
  return exitFile === null ? `it ${why}` : `exit code ${code} is that of a job which ${why}`
}

function codeOf(row: AccountingRow | null): string {
  return row?.exitCode === null || row?.exitCode === undefined ? '' : ` with exit code ${row.exitCode}`
}

function failed(reason: FailureReason, message: string | null, exitCode: number | null): Conclusion {
  return { state: 'failed', reason, message, misses: 0, awaiting: null, exitCode }
}
