import { describe, expect, test } from 'vitest'
import { createPace } from '../../src/auth/pace.ts'

describe('how fast a person may ask', () => {
  test('a burst at once, then evenly; each person for themselves', () => {
    let at = 0
    const pace = createPace(() => at, { burst: 3, perSecond: 2 })
    expect([1, 2, 3, 4].map(() => pace.take(7).wait)).toEqual([0, 0, 0, 1])
    expect(pace.take(8)).toEqual({ wait: 0, left: 2 })
    at += 500
    expect(pace.take(7).wait).toBe(0)
    expect(pace.take(7).wait).toBe(1)
    // Whoever pauses has the whole burst again, and no more.
    at += 3_600_000
    expect([1, 2, 3, 4].map(() => pace.take(7).wait)).toEqual([0, 0, 0, 1])
  })

  test('asking in vain costs nothing, and a clock that is put back locks nobody out', () => {
    let at = 10_000
    const pace = createPace(() => at, { burst: 1, perSecond: 1 })
    pace.take(7)
    for (let i = 0; i < 100; i++) expect(pace.take(7).wait).toBe(1)
    at -= 5_000
    expect(pace.take(7).wait).toBe(1)
    at += 1_000
    expect(pace.take(7).wait).toBe(0)
  })
})
