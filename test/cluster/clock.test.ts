import { describe, expect, it } from 'vitest'
import { clockAhead, onOurClock } from '../../src/cluster/clock.ts'
import { inQueue } from '../support/rows.ts'

describe("the cluster's clock", () => {
  const hour = 3_600_000
  const asked = Date.UTC(2026, 10, 20, 12, 0, 0, 500)
  it.each([
    ['that fits between our question and its answer is right', 2_000, 0, 0],
    ['is read in whole seconds: the second of the question is right', 100, -500, 0],
    ['an hour ahead', 300, hour, hour - 300],
    ['an hour behind', 300, -hour, -hour + 999],
    ['of an answer that took half a minute is as sure as that', 30_000, 20_000, 0],
  ])('%s', (_, took, difference, ahead) => {
    const [cluster, ours, answered] = [asked + difference, asked, asked + took].map(at => new Date(at))
    expect(clockAhead(cluster!, ours!, answered!)).toBe(ahead)
  })

  it('is turned into ours, in every source', () => {
    const at = new Date(asked)
    const seen = {
      ...inQueue({ submittedAt: at, startAt: at, endAt: null }),
      exit: { nativeId: '1', restarts: 0, code: 0, at },
      started: { nativeId: '1', at },
    }
    const before = new Date(asked - hour)
    expect(onOurClock(seen, hour)).toMatchObject({
      queue: { submittedAt: before, startAt: before, endAt: null },
      exit: { code: 0, at: before },
      started: { nativeId: '1', at: before },
    })
    expect(onOurClock(seen, 0)).toBe(seen)
  })
})
