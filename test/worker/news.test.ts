import { describe, expect, test } from 'vitest'
import type { JobState } from '../../src/model/job-state.ts'
import { createNews } from '../../src/worker/news.ts'

function begin(rate: number | null = 0.2) {
  let now = 0
  const news = createNews({ now: () => now, gap: 1_000, rate })
  return {
    news,
    pass: (seconds: number) => {
      now += seconds * 1000
    },
    looked: (states: Record<string, JobState>, commands = 1) => news.looked(new Map(Object.entries(states)), commands),
    heard: (kind: 'start' | 'end' | 'progress', attemptId: string) =>
      news.heard([{ kind, attemptId, task: 0, text: '' }]),
  }
}

describe('after news', () => {
  test('a round may come after a second; what it did not see is looked for at growing distance, a few times', () => {
    const { news, heard, looked } = begin()
    expect(news.sooner()).toEqual({ notBefore: 1_000, due: null })
    heard('end', 'a')
    const due: (number | null | undefined)[] = []
    for (let n = 0; n < 6; n++) {
      looked({ a: 'running' })
      due.push(news.sooner()?.due)
    }
    expect(due).toEqual([1_000, 2_000, 4_000, 8_000, null, null])
  })

  test.each([
    ['start', 'running', true],
    ['start', 'completed', true],
    ['start', 'queued', false],
    ['end', 'running', false],
    ['end', 'failed', true],
  ] as const)('of its %s, %s settles it: %s', (kind, state, settled) => {
    const { news, heard, looked } = begin()
    heard(kind, 'a')
    looked({ a: state })
    expect(news.sooner()?.due).toBe(settled ? null : 1_000)
  })

  test('of a job that the round does not watch yet it is looked for as well; a start behind an end changes nothing', () => {
    const { news, heard, looked } = begin()
    heard('end', 'a')
    heard('start', 'a')
    heard('progress', 'b')
    looked({})
    expect(news.sooner()?.due).toBe(1_000)
    looked({ a: 'running' })
    expect(news.sooner()?.due).toBe(2_000)
    looked({ a: 'completed' })
    expect(news.sooner()?.due).toBeNull()
  })

  test('in the long run no more than the rate is asked, whatever comes: 120 commands in ten minutes, and what the bucket held', () => {
    const { news, heard, looked, pass } = begin()
    let commands = 0
    for (let second = 0; second < 6_000; second++) {
      heard('end', `${second}`)
      if (news.sooner() !== null) {
        looked({ [second]: 'completed' }, 2)
        commands += 2
      }
      pass(1)
    }
    expect(commands).toBeLessThanOrEqual(0.2 * 6_000 + 42)
    expect(commands).toBeGreaterThan(0.2 * 6_000 - 42)
  })

  test('rounds that would come anyway take from it too', () => {
    const { news, looked, pass } = begin()
    for (let n = 0; n < 100; n++) {
      looked({}, 2)
      pass(5)
    }
    expect(news.sooner()).toBeNull()
    pass(60)
    expect(news.sooner()).not.toBeNull()
  })
})
