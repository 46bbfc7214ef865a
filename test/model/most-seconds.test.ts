import { expect, test } from 'vitest'
import type { JobSpec } from '../../src/model/job-spec.ts'
import { mostSeconds } from '../../src/model/most-seconds.ts'

const hours = (spec: Omit<Parameters<typeof mostSeconds>[0], 'resources'>) => {
  const seconds = mostSeconds({ resources: { time: 3600 }, ...spec })
  return seconds === undefined ? undefined : seconds / 3600
}
const rules = (list: NonNullable<JobSpec['retry']>['rules']) => ({ retry: { total: null, rules: list } })
const checkpoint = { signal: 'USR1', lead: 300, restarts: 10 } as const

test.each<[string, Omit<Parameters<typeof mostSeconds>[0], 'resources'>, number]>([
  ['a job that runs once', {}, 1],
  ['each reason by itself', rules({ node: { times: 2 }, exit: { times: 1 } }), 4],
  ['limits that are doubled', rules({ timeout: { times: 2 } }), 1 + 2 + 4],
  ['limits that are doubled up to the most', rules({ timeout: { times: 9, factor: 2, max: 3 * 3600 } }), 1 + 2 + 3],
  ['a node that fails at the longest limit', rules({ timeout: { times: 1 }, node: { times: 1 } }), 1 + 2 + 2],
  ['two retries for all reasons', { retry: { total: 2, rules: { exit: { times: 2 }, timeout: { times: 2 } } } }, 7],
  ['restarts from a checkpoint', { checkpoint }, 11],
  ['as many of them as `timeout` says', { checkpoint, ...rules({ timeout: { times: 3 } }) }, 4],
  ['segments', { chain: { segments: 10, until: 'converged' } }, 10],
  [
    'segments, and one that is tried again',
    { chain: { segments: 10, until: null }, ...rules({ node: { times: 1 } }) },
    11,
  ],
])('%s', (_, spec, expected) => {
  expect(hours(spec)).toBe(expected)
})

test('is not known without a time limit', () => {
  expect(mostSeconds({ resources: {} })).toBeUndefined()
})
