import { expect, test } from 'vitest'
import { portionsOf } from '../../src/model/portions.ts'

test.each<[number[], number[][]]>([
  [[], []],
  [[0, 0, 0], [[0, 0, 0]]],
  [
    [4, 6, 1],
    [[4, 6], [1]],
  ],
  [
    [11, 1, 2],
    [[11], [1, 2]],
  ],
  [
    [11, 12],
    [[11], [12]],
  ],
  [
    [3, 11, 3, 7, 0, 1],
    [[3], [11], [3, 7, 0], [1]],
  ],
])('%j in portions of at most 10', (sizes, portions) => {
  expect(portionsOf(sizes, size => size, 10)).toEqual(portions)
})
