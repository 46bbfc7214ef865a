import { expect, test } from 'vitest'
import { isId, newId } from '../../src/model/id.ts'

test('version 7, variant 10, the time in front', () => {
  const id = newId(new Date('2199-01-01T00:00:00Z'))
  expect(isId(id)).toBe(true)
  expect(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)).toBe(Date.parse('2199-01-01T00:00:00Z'))
})

test('each is greater than the one before, whatever the clock does', () => {
  const times = [5, 5, 4, 1000, 999, 1000]
  const ids = Array.from({ length: 20_000 }, (_, i) => newId(Date.parse('2200-01-01') + (times[i % times.length] ?? 0)))
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids.toSorted()).toEqual(ids)
  expect(ids.every(isId)).toBe(true)
})

test.each([
  '',
  'x',
  '0190f3c2-7d00-4abc-8def-0123456789ab',
  '0190F3C2-7D00-7ABC-8DEF-0123456789AB',
  '0190f3c2-7d00-7abc-7def-0123456789ab',
  '0190f3c2-7d00-7abc-8def-0123456789ab\n',
  "0190f3c2-7d00-7abc-8def-0123456789a'",
  null,
  7,
])('%j is none', text => {
  expect(isId(text)).toBe(false)
})
