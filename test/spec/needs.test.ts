import { expect, test } from 'vitest'
import { findCycles } from '../../src/spec/needs.ts'

test.each<[Record<string, string[]>, string[][]]>([
  [{}, []],
  [{ a: [], b: ['a'], c: ['a', 'b'] }, []],
  [{ a: ['b'], b: ['a'] }, [['a', 'b', 'a']]],
  [{ x: ['a'], a: ['b'], b: ['c'], c: ['a'] }, [['a', 'b', 'c', 'a']]],
  [
    { a: ['b'], b: ['a'], c: ['d'], d: ['c'] },
    [
      ['a', 'b', 'a'],
      ['c', 'd', 'c'],
    ],
  ],
  [{ a: ['gone'] }, []],
])('%j', (needs, cycles) => {
  expect(findCycles(new Map(Object.entries(needs)))).toEqual(cycles)
})
