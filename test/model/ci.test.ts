import { describe, expect, it } from 'vitest'
import { ciJobOfRef, ciRef, type JobEnd, verdictOf } from '../../src/model/ci.ts'

const job = (more: Partial<JobEnd>): JobEnd => ({
  name: 'solve',
  state: 'completed',
  reason: null,
  message: null,
  exitCode: 0,
  ...more,
})

describe('the verdict for a CI job', () => {
  it.each<[string, Partial<JobEnd>[], number | null]>([
    ['is 0 where all jobs have completed', [{}, {}], 0],
    ['is the exit code of a job that failed', [{}, { state: 'failed', reason: 'exit', exitCode: 7 }], 7],
    ['is never 0 for a failure', [{ state: 'failed', reason: 'fail_on', exitCode: 0 }], 1],
    ['is 1 where there was no exit code', [{ state: 'failed', reason: 'submit', exitCode: null }], 1],
    ['is 124 for a time limit', [{ state: 'failed', reason: 'timeout', exitCode: 143 }], 124],
    ['is 75 where the cluster did not run it', [{ state: 'failed', reason: 'node', exitCode: null }], 75],
    ['is 130 for a cancelled job', [{ state: 'canceled', exitCode: null }], 130],
    ['is 77 for one that was skipped', [{}, { state: 'skipped', exitCode: null }], 77],
    [
      'is a failure before a cancellation',
      [{ state: 'canceled' }, { state: 'failed', reason: 'exit', exitCode: 3 }],
      3,
    ],
    ['is open while one is under way', [{ state: 'failed', reason: 'exit', exitCode: 3 }, { state: 'queued' }], null],
    ['is no success without a job', [], 1],
  ])('%s', (_, jobs, code) => {
    expect(verdictOf(jobs.map(job)).code).toBe(code)
  })

  it('stands beside the branches, under the name of the CI job', () => {
    expect(ciJobOfRef(ciRef(12, 'solve: [1/2]'))).toBe('solve: [1/2]')
    expect(ciJobOfRef('refs/heads/ci/12/solve')).toBeNull()
  })
})
