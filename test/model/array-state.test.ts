import { describe, expect, it } from 'vitest'
import { arrayState, type TaskTally } from '../../src/model/array-state.ts'
import type { FailureReason, JobState } from '../../src/model/job-state.ts'

/** `3 failed memory 137`: count, state, reason, exit code. */
function tallies(text: string): TaskTally[] {
  return text.split(', ').map(part => {
    const [count, state, reason, exitCode] = part.split(' ')
    return {
      count: Number(count),
      state: state as JobState,
      reason: (reason as FailureReason | undefined) ?? null,
      exitCode: exitCode === undefined ? null : Number(exitCode),
    }
  })
}

describe('an array comes to', () => {
  it.each([
    ['10 waiting', 'waiting', null, null, null],
    ['10 submitting', 'submitting', null, null, null],
    ['4 queued, 6 waiting', 'queued', null, null, null],
    ['9 queued, 1 running', 'running', null, null, null],
    ['9 queued, 1 completed', 'running', null, '1 of 10 tasks done', null],
    ['6 waiting, 4 completed', 'running', null, '4 of 10 tasks done', null],
    ['1 suspended, 9 queued', 'suspended', null, null, null],
    ['1 suspended, 1 running, 8 completed', 'running', null, '8 of 10 tasks done', null],
    ['5 running, 3 completed, 2 failed exit 3', 'running', null, '3 of 10 tasks done, 2 failed', null],
    ['10 completed', 'completed', null, null, 0],
    ['7 completed, 3 failed memory 137', 'failed', 'memory', '3 of 10 tasks out of memory', 137],
    ['9 completed, 1 failed exit 3', 'failed', 'exit', '1 of 10 tasks failed: exit 3', 3],
    [
      '7 completed, 2 failed memory 137, 1 failed exit 3',
      'failed',
      'memory',
      '3 of 10 tasks failed: 2 out of memory, 1 exit 3',
      null,
    ],
    ['8 completed, 2 failed timeout', 'failed', 'timeout', '2 of 10 tasks failed: time limit', null],
    // The code's own failure counts more than the cluster's, however many those are.
    [
      '1 completed, 8 failed node, 1 failed exit 1',
      'failed',
      'exit',
      '9 of 10 tasks failed: 8 node failure, 1 exit 1',
      null,
    ],
    ['2 completed, 8 failed node', 'failed', 'node', '8 of 10 tasks failed: node failure', null],
    // What is lost may still be somewhere: one of them is enough.
    [
      '4 completed, 5 failed node, 1 failed lost',
      'failed',
      'lost',
      '6 of 10 tasks failed: 5 node failure, 1 lost',
      null,
    ],
    ['10 failed submit', 'failed', 'submit', '10 of 10 tasks failed: not accepted', null],
    ['8 completed, 2 canceled', 'canceled', null, '2 of 10 tasks canceled, 8 completed', null],
    ['7 completed, 2 canceled, 1 failed exit 1', 'failed', 'exit', '1 of 10 tasks failed: exit 1', 1],
    ['10 canceled', 'canceled', null, '10 of 10 tasks canceled', null],
  ] as const)('%s: %s', (tasks, state, reason, message, exitCode) => {
    expect(arrayState(tallies(tasks))).toEqual({ state, reason, message, exitCode })
  })

  it('is canceled when its end was asked for, also where some had failed before', () => {
    const after = arrayState(tallies('7 completed, 2 canceled, 1 failed exit 1'), { ending: true })
    expect(after).toMatchObject({ state: 'canceled', message: '2 of 10 tasks canceled, 7 completed, 1 failed' })
  })

  it('keeps its end when all had ended before the cancellation came', () => {
    expect(arrayState(tallies('10 completed'), { ending: true }).state).toBe('completed')
    expect(arrayState(tallies('9 completed, 1 failed exit 2'), { ending: true }).state).toBe('failed')
  })
})
