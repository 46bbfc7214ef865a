import { expect, it } from 'vitest'
import { type NeedingElsewhere, needCircle } from '../../src/tree/needs.ts'

const job = (branch: string, name: string, needs: string[], others: [string, string][] = []): NeedingElsewhere => ({
  branch,
  job: name,
  needs,
  others: others.map(([of, needed]) => ({ branch: of, job: needed, kind: 'afterok' })),
})

it('jobs of several branches that would wait for each other for ever are found, and named in order', () => {
  const jobs = [
    job('a', 'mesh', ['setup'], [['b', 'solve']]),
    job('a', 'setup', []),
    job('b', 'solve', ['prepare']),
    job('b', 'prepare', [], [['a', 'mesh']]),
  ]
  expect(needCircle('a', jobs)).toEqual(['mesh of a', 'solve of b', 'prepare of b', 'mesh of a'])
})

it('needs that come together again are no circle, nor is one among others that this branch does not close', () => {
  const jobs = [
    job(
      'a',
      'x',
      [],
      [
        ['b', 'one'],
        ['b', 'two'],
      ],
    ),
    job('b', 'one', [], [['c', 'base']]),
    job(
      'b',
      'two',
      [],
      [
        ['c', 'base'],
        ['gone', 'job'],
      ],
    ),
    job('c', 'base', []),
  ]
  expect(needCircle('a', jobs)).toBeNull()
})
