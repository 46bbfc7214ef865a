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

it('a matrix is reached by its own name, and only those of its jobs that are needed close a circle', () => {
  const sweep = (degree: string, others: [string, string][] = []): NeedingElsewhere => ({
    ...job('b', `sweep-${degree}`, [], others),
    matrix: { of: 'sweep', values: { DEGREE: degree } },
  })
  const all = [job('a', 'mesh', [], [['b', 'sweep']]), sweep('1'), sweep('2', [['a', 'mesh']])]
  expect(needCircle('a', all)).toEqual(['mesh of a', 'sweep-2 of b', 'mesh of a'])
  const first = {
    ...all[0]!,
    others: [{ branch: 'b', job: 'sweep', kind: 'afterok' as const, matrix: [{ DEGREE: ['1'] }] }],
  }
  expect(needCircle('a', [first, ...all.slice(1)])).toBeNull()
})
