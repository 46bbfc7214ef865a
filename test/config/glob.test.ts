import { expect, test } from 'vitest'
import { matchGlob } from '../../src/config/glob.ts'
import { nearest } from '../../src/config/nearest.ts'

test.each([
  ['physics/*', 'physics/heat', true],
  ['physics/*', 'physics/a/b', false],
  ['physics/*', 'physics', false],
  ['physics/**', 'physics/a/b', true],
  ['physics/**', 'physicsx/a', false],
  ['**', 'a/b/c', true],
  ['**/heat', 'heat', true],
  ['**/heat', 'a/b/heat', true],
  ['**/heat', 'preheat', false],
  ['a/**/b', 'a/b', true],
  ['a/**/b', 'a/x/y/b', true],
  ['a/**/b', 'axb', false],
  ['calc/*-x', 'calc/abc-x', true],
  ['calc/[a]', 'calc/a', false],
  ['calc/[a]', 'calc/[a]', true],
  ['a.c', 'abc', false],
  ['Physics/*', 'physics/heat', false],
  ['calc/*', 'calc/$(id)', true],
  ['calc/*', 'calc/a\nb', true],
])('%s and %s: %s', (pattern, path, fits) => {
  expect(matchGlob(pattern, path)).toBe(fits)
})

test('a pattern of many stars takes no time over a hostile name', () => {
  expect(matchGlob(`${'*a'.repeat(30)}b`, 'a'.repeat(5_000))).toBe(false)
})

test.each([
  ['cpus_per_taks', 'cpus_per_task'],
  ['cpus-per-task', 'cpus_per_task'],
  ['Time', 'time'],
  ['tiem', 'time'],
  ['zzz', null],
  ['x'.repeat(10_000), null],
])('nearest to %s is %s', (written, known) => {
  expect(nearest(written, ['cpus_per_task', 'time', 'nodes', 'mem'])).toBe(known)
})
