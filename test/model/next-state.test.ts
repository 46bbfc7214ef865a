import { describe, expect, it } from 'vitest'
import { type Before, nextState } from '../../src/model/next-state.ts'
import type { AccountingRow, ExitRecord, QueueRow, Seen, Verdict } from '../../src/model/observation.ts'

const now = new Date('2026-11-20T12:00:00Z')
const facts = {
  version: 'slurm 22.05.8',
  accounting: true,
  remembers: 300,
  nativeDependencies: true,
  maxArraySize: 1001,
}
const before: Before = {
  state: 'running',
  nativeId: '4711',
  restarts: 0,
  misses: 0,
  missedSince: null,
  awaiting: null,
  cancelRequested: false,
}
const options = { facts, now, accountingWait: 60_000, inWords: (r: string) => `because ${r}` }

const nothing: Seen = { queue: null, accounting: null, exit: null, started: null }

function row(state: QueueRow['state'], more: Partial<QueueRow> = {}): QueueRow {
  return {
    nativeId: '4711',
    tasks: null,
    name: 'compops-x',
    state,
    nativeState: state.toUpperCase(),
    verdict: null,
    reason: null,
    queue: 'main',
    submittedAt: null,
    startAt: null,
    endAt: null,
    nodes: [],
    restarts: 0,
    ...more,
  }
}

function accounted(verdict: Verdict | null, more: Partial<AccountingRow> = {}): AccountingRow {
  return {
    nativeId: '4711',
    tasks: null,
    name: 'compops-x',
    nativeState: (verdict ?? 'running').toUpperCase(),
    verdict,
    exitCode: verdict === 'completed' ? 0 : null,
    signal: null,
    queue: 'main',
    account: null,
    submittedAt: null,
    startedAt: now,
    endedAt: verdict === null ? null : now,
    nodes: [],
    cpus: 1,
    cpuSeconds: 1,
    elapsedSeconds: 1,
    maxRss: null,
    requestedTres: null,
    allocatedTres: null,
    ...more,
  }
}

const exit = (code: number, restarts = 0): ExitRecord => ({ nativeId: '4711', restarts, code, at: now })

describe('nextState, while it is under way', () => {
  const table: [string, Partial<Seen>, string, string | null][] = [
    [
      'queued, with the reason in words',
      { queue: row('queued', { reason: 'Resources' }) },
      'queued',
      'because Resources',
    ],
    ['running', { queue: row('running') }, 'running', null],
    ['suspended', { queue: row('suspended') }, 'suspended', 'suspended by the scheduler'],
    ['completing, no exit file yet', { queue: row('completing') }, 'running', null],
    [
      'requeued: an exit file of the earlier start says nothing',
      { queue: row('queued', { restarts: 1 }), exit: exit(1, 0) },
      'queued',
      null,
    ],
    [
      'another copy passed the fence: what became of the one we knew says nothing',
      {
        started: { nativeId: '4712', at: now },
        queue: row('ended', { verdict: 'exit' }),
        accounting: accounted('exit'),
      },
      'running',
      null,
    ],
  ]
  it.each(table)('%s', (_, seen, state, message) => {
    expect(nextState(before, { ...nothing, ...seen }, options)).toMatchObject({
      state,
      message,
      reason: null,
      misses: 0,
    })
  })
})

describe('nextState, at the end', () => {
  const table: [string, Partial<Seen>, object][] = [
    [
      'code 0 and accounting agrees',
      { exit: exit(0), accounting: accounted('completed') },
      { state: 'completed', exitCode: 0, message: null },
    ],
    [
      'code 3 and accounting agrees',
      { exit: exit(3), accounting: accounted('exit', { exitCode: 3 }) },
      { state: 'failed', reason: 'exit', exitCode: 3 },
    ],
    [
      'code 0, but out of memory',
      { exit: exit(0), accounting: accounted('memory', { nativeState: 'OUT_OF_MEMORY' }) },
      { state: 'failed', reason: 'memory', message: 'exit code 0, but the scheduler says OUT_OF_MEMORY' },
    ],
    [
      'code 3, although COMPLETED',
      { exit: exit(3), accounting: accounted('completed') },
      { state: 'failed', reason: 'exit', exitCode: 3, message: 'exit code 3, although the scheduler says COMPLETED' },
    ],
    [
      'time limit',
      { exit: exit(143), accounting: accounted('timeout') },
      { state: 'failed', reason: 'timeout', exitCode: 143 },
    ],
    ['node failure, no exit file', { accounting: accounted('node') }, { state: 'failed', reason: 'node' }],
    [
      'cancelled by somebody',
      { accounting: accounted('canceled', { nativeState: 'CANCELLED by 1001' }) },
      { state: 'canceled', message: 'cancelled on the cluster (CANCELLED by 1001)' },
    ],
    [
      'given up before it started',
      {
        accounting: accounted('never started', { nativeState: 'FAILED' }),
        queue: row('ended', { reason: 'BadConstraints' }),
      },
      {
        state: 'failed',
        reason: 'submit',
        message: 'the scheduler gave it up before it started (FAILED, BadConstraints)',
      },
    ],
    [
      'it came to its end after an earlier try that never started: the last record is not written yet',
      { exit: exit(0), accounting: accounted('never started', { nativeState: 'failed 28' }) },
      { state: 'running', awaiting: expect.any(Date) },
    ],
    [
      'without accounting the queue says why',
      { exit: exit(0), accounting: 'off', queue: row('ended', { verdict: 'memory', nativeState: 'OUT_OF_MEMORY' }) },
      { state: 'failed', reason: 'memory' },
    ],
    [
      'code 74 and no exit file: it could not write its own files',
      { accounting: accounted('exit', { exitCode: 74 }) },
      { state: 'failed', reason: 'exit', exitCode: 74, message: expect.stringMatching(/^it could not write/) },
    ],
    ['without accounting the exit file is enough', { exit: exit(0), accounting: 'off' }, { state: 'completed' }],
  ]
  it.each(table)('%s', (_, seen, expected) => {
    expect(nextState(before, { ...nothing, ...seen }, options)).toMatchObject({ awaiting: null, ...expected })
  })

  it('is canceled when we asked for it and a signal ended it, but not when it had ended by itself', () => {
    const asked = { ...before, cancelRequested: true }
    const ended = (code: number) => nextState(asked, { ...nothing, exit: exit(code), accounting: 'off' }, options)
    expect(ended(143)).toMatchObject({ state: 'canceled', exitCode: 143 })
    expect(ended(0)).toMatchObject({ state: 'completed' })
    expect(ended(3)).toMatchObject({ state: 'failed', reason: 'exit' })
  })

  it('waits for accounting to say why, up to a minute', () => {
    const first = nextState(before, { ...nothing, exit: exit(0) }, options)
    expect(first).toMatchObject({ state: 'running', awaiting: new Date('2026-11-20T12:01:00Z') })
    const later = nextState(
      { ...before, awaiting: first.awaiting },
      { ...nothing, exit: exit(0) },
      { ...options, now: new Date('2026-11-20T12:01:01Z') },
    )
    expect(later).toMatchObject({ state: 'completed', message: 'accounting did not answer; the exit code is 0' })
  })

  it('never takes COMPLETED for success without the exit file of the script', () => {
    const late = { ...before, awaiting: new Date('2026-11-20T11:59:00Z') }
    expect(nextState(late, { ...nothing, accounting: accounted('completed') }, options)).toMatchObject({
      state: 'failed',
      reason: 'lost',
    })
  })
})

describe('nextState, when no source knows it', () => {
  it('keeps running for a while what accounting alone says to run, then is lost', () => {
    const seen = { ...nothing, accounting: accounted(null) }
    expect(nextState(before, seen, options)).toMatchObject({ state: 'running', misses: 1 })
    const since = new Date('2026-11-20T11:54:00Z')
    expect(nextState({ ...before, misses: 1, missedSince: since }, seen, options)).toMatchObject({
      state: 'failed',
      reason: 'lost',
    })
  })
  it('is canceled when we had asked for that', () => {
    const since = new Date('2026-11-20T11:54:00Z')
    expect(
      nextState({ ...before, cancelRequested: true, misses: 1, missedSince: since }, nothing, options),
    ).toMatchObject({ state: 'canceled' })
  })
  it('counts a miss and changes nothing', () => {
    expect(nextState(before, nothing, options)).toMatchObject({ state: 'running', misses: 1, reason: null })
  })
  it('is lost after two misses over more than the queue remembers, never completed', () => {
    const since = new Date('2026-11-20T11:54:00Z')
    expect(nextState({ ...before, misses: 1, missedSince: since }, nothing, options)).toMatchObject({
      state: 'failed',
      reason: 'lost',
    })
    expect(
      nextState({ ...before, misses: 1, missedSince: new Date('2026-11-20T11:58:00Z') }, nothing, options),
    ).toMatchObject({ state: 'running', misses: 2 })
  })
})

describe('nextState, of a job that the wrapper ended', () => {
  const exit = (ended: ExitRecord['ended'], code = 143): Seen => ({
    ...nothing,
    exit: { nativeId: '4711', restarts: 0, code, at: now, ...(ended === undefined ? {} : { ended }) },
  })
  const matched = { kind: 'matched', pattern: 'NaN', line: 'residual NaN' } as const

  it('is failed for that reason, with the line and the pattern, whatever its code', () => {
    const seen = { ...exit(matched, 0), accounting: accounted('exit') }
    expect(nextState(before, seen, options)).toMatchObject({
      state: 'failed',
      reason: 'fail_on',
      message: 'its output has a line that `fail_on` names (NaN): residual NaN',
      exitCode: 0,
    })
  })
  it('is stalled, and for how long', () => {
    const seen = { ...exit({ kind: 'stalled', seconds: 1800 }), accounting: accounted('completed') }
    expect(nextState(before, seen, options)).toMatchObject({
      state: 'failed',
      reason: 'stalled',
      message: 'it wrote nothing for 30 min and was ended (`stall_timeout`)',
    })
  })
  it.each(['memory', 'timeout', 'node', 'preempted'] as const)('is %s where the scheduler knows that', verdict => {
    const seen = { ...exit(matched), accounting: accounted(verdict) }
    expect(nextState(before, seen, options)).toMatchObject({ state: 'failed', reason: verdict })
  })
  it('is canceled where that was asked for', () => {
    const seen = { ...exit(matched), accounting: accounted('canceled') }
    expect(nextState({ ...before, cancelRequested: true }, seen, options)).toMatchObject({ state: 'canceled' })
  })
})
