import { describe, expect, it } from 'vitest'
import { scaleOf, scatter } from '../../src/dashboard/pages/scatter.ts'
import type { JobSpec } from '../../src/model/job-spec.ts'
import type { Collected } from '../../src/model/observation.ts'
import type { Job, Run } from '../../src/model/run.ts'
import { differences, metricRows } from '../../src/render/compare.ts'
import { axesOf, chooseAxes, pointsOf } from '../../src/render/points.ts'

const now = new Date('2026-11-27T12:00:00Z')
const collected = (metrics: Record<string, number>, tasks?: Collected['tasks']) => ({
  metrics,
  ...(tasks === undefined ? {} : { tasks }),
})

function job(name: string, spec: Partial<JobSpec>, results: object | null): Job {
  const attempt = { collected: results, startedAt: null, endedAt: null, accounting: null, state: 'completed' }
  return {
    ...{ id: name, name, state: 'completed', attempts: results === null ? [] : [attempt] },
    spec: { name, cluster: 'falcon', params: {}, resources: {}, env: {}, needs: [], origins: {}, ...spec },
  } as unknown as Job
}

const run = (branch: string, jobs: Job[], seconds = 60) =>
  ({ branch, jobs, createdAt: now, endedAt: new Date(now.getTime() + seconds * 1_000) }) as unknown as Run

describe('the metrics of runs beside each other', () => {
  const solve = (rmse: number, better: JobSpec['better'] = { rmse: 'lower' }) =>
    job('solve', { better: better ?? {}, noise: 0.01 }, collected({ rmse, steps: 10 }))

  it('are better, worse or noise against the first, as the file says; without a wish only higher or lower', () => {
    const rows = metricRows([
      run('a', [solve(1)]),
      run('b', [solve(0.5)]),
      run('c', [solve(1.5)]),
      run('d', [solve(1.005)]),
      run('e', [solve(2, {})]),
      run('f', [job('solve', {}, null)]),
    ])
    expect(rows.map(row => row.name)).toEqual(['rmse', 'steps'])
    expect(rows[0]?.cells.map(({ how, by }) => [how, by])).toEqual([
      [null, null],
      ['better', '50 %'],
      ['worse', '50 %'],
      ['noise', expect.any(String)],
      ['higher', '100 %'],
      [null, null],
    ])
    expect(rows[0]?.cells[5]?.value).toBeNull()
    expect(rows[1]?.cells[1]).toEqual({ value: 10, how: 'same', by: null })
  })

  it('of a sweep stand in the order of its numbers', () => {
    const sweep = [16, 1, 2].map(n => job(`sweep-${n}`, {}, collected({ rmse: n })))
    expect(metricRows([run('a', sweep)]).map(row => row.name)).toEqual([
      'sweep-1: rmse',
      'sweep-2: rmse',
      'sweep-16: rmse',
    ])
  })

  it('stand beside what was asked differently, and only that', () => {
    const one = job('solve', { params: { degree: 4, tag: 'a' }, resources: { time: 3_600 } }, null)
    const other = job('solve', { params: { degree: 8, tag: 'a' }, resources: { time: 3_600, mem: 2_048 } }, null)
    expect(differences([run('a', [one]), run('b', [other])])).toEqual([
      { name: 'solve: params.degree', cells: ['4', '8'] },
      { name: 'solve: mem', cells: [null, '2G'] },
    ])
  })
})

describe('the picture of a sweep', () => {
  it('has a point for each job of a matrix and each task of an array, with the parameters of its own', () => {
    const matrix = [1, 2, 3].map(n => job(`solve-${n}`, { params: { N: String(n) } }, collected({ rmse: 1 / n })))
    const points = pointsOf([run('a', matrix)], now)
    expect(points.map(point => [point.values.get('params.N'), point.values.get('metrics.rmse')])).toEqual([
      [1, 1],
      [2, 0.5],
      [3, 1 / 3],
    ])
    const tasks = [4, 7].map(index => ({ index, metrics: { rmse: index } }))
    const array = job(
      'many',
      { params: { degree: 4 }, array: { tasks: '4,7' } as never },
      collected({ 'rmse.min': 4 }, tasks),
    )
    const ofArray = pointsOf([run('a', [array])], now)
    expect(ofArray.map(point => [point.label, Object.fromEntries(point.values)])).toEqual([
      ['many, task 4', { 'params.degree': 4, task: 4, 'metrics.rmse': 4 }],
      ['many, task 7', { 'params.degree': 4, task: 7, 'metrics.rmse': 7 }],
    ])
  })

  it('knows the parameter of one job for what another has measured, where the run says it in one way only', () => {
    const of = (degree: number) =>
      run('a', [job('solve', { params: { degree } }, null), job('post', {}, collected({ rmse: degree / 2 }))])
    const points = pointsOf([of(4), of(8)], now)
    expect(points.map(one => [one.series, one.values.get('params.degree'), one.values.get('metrics.rmse')])).toEqual([
      [0, 4, 2],
      [1, 8, 4],
    ])
    const axes = axesOf(points)
    expect(chooseAxes(axes, { x: null, y: null })).toMatchObject({
      x: { key: 'params.degree' },
      y: { key: 'metrics.rmse' },
    })
    expect(chooseAxes(axes, { x: 'metrics.rmse', y: 'none' })?.x.label).toBe('rmse')
    expect(chooseAxes([], { x: 'a', y: 'b' })).toBeNull()
  })

  it('has round numbers at its axes, whatever the values are, and holds nothing of others as markup', () => {
    expect(scaleOf([0, 10]).ticks).toEqual([0, 2, 4, 6, 8, 10])
    expect(scaleOf([0.1, 0.3]).ticks).toEqual([0.1, 0.15, 0.2, 0.25, 0.3])
    for (const values of [[5], [0], [-1e-9, 1e-9], [1e300, -1e300], [1.7e308, -1.7e308], [3, 3, 3]]) {
      const { ticks, share } = scaleOf(values)
      expect(ticks.length).toBeGreaterThan(0)
      for (const value of values) {
        expect(share(value)).toBeGreaterThanOrEqual(0)
        expect(share(value)).toBeLessThanOrEqual(1)
      }
    }
    const evil = '<script>"\''
    const { text } = scatter([{ x: 1, y: 2, series: 0, words: evil }], { x: evil, y: evil })
    expect(text).not.toMatch(/<script/)
    expect(text).toContain('&#60;script&#62;')
  })
})
