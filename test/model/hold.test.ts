import { describe, expect, test } from 'vitest'
import { describeHold, readMoment } from '../../src/model/hold.ts'

describe('when a hold ends', () => {
  const now = new Date('2026-10-24T15:00:00Z')
  test.each<[string, string, string | null]>([
    ['90m', 'UTC', '2026-10-24T16:30:00.000Z'],
    ['3d', 'UTC', '2026-10-27T15:00:00.000Z'],
    ['18:00', 'UTC', '2026-10-24T18:00:00.000Z'],
    // Gone by today: tomorrow's.
    ['08:00', 'UTC', '2026-10-25T08:00:00.000Z'],
    ['18:00', 'Europe/Berlin', '2026-10-24T16:00:00.000Z'],
    // The clocks go back in the night between.
    ['08:00', 'Europe/Berlin', '2026-10-25T07:00:00.000Z'],
    ['2026-12-01 08:00', 'Europe/Berlin', '2026-12-01T07:00:00.000Z'],
    ['2026-12-01T08:00Z', 'Europe/Berlin', '2026-12-01T08:00:00.000Z'],
    ['2025-12-01 08:00', 'UTC', null],
    ['tomorrow', 'UTC', null],
    ['0m', 'UTC', null],
    ['25:00', 'UTC', null],
  ])('%s in %s', (text, timeZone, expected) => {
    expect(readMoment(text, now, timeZone)?.toISOString() ?? null).toBe(expected)
  })
})

test('in words', () => {
  const hold = {
    cluster: 'falcon',
    mode: 'pause',
    reason: 'disks',
    by: 'root',
    since: new Date(),
    until: null,
  } as const
  expect(describeHold(hold)).toBe('falcon is paused by root: disks')
  expect(describeHold({ ...hold, mode: 'drain', reason: null, until: new Date('2026-12-01T08:00:00Z') })).toBe(
    'falcon is drained by root until 2026-12-01 08:00 UTC',
  )
})
