import { describe, expect, test } from 'vitest'
import { createRateLimits, pauseAfterAnswer, pauseAfterRefusal } from '../../src/gitlab/rate-limit.ts'
import { createTime } from './support.ts'

const now = Date.UTC(2026, 10, 20, 12)
const unix = now / 1000

test.each([
  [{ 'retry-after': '30' }, 30_000],
  [{ 'retry-after': '0' }, 1_000],
  [{ 'retry-after': '999999999' }, 3_600_000],
  [{ 'retry-after': 'Fri, 20 Nov 2026 12:01:00 GMT' }, 60_000],
  // GitLab's clock is an hour ahead of ours: its own Date is the measure.
  [{ 'retry-after': 'Fri, 20 Nov 2026 13:01:00 GMT', date: 'Fri, 20 Nov 2026 13:00:00 GMT' }, 60_000],
  [{ 'ratelimit-reset': `${unix + 45}` }, 45_000],
  [{ 'ratelimit-reset': `${unix + 3645}`, date: 'Fri, 20 Nov 2026 13:00:00 GMT' }, 45_000],
  [{ 'ratelimit-reset': `${unix - 5}` }, 1_000],
  [{ 'retry-after': 'soon' }, null],
  [{}, null],
])('after a 429 with %j: %s ms', (headers, pause) => {
  expect(pauseAfterRefusal(new Headers(headers as Record<string, string>), now)).toEqual(pause)
})

test.each([
  [{ 'ratelimit-remaining': '0', 'ratelimit-reset': `${unix + 7}` }, 7_000],
  [{ 'ratelimit-remaining': '1', 'ratelimit-reset': `${unix + 7}` }, null],
  [{ 'ratelimit-remaining': '0' }, null],
])('after an answer with %j: %s ms', (headers, pause) => {
  expect(pauseAfterAnswer(new Headers(headers as Record<string, string>), now)).toBe(pause)
})

describe('pauses', () => {
  test('headers stop every call, their absence only the call that was refused, for longer each time', () => {
    const time = createTime()
    const limits = createRateLimits(time.now, () => 0)
    expect([1, 2, 3, 4, 5].map(() => limits.refused('POST notes', new Headers()))).toEqual([
      10_000, 20_000, 40_000, 60_000, 60_000,
    ])
    expect(limits.wait('POST notes')).toBe(60_000)
    expect(limits.wait('GET user')).toBe(0)

    limits.refused('GET user', new Headers({ 'retry-after': '90' }))
    expect(limits.wait('GET projects')).toBe(90_000)
    time.pass(90_000)
    expect(limits.wait('POST notes')).toBe(0)

    limits.answered('POST notes', new Headers())
    expect(limits.refused('POST notes', new Headers())).toBe(10_000)
  })
})
