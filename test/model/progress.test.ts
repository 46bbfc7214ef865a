import { describe, expect, test } from 'vitest'
import { readProgress } from '../../src/model/progress.ts'

describe('how far a job says that it is', () => {
  test.each([
    ['40 iteration 400', 40, 'iteration 400'],
    ['99.9 nearly', 99, 'nearly'],
    ['100 ', 100, ''],
    ['101 too far', null, 'too far'],
    ['- epoch 3 of 8', 37, 'epoch 3 of 8'],
    ['- step 5/20: loss 0.5', 25, 'step 5/20: loss 0.5'],
    ['- [####    ]  62.5 % done', 62, '[#### ] 62.5 % done'],
    ['- 3 of 0', null, '3 of 0'],
    ['- 9 of 3', null, '9 of 3'],
    ['- on 2026/11/20', null, 'on 2026/11/20'],
    ['x40 what', null, 'what'],
    ['5 a\tb\u0000\u001b[31mc\u202e', 5, 'a b [31mc'],
  ])('%j', (said, percent, text) => {
    expect(readProgress(said, null)).toEqual({ percent, text, task: null })
  })

  test.each([[''], ['-'], ['- '], ['-1'], ['NaN'], ['Infinity  ']])('%j says nothing', said => {
    expect(readProgress(said, null)).toBeNull()
  })

  test('a long text is cut, and a task is named', () => {
    expect(readProgress(`1 ${'x'.repeat(1000)}`, 7)).toEqual({ percent: 1, text: 'x'.repeat(160), task: 7 })
  })
})
