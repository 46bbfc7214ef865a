import { expect, it } from 'vitest'
import { nativeNumber } from '../../src/model/array.ts'
import { mergeCollected } from '../../src/model/array-results.ts'
import type { Collected } from '../../src/model/observation.ts'

function collected(ran: string, tasks: NonNullable<Collected['tasks']>, path: string): Collected {
  const nothing = { outputsOmitted: 0, metrics: {}, metricsProblem: null, logTail: '', logSize: 0, environment: {} }
  return { ...nothing, ran, tasks, outputs: [{ path, size: 1, sha256: null, at: `/x/output/${path}` }] }
}

it('a task that ran again has the numbers of its last try alone, also where that left none', () => {
  const first = collected(
    '1-3',
    [1, 2, 3].map(index => ({ index, metrics: { rmse: index * 10 } })),
    '2/a.txt',
  )
  const second = collected('2-3', [{ index: 3, metrics: { rmse: 1 } }], '3/a.txt')
  const merged = mergeCollected([first, second])
  expect(merged?.tasks).toEqual([
    { index: 1, metrics: { rmse: 10 } },
    { index: 3, metrics: { rmse: 1 } },
  ])
  expect(merged?.metrics).toEqual({ 'rmse.min': 1, 'rmse.mean': 5.5, 'rmse.max': 10 })
  expect(merged?.outputs.map(file => file.path)).toEqual(['2/a.txt', '3/a.txt'])
})

it('a task has the number of its place where the scheduler counts from 1', () => {
  const array = { tasks: '0,5000,7000', throttle: null }
  expect(nativeNumber({ ...array, renumbered: true }, 5000)).toBe(2)
  expect(nativeNumber({ ...array, renumbered: false }, 5000)).toBe(5000)
})
