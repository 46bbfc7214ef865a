import { describe, expect, test } from 'vitest'
import { readSpec } from '../../src/spec/index.ts'
import { contextWith, sentences } from '../support/spec-context.ts'

function jobsOf(text: string) {
  const result = readSpec(text, contextWith({ 'a.sh': '#!/bin/sh\n' }))
  expect(sentences(result)).toEqual([])
  return Object.fromEntries(('spec' in result ? result.spec.jobs : []).map(job => [job.name, job]))
}
const mistakes = (text: string) => sentences(readSpec(text, contextWith({ 'a.sh': '#!/bin/sh\n' })))

describe('extends', () => {
  test('maps are merged, all else is replaced, the later wins, and each value tells where it came from', () => {
    const { solve } = jobsOf(`jobs:
  .slow:
    time: 4h
    setup: [module load a]
    variables: { A: slow, B: slow }
  .large:
    nodes: 4
    env: { B: large, C: large }
  solve:
    extends: [.slow, .large]
    before_script: [module load b]
    env: { C: own }
    script: [./solve]
`)
    expect(solve).toMatchObject({
      resources: { time: 14_400, nodes: 4 },
      setup: ['module load b'],
      env: { A: 'slow', B: 'large', C: 'own' },
    })
    expect(solve?.origins).toMatchObject({
      time: '.compops.yml line 3',
      nodes: '.compops.yml line 7',
      setup: '.compops.yml line 11',
      'env.A': '.compops.yml line 5',
      'env.B': '.compops.yml line 8',
      'env.C': '.compops.yml line 12',
    })
  })

  test('a hidden job is none; one that is no such may be extended too, over several steps', () => {
    const jobs = jobsOf(`jobs:
  c: { extends: b, nodes: 3 }
  b: { extends: .a, nodes: 2, needs: [] }
  .a: { script: x, nodes: 1, time: 1h }
`)
    expect(Object.keys(jobs)).toEqual(['c', 'b'])
    expect(jobs.c).toMatchObject({ script: ['x'], resources: { nodes: 3, time: 3_600 } })
  })

  test('what excludes what was inherited replaces it; null takes it away', () => {
    const { b, c } = jobsOf(`jobs:
  .a: { script: x, mem: 2G, outputs: ["*.csv"], array: 0-9 }
  b: { extends: .a, file: a.sh, mem_per_cpu: 1G }
  c: { extends: .a, array: null, outputs: }
`)
    expect(b).toMatchObject({ script: null, file: { path: 'a.sh' }, resources: { mem_per_cpu: 1_024 } })
    expect(b?.resources.mem).toBeUndefined()
    expect(c?.outputs).toEqual([])
    expect(c?.array).toBeUndefined()
  })

  test.each<[string, string[]]>([
    [
      'jobs: { .base: { script: x }, a: { extends: .bse } }',
      [
        '1: The job `a` has nothing to do. Write a `script`, or the `file` of a batch script.',
        '1: There is no job `.bse` to extend. Did you mean `.base`?',
      ],
    ],
    [
      'jobs:\n  a: { extends: b, script: x }\n  b: { extends: a, script: x }\n',
      ['3: These jobs extend each other for ever: `a` extends `b` extends `a`. Take one of them out of `extends`.'],
    ],
    [
      'jobs:\n  .base: { script: x, nodse: 2 }\n  a: { extends: .base }\n  b: { extends: .base }\n',
      ['2: `nodse` is not a key of a job. Did you mean `nodes`?'],
    ],
    [
      'jobs: { a: { extends: , script: x } }',
      ['1: `extends` is empty. Write the name of a job, or leave the key out.'],
    ],
    [
      'jobs: { .a: { script: x } }',
      ['1: There are no jobs. Write `jobs:` and below it at least one job with a `script`.'],
    ],
    [
      'defaults: { extends: .a }\njobs: { a: { script: x } }',
      ['1: `extends` is not a key of `defaults`. Write it in a job.'],
    ],
  ])('%j', (text, expected) => {
    expect(mistakes(text)).toEqual(expected)
  })

  test('too many steps are refused, and what would be too much text is never made', () => {
    const chain = Array.from({ length: 13 }, (_, i) => `  j${i}: { ${i === 0 ? 'script: x' : `extends: j${i - 1}`} }\n`)
    expect(mistakes(`jobs:\n${chain.join('')}`)).toEqual([
      '13: `j11` extends through more than 10 jobs. Make it flatter.',
    ])
    const many = Array.from({ length: 190 }, (_, i) => `  j${i}: { extends: .base }\n`)
    expect(mistakes(`jobs:\n  .base: { script: [${JSON.stringify('x'.repeat(40_000))}] }\n${many.join('')}`)).toEqual([
      '1: With what they `extends` and their `matrix`, the jobs hold more than 4 MiB. Move long scripts and data into files of the repository.',
    ])
  })
})

describe('parallel: matrix', () => {
  test('makes a job of each combination, with its values as variables and params; a later key varies faster', () => {
    const jobs = jobsOf(`jobs:
  solve:
    params: { degree: 1, tol: 0.1 }
    env: { PROBLEM: none, OTHER: x }
    parallel:
      matrix:
        - PROBLEM: [heat, "stokes flow"]
          DEGREE: [4, 1.10]
        - PROBLEM: poisson
    script: [./solve]
  plot:
    needs: [{ job: solve, kind: any }]
    script: [./plot]
  one: { needs: [solve-heat-4], script: [x] }
`)
    expect(Object.keys(jobs)).toEqual([
      'solve-heat-4',
      'solve-heat-1.10',
      'solve-stokes_flow-4',
      'solve-stokes_flow-1.10',
      'solve-poisson',
      'plot',
      'one',
    ])
    expect(jobs['solve-stokes_flow-1.10']).toMatchObject({
      env: { PROBLEM: 'stokes flow', DEGREE: '1.10', OTHER: 'x' },
      params: { PROBLEM: 'stokes flow', degree: 1.1, tol: 0.1 },
      origins: { 'env.PROBLEM': '.compops.yml line 7', 'params.degree': '.compops.yml line 8' },
    })
    expect(jobs['solve-poisson']?.params).toMatchObject({ degree: 1 })
    expect(jobs.plot?.needs).toEqual(
      Object.keys(jobs)
        .slice(0, 5)
        .map(job => ({ job, kind: 'any' })),
    )
    expect(jobs.one?.needs).toEqual(['solve-heat-4'])
  })

  test('names that are too long, or would be the same, end with a digest of their values', () => {
    const names = Object.keys(
      jobsOf(`jobs: { a: { script: x, parallel: { matrix: [{ K: [b c, b/c, ${'long'.repeat(20)}, d] }] } } }`),
    )
    expect(names).toHaveLength(4)
    expect(names[3]).toBe('a-d')
    expect(names.slice(0, 2)).toEqual([
      expect.stringMatching(/^a-b_c-[0-9a-f]{8}$/),
      expect.stringMatching(/^a-b_c-[0-9a-f]{8}$/),
    ])
    expect(names[2]).toMatch(/^a-(long)+l?o?n?-[0-9a-f]{8}$/)
    expect(names[2]).toHaveLength(63)
    expect(new Set(names).size).toBe(4)
  })

  test('is needed whole by its own name, or by some of its values, as in GitLab: each job that a row fits', () => {
    const jobs = jobsOf(`jobs:
  solve: { script: x, parallel: { matrix: [{ DEGREE: [1, 1.10], MESH: [a, b] }] } }
  some: { script: x, needs: [{ job: solve, parallel: { matrix: [{ DEGREE: 1.10 }] } }] }
  more: { script: x, needs: [{ job: solve, kind: any, parallel: { matrix: [{ DEGREE: 1, MESH: [a] }, { MESH: b }] } }] }
  far: { script: x, needs: [{ branch: calc/heat, job: sweep, parallel: { matrix: [{ K: [1, 2] }] } }] }
`)
    expect(jobs['solve-1.10-b']?.matrix).toEqual({ of: 'solve', values: { DEGREE: '1.10', MESH: 'b' } })
    expect(jobs.some?.matrix).toBeUndefined()
    expect(jobs.some?.needs).toEqual(['solve-1.10-a', 'solve-1.10-b'])
    expect(jobs.more?.needs).toEqual(['solve-1-a', 'solve-1-b', 'solve-1.10-b'].map(job => ({ job, kind: 'any' })))
    // What the other branch has made is known when the job would begin.
    expect(jobs.far?.branch_needs).toEqual([
      { branch: 'calc/heat', job: 'sweep', kind: 'afterok', matrix: [{ K: ['1', '2'] }] },
    ])
  })

  test.each<[string, string]>([
    [
      'a: { script: x, needs: [{ job: m, parallel: { matrix: [{ K: 3 }] } }] }',
      '2: The `matrix` of `m` has no job (K 3). It has made `m-1`, `m-2`.',
    ],
    [
      'a: { script: x, needs: [{ job: m, parallel: { matrix: [{ L: 1 }] } }] }',
      '2: The `matrix` of `m` has no job (L 1). It has made `m-1`, `m-2`.',
    ],
    [
      'a: { script: x, needs: [{ job: b, parallel: { matrix: [{ K: 1 }] } }] }',
      '2: `b` has no `matrix` to choose from. Name the job alone.',
    ],
    [
      'a: { script: x, needs: [{ job: m, parallel: { matrix: [{}] } }] }',
      '2: This row of the `matrix` is empty. Write `parallel: { matrix: [{ NAME: [a, b] }] }`.',
    ],
    [
      'a: { script: x, needs: [{ job: m, parallel: 2 }] }',
      '2: `parallel` must hold keys and values, but it is `2`. Write `key: value` lines below it, indented.',
    ],
    [
      'a: { script: x, needs: [{ job: m, parallel: { matrix: [{ K: 1 }, { K: [1, 2] }] } }, m-2] }',
      '2: `m-2` stands here twice. Keep one.',
    ],
  ])('needed wrongly: %s', (job, expected) => {
    const rest = 'm: { script: x, parallel: { matrix: [{ K: [1, 2] }] } }, b: { script: x }'
    expect(mistakes(`jobs: { ${rest},\n  ${job} }`)).toContain(expected)
  })

  test('is inherited like any other key', () => {
    expect(
      Object.keys(jobsOf('jobs: { .m: { parallel: { matrix: [{ K: [1, 2] }] } }, a: { extends: .m, script: x } }')),
    ).toEqual(['a-1', 'a-2'])
  })

  test.each<[string, string]>([
    [
      'jobs: { a: { script: x, parallel: 5 } }',
      '1: `parallel` must say what differs between the jobs. Write `array: 0-4` for 5 tasks that differ by their number, or `parallel: { matrix: [{ NAME: [a, b] }] }`.',
    ],
    [
      `jobs: { a: { script: x, parallel: { matrix: [{ K: [${Array.from({ length: 20 }, (_, i) => i)}], L: [${Array.from({ length: 20 }, (_, i) => i)}] }] } } }`,
      '1: `a` would be 400 jobs; 200 are the most. Take values out, or let them be tasks of one job: `array`.',
    ],
    ['jobs: { a: { script: x, parallel: { matrix: [{ K: [] }] } } }', '1: `K` has no values. Write at least one.'],
    [
      'jobs: { a: { script: x, parallel: { matrix: [{ K: [1] }, { K: 1 }] } } }',
      '1: The `matrix` of `a` has the same values twice. Keep one.',
    ],
    [
      'jobs: { a: { script: x, parallel: { matrx: [] } } }',
      '1: `matrx` is not a key of `parallel`. Did you mean `matrix`?',
    ],
    [
      'jobs: { a: { script: x, parallel: { matrix: [{ PATH: [x] }] } } }',
      "1: `PATH` decides how the job's shell itself works. Set it in `setup`: `export PATH=…`.",
    ],
  ])('%j', (text, expected) => {
    expect(mistakes(text)).toContain(expected)
  })
})
