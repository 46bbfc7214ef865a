import { expect, test } from 'vitest'
import {
  formatCoreHours,
  formatDuration,
  formatNumber,
  formatPercent,
  formatSize,
  formatTime,
  secondsBetween,
} from '../../src/render/amounts.ts'

test.each([
  [0, '0 s'],
  [0.4, '0 s'],
  [12, '12 s'],
  [59.6, '1 m'],
  [130, '2 m 10 s'],
  [180, '3 m'],
  [121, '2 m 01 s'],
  [3600, '1 h'],
  [3840, '1 h 04 m'],
  [3599.7, '1 h'],
  [14_400, '4 h'],
  [86_399, '1 d'],
  [86_400 * 2 + 3 * 3600, '2 d 03 h'],
  [-5, '0 s'],
  [Number.NaN, 'unknown'],
])('%d s is %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text)
})

test.each([
  [0, '0 B'],
  [512, '512 B'],
  [1023, '1023 B'],
  [1024, '1 K'],
  [1536, '1.5 K'],
  [1024 * 1024 - 1, '1 M'],
  [2.1 * 1024 ** 3, '2.1 G'],
  [16 * 1024 ** 3, '16 G'],
  [9.96 * 1024 ** 2, '10 M'],
  [3 * 1024 ** 6, '3072 P'],
  [-1, 'unknown'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text)
})

test.each([
  [0, '0 %'],
  [0.31, '31 %'],
  [0.004, '0.4 %'],
  [0.097, '9.7 %'],
  [1, '100 %'],
  [3, '300 %'],
  [Number.POSITIVE_INFINITY, 'unknown'],
])('%d is %s', (ratio, text) => {
  expect(formatPercent(ratio)).toBe(text)
})

test.each([
  [180, '0.05 core-h'],
  [3600, '1 core-h'],
  [4.2 * 3600, '4.2 core-h'],
  [42 * 3600, '42 core-h'],
  [1300 * 3600, '1,300 core-h'],
])('%d core seconds are %s', (seconds, text) => {
  expect(formatCoreHours(seconds)).toBe(text)
})

test.each([
  [41200, '41200'],
  [0.0121, '0.0121'],
  [0.1 + 0.2, '0.3'],
  [123456.789, '123460'],
  [-0, '0'],
  [1.5e-9, '1.5e-9'],
  [6.02e23, '6.02e23'],
  [Number.NaN, 'NaN'],
  [Number.NEGATIVE_INFINITY, '-Infinity'],
])('the number %d is written %s', (value, text) => {
  expect(formatNumber(value)).toBe(text)
})

const date = new Date('2026-11-20T15:32:10Z')
test.each([
  ['Europe/Berlin', '16:32 CET'],
  ['America/New_York', '10:32 EST'],
  ['Europe/London', '15:32 GMT'],
  ['UTC', '15:32 UTC'],
  ['Asia/Kolkata', '21:02 IST'],
  ['Asia/Tokyo', '00:32 UTC+9'],
])('in %s it is %s', (zone, text) => {
  expect(formatTime(date, zone, { seenFrom: date })).toBe(text)
})

test('the date is said when it is another one, in the zone of the reader', () => {
  const from = (iso: string, style = {}) => formatTime(new Date(iso), 'Europe/Berlin', { seenFrom: date, ...style })
  expect(from('2026-11-19T23:30:00Z')).toBe('00:30 CET')
  expect(from('2026-11-19T22:30:00Z')).toBe('19 Nov, 23:30 CET')
  expect(from('2025-07-01T10:00:00Z')).toBe('1 Jul 2025, 12:00 CEST')
  expect(from('2026-11-20T15:32:10Z', { seconds: true })).toBe('16:32:10 CET')
  expect(formatTime(date, 'Europe/Berlin')).toBe('20 Nov 2026, 16:32 CET')
})

test('clocks that are askew give no negative durations', () => {
  expect(secondsBetween(date, new Date(date.getTime() - 5000))).toBe(0)
  expect(secondsBetween(date, null)).toBeNull()
})
