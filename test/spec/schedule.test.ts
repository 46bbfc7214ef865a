import { expect, test } from 'vitest'
import { nextTick, readSpec } from '../../src/spec/index.ts'
import { contextWith, sentences } from '../support/spec-context.ts'

const read = (schedule: string) => readSpec(`schedule: ${schedule}\njobs: { a: { script: x } }`, contextWith())

test('a schedule has a cron, and a time zone that is UTC where it says none', () => {
  const spec = (schedule: string) => {
    const result = read(schedule)
    return 'spec' in result ? result.spec.schedule : sentences(result)
  }
  expect(spec('{ cron: "0 3 * * *", timezone: Europe/Berlin }')).toEqual({
    cron: '0 3 * * *',
    timezone: 'Europe/Berlin',
  })
  expect(spec('{ cron: "@daily", branches: [calc/nightly] }')).toEqual({
    cron: '@daily',
    timezone: 'UTC',
    branches: ['calc/nightly'],
  })
})

test('its times are those of the time zone, through summer time', () => {
  const berlin = { cron: '30 2 * * *', timezone: 'Europe/Berlin' }
  const from = (time: string) => nextTick(berlin, new Date(time))?.toISOString()
  expect(from('2026-03-27T12:00:00Z')).toBe('2026-03-28T01:30:00.000Z')
  expect(from('2026-03-29T12:00:00Z')).toBe('2026-03-30T00:30:00.000Z')
})

test.each<[string, string]>([
  [
    '{ cron: "0 3 * *" }',
    '1: `0 3 * *` has not five fields. Write minute, hour, day, month and day of the week: `0 3 * * 1-5`.',
  ],
  [
    '{ cron: "0 25 * * *" }',
    '1: `0 25 * * *` cannot be read. Write minute, hour, day, month and day of the week: `0 3 * * 1-5`.',
  ],
  ['{ cron: "* * * * *" }', '1: `* * * * *` is more often than every 5 minutes. Write for example `*/5 * * * *`.'],
  [
    '{ cron: "0 0 30 2 *" }',
    '1: `0 0 30 2 *` is never. Write minute, hour, day, month and day of the week: `0 3 * * 1-5`.',
  ],
  [
    '{ cron: "0 3 * * *", timezone: Europe/Berln }',
    '1: There is no time zone `Europe/Berln`. Write its name, for example `Europe/Berlin`.',
  ],
  [
    '{ timezone: Europe/Berlin }',
    '1: `schedule` has no `cron`. Write `schedule: { cron: "0 3 * * *", timezone: Europe/Berlin }`.',
  ],
  ['{ cron: "0 3 * * *", time_zone: UTC }', '1: `time_zone` is not a key of `schedule`. Did you mean `timezone`?'],
])('%s', (schedule, sentence) => {
  expect(sentences(read(schedule))).toContain(sentence)
})
