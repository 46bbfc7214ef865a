import { describe, expect, test } from 'vitest'
import { matchGlob } from '../../src/config/index.ts'
import { type CacheInputs, cacheKey, canonical, isInput } from '../../src/model/cache-key.ts'
import type { JobSpec } from '../../src/model/job-spec.ts'
import { spec } from '../render/sample.ts'

const file = (path: string, oid = 'a'.repeat(40)) => ({ path, mode: '100644', oid })
const output = (path: string, sha256: string | null = 'b'.repeat(64)) => ({ path, size: 3, sha256 })
const inputs = (more: Partial<CacheInputs> = {}, of: Partial<JobSpec> = {}): CacheInputs => ({
  spec: spec('solve', { time: 3_600, ntasks: 8, mem: 1_024, partition: 'main' }, { params: { b: 2, a: 1 }, ...of }),
  files: [file('src/solve.c'), file('Makefile')],
  needs: [{ job: 'mesh', outputs: [output('mesh/a.msh'), output('mesh/b.msh')] }],
  parent: null,
  ...more,
})
const key = cacheKey(inputs())
const withSpec = (of: Partial<JobSpec>) => cacheKey(inputs({}, of))
const withResources = (more: JobSpec['resources']) => withSpec({ resources: { ...inputs().spec.resources, ...more } })

describe('the key of a result', () => {
  test('is the same for the same inputs, in whatever order they come', () => {
    expect(key).toMatch(/^[0-9a-f]{64}$/)
    expect(
      cacheKey(
        inputs(
          {
            files: [file('Makefile'), file('src/solve.c')],
            needs: [{ job: 'mesh', outputs: [output('mesh/b.msh'), output('mesh/a.msh')] }],
          },
          { params: { a: 1, b: 2 } },
        ),
      ),
    ).toBe(key)
  })

  test('does not change with what only says when, how long, where or in whose name the job runs', () => {
    expect(withResources({ time: 60, mem: 9, partition: 'long', account: 'x', qos: 'high', nice: 5 })).toBe(key)
    expect(withSpec({ name: 'other', origins: { time: 'elsewhere' }, gate: false, progress: 'x', requeue: true })).toBe(
      key,
    )
  })

  test.each<[string, string | null]>([
    ['a command', withSpec({ script: ['make solve -j2'] })],
    ['how far a chain goes', withSpec({ chain: { segments: 5, until: 'converged' } })],
    ['setup', withSpec({ setup: ['module load gcc'] })],
    ['a module', withSpec({ modules: ['gcc/13'] })],
    ['the image', withSpec({ image: 'docker://python:3.12' })],
    ['a variable', withSpec({ env: { SEED: '2' } })],
    ['a parameter', withSpec({ params: { a: 1, b: 3 } })],
    ['which files are results', withSpec({ outputs: ['*.csv'] })],
    ['how many tasks work on it', withResources({ ntasks: 16 })],
    ['the GPUs', withResources({ gpus: { type: 'a100', count: 1 } })],
    ['a file of the commit', cacheKey(inputs({ files: [file('src/solve.c', 'c'.repeat(40)), file('Makefile')] }))],
    ['a file more', cacheKey(inputs({ files: [...inputs().files, file('x')] }))],
    [
      'what it may execute',
      cacheKey(inputs({ files: [{ ...file('src/solve.c'), mode: '100755' }, file('Makefile')] })),
    ],
    ['an output of what it needs', cacheKey(inputs({ needs: [{ job: 'mesh', outputs: [output('mesh/a.msh')] }] }))],
    ['what it needs, where that names no outputs', cacheKey(inputs({ needs: [{ job: 'mesh', key: 'k' }] }))],
    ['what it takes from its parent', withSpec({ inputs: [{ from: 'parent', paths: ['*.msh'] }] })],
    ['the run of its parent', cacheKey(inputs({ parent: 'calc/base 1' }))],
  ])('changes with %s', (_, other) => {
    expect(other).toMatch(/^[0-9a-f]{64}$/)
    expect(other).not.toBe(key)
  })

  test('is none where an input has no digest', () => {
    expect(cacheKey(inputs({ needs: [{ job: 'mesh', outputs: [output('mesh/a.msh', null)] }] }))).toBeNull()
  })

  test('is made of text that is the same for the same value', () => {
    expect(canonical({ b: [1, { d: null, c: 'x' }], a: undefined })).toBe('{"b":[1,{"c":"x","d":null}]}')
    expect(canonical({ 10: 1, 9: 2 })).toBe('{"10":1,"9":2}')
  })
})

test.each<[readonly string[] | null, string, boolean]>([
  [null, 'anything/at/all', true],
  [null, '.compops.yml', false],
  [['src'], 'src/deep/file.c', true],
  [['src/'], 'src/file.c', true],
  [['src'], 'src2/file.c', false],
  [['data/*.csv'], 'data/a.csv', true],
  [['data/*.csv'], 'data/deep/a.csv', false],
  [['**/*.toml'], 'Project.toml', true],
  [['.compops.yml'], '.compops.yml', false],
])('with paths %j the file %s counts: %s', (paths, path, counts) => {
  expect(isInput(path, paths, matchGlob)).toBe(counts)
})
