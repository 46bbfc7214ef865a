import { describe, expect, test } from 'vitest'
import { readSpec } from '../../src/spec/index.ts'
import { contextWith, sentences } from '../support/spec-context.ts'

const file = `defaults: { time: 30m, params: { degree: 4, model: { layers: [8, 8], rate: 0.1 } } }
jobs:
  mesh:
    script: [mesh]
  solve:
    script: [solve]
    mem_per_cpu: 2G
    cpus: 2
    params: { tag: a, sharp: false }
    env: { OMP_NUM_THREADS: "4" }
  sweep:
    script: [sweep]
    parallel: { matrix: [{ N: [1, 2] }] }
  many:
    script: [many]
    array: 0-9
`
const read = (overrides: Readonly<Record<string, string>>) => readSpec(file, { ...contextWith(), overrides })

function jobs(overrides: Readonly<Record<string, string>>) {
  const result = read(overrides)
  if (!('spec' in result)) throw new Error(sentences(result).join('\n'))
  return new Map(result.spec.jobs.map(job => [job.name, job]))
}

describe('values beside the file, for one run', () => {
  test('a parameter changes in every job that has it, keeps its kind, and says where it came from', () => {
    const all = jobs({ degree: '12', tag: '7', sharp: 'true', 'solve.params.degree': '9' })
    expect(all.get('mesh')?.params.degree).toBe(12)
    expect(all.get('mesh')?.origins['params.degree']).toBe('the command')
    expect(all.get('mesh')?.params).not.toHaveProperty('tag')
    expect(all.get('solve')?.params).toMatchObject({ degree: 9, tag: '7', sharp: true })
    expect(all.get('mesh')?.origins.time).toBe('.compops.yml line 1')
  })

  test('a part of a parameter, and a list, as Hydra writes them', () => {
    const all = jobs({ 'model.rate': '0.5', 'solve.model.layers': '[16, 32]' })
    expect(all.get('mesh')?.params.model).toEqual({ layers: [8, 8], rate: 0.5 })
    expect(all.get('solve')?.params.model).toEqual({ layers: [16, 32], rate: 0.5 })
    expect(() => jobs({ 'model.layers': '3' })).toThrow('model.layers is a list: write [1, 2], not `3`')
  })

  test('what jobs ask for: all of them or one, under any of its names; the nearer of two that exclude each other', () => {
    const all = jobs({ time: '2h', 'solve.mem': '8G', 'mesh.cpus': '3', 'sweep.mem': '1G', 'sweep-2.time': '5m' })
    expect([...all.values()].map(job => job.resources.time)).toEqual([7_200, 7_200, 7_200, 300, 7_200])
    expect(all.get('solve')?.resources).toMatchObject({ mem: 8_192, cpus_per_task: 2 })
    expect(all.get('solve')?.resources).not.toHaveProperty('mem_per_cpu')
    expect(all.get('mesh')?.resources.cpus_per_task).toBe(3)
    expect([all.get('sweep-1')?.resources.mem, all.get('sweep-2')?.resources.mem]).toEqual([1_024, 1_024])
  })

  test('the cluster, with its own defaults; variables that are there; the tasks of what is an array', () => {
    const all = jobs({ 'solve.cluster': 'hawk', 'env.OMP_NUM_THREADS': '8', array: '0-3' })
    expect([all.get('solve')?.cluster, all.get('mesh')?.cluster]).toEqual(['hawk', 'falcon'])
    expect(all.get('solve')?.resources).not.toHaveProperty('partition')
    expect(all.get('solve')?.env).toEqual({ OMP_NUM_THREADS: '8' })
    expect(all.get('mesh')?.env).toEqual({})
    expect([all.get('many')?.array?.tasks, all.get('mesh')?.array]).toEqual(['0-3', undefined])
  })

  test('what is meant by nothing is refused; what the file could not say is a mistake, but of no line of it', () => {
    expect(() => read({ degre: '12' })).toThrow('no job has a parameter degre; there are: tag, sharp, N, degree, model')
    for (const key of ['env.PATH', 'script', 'mesh.tag', 'params.mem', 'solve.', 'needs', '__proto__'])
      expect(() => read({ [key]: '1' }), key).toThrow('no job has')
    expect(sentences(read({ 'solve.mem': 'much' }))).toEqual([
      expect.stringMatching(/^-: `mem`: This is not an amount of memory\./),
    ])
    expect(sentences(read({ cluster: 'eagle' }))[0]).toMatch(/^-: This project may not use a cluster `eagle`/)
    const result = read({ cluster: 'eagle' })
    expect('problems' in result && result.problems[0]).toMatchObject({ file: 'the command', line: null })
  })
})
