import { describe, expect, test } from 'vitest'
import { coresAsked, costOf, gpusAsked, isAbove } from '../../src/model/cost.ts'
import type { Resources } from '../../src/model/job-spec.ts'
import { spec } from '../render/sample.ts'

const hour = 3_600
const tasks = (list: string) => ({ array: { tasks: list, throttle: 2 } })

describe('what jobs can cost at most', () => {
  test.each<[Resources, number]>([
    [{}, 1],
    [{ cpus_per_task: 4 }, 4],
    [{ ntasks: 8, cpus_per_task: 4, nodes: 2 }, 32],
    [{ nodes: 2, ntasks_per_node: 8 }, 16],
    // A node that is asked for is held, whether a task runs there or not.
    [{ nodes: 4, ntasks: 1 }, 4],
  ])('%o are %i cores', (resources, cores) => expect(coresAsked(resources)).toBe(cores))

  test.each<[Resources, number]>([
    [{}, 0],
    [{ gpus: { type: 'a100', count: 2 }, nodes: 2 }, 2],
    [{ gpus_per_node: { type: null, count: 4 }, nodes: 2 }, 8],
    [{ gres: 'gpu:a100:2,shard:1', nodes: 3 }, 6],
    [{ gres: 'shard:4' }, 0],
    [{ gres: 'gpu' }, 1],
    [{ gres: 'tmp:10,gpu:3' }, 3],
  ])('%o are %i GPUs', (resources, gpus) => expect(gpusAsked(resources)).toBe(gpus))

  test('cores and GPUs times the time limits, over all jobs and all tasks of arrays', () => {
    const jobs = [
      spec('mesh', { time: hour / 2 }),
      spec('solve', { time: 10 * hour, ntasks: 8, gpus: { type: null, count: 2 } }),
      spec('sweep', { time: hour, cpus_per_task: 2 }, tasks('0-9')),
    ]
    expect(costOf(jobs)).toEqual({ coreHours: 100.5, gpuHours: 20, unknown: [] })
  })

  test('of a job without a time limit nothing can be said, and that is above any limit', () => {
    const cost = costOf([spec('mesh', { time: hour }), spec('solve')])
    expect(cost).toEqual({ coreHours: 1, gpuHours: 0, unknown: ['solve'] })
    expect(isAbove(cost, { coreHours: 1_000, gpuHours: null })).toBe(true)
    expect(isAbove(cost, { coreHours: null, gpuHours: null })).toBe(false)
  })

  test('either limit counts, and what reaches it exactly is within', () => {
    const cost = { coreHours: 1_000, gpuHours: 60, unknown: [] }
    expect(isAbove(cost, { coreHours: 1_000, gpuHours: null })).toBe(false)
    expect(isAbove(cost, { coreHours: 999, gpuHours: null })).toBe(true)
    expect(isAbove(cost, { coreHours: 1_000, gpuHours: 50 })).toBe(true)
    expect(isAbove(costOf([spec('mesh', { time: 60 })]), { coreHours: 0, gpuHours: null })).toBe(true)
  })
})
