import { describe, expect, test } from 'vitest'
import { formatWalltime, parseWalltime } from '../../src/model/walltime.ts'

describe('a wall time', () => {
  test.each([
    ['90m', 5_400],
    ['1h30m', 5_400],
    ['1h 30m', 5_400],
    ['2d', 172_800],
    ['45s', 45],
    ['1d2h3m4s', 93_784],
    ['00:30:00', 1_800],
    ['4:00:00', 14_400],
    ['100:00:00', 360_000],
    ['1-02:03:04', 93_784],
  ])('%s is %i seconds', (text, seconds) => {
    expect(parseWalltime(text)).toEqual({ ok: true, value: seconds })
  })

  test.each<[unknown, string]>([
    [30, '30 has no unit. Write `30m` for minutes, `30s` for seconds, or "hh:mm:ss" in quotes.'],
    ['30', '30 has no unit. Write `30m` for minutes, `30s` for seconds, or "hh:mm:ss" in quotes.'],
    [-5, 'A number without a unit is not a time. Write for example `90m`, `2h` or "02:00:00".'],
    [true, 'A time is a text with units. Write for example `90m`, `2h` or "02:00:00".'],
    ['', 'This is not a time. Write for example `90m`, `1h30m`, `2d` or "02:00:00"; the units are d, h, m and s.'],
    [
      '2 weeks',
      'This is not a time. Write for example `90m`, `1h30m`, `2d` or "02:00:00"; the units are d, h, m and s.',
    ],
    [
      '4:30',
      'This could be hours and minutes or minutes and seconds. Write "04:30:00" or `4h30m` for the first, "00:04:30" or `4m30s` for the second.',
    ],
    [
      '01:75:00',
      'Minutes and seconds go to 59, hours beside days to 23. Write for example "01:30:00", "1-12:00:00" or `90m`.',
    ],
    [
      '1-30:00:00',
      'Minutes and seconds go to 59, hours beside days to 23. Write for example "01:30:00", "1-12:00:00" or `90m`.',
    ],
    ['1-12', 'This is not a time. Write for example `90m`, `1h30m`, `2d` or "02:00:00"; the units are d, h, m and s.'],
    ['0m', 'A time limit of 0 ends a job before it starts. Write how long the job may run, for example `30m`.'],
    ['999999h', 'This is longer than ten years. Write how long the job may run, for example `2d`.'],
  ])('%j is refused with the fix', (value, sentence) => {
    const parsed = parseWalltime(value)
    expect(parsed.ok ? parsed.value : `${parsed.message} ${parsed.remedy}`).toBe(sentence)
  })

  test('an unquoted time with colons is refused although YAML 1.2 would read it', () => {
    expect(parseWalltime('00:30:00', false)).toEqual({
      ok: false,
      message: 'An unquoted time with colons is a number to some YAML readers.',
      remedy: 'Write "00:30:00" in quotes, or `30m`.',
    })
    expect(parseWalltime('30m', false)).toEqual({ ok: true, value: 1_800 })
    expect(parseWalltime('1-00:00:00', false)).toEqual({ ok: true, value: 86_400 })
  })
})

test.each([
  [0, '0 s', '00:00:00', '0s'],
  [45, '45 s', '00:00:45', '45s'],
  [130, '2 m 10 s', '00:02:10', '2m10s'],
  [3_840, '1 h 04 m', '01:04:00', '1h4m'],
  [3_601, '1 h', '01:00:01', '1h1s'],
  [7_200, '2 h', '02:00:00', '2h'],
  [93_784, '1 d 2 h', '1-02:03:04', '1d2h3m4s'],
  [172_800, '2 d', '2-00:00:00', '2d'],
])('%i seconds read %s, for Slurm %s, in the file %s', (seconds, people, slurm, units) => {
  expect(formatWalltime(seconds)).toBe(people)
  expect(formatWalltime(seconds, 'slurm')).toBe(slurm)
  expect(formatWalltime(seconds, 'units')).toBe(units)
})
