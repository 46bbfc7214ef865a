import { describe, expect, test } from 'vitest'
import { readSpec } from '../../src/spec/index.ts'
import { contextWith, noDirectives, sentences } from '../support/spec-context.ts'

const cacheOf = (text: string) => {
  const read = readSpec(text, contextWith({}, noDirectives))
  return 'spec' in read ? read.spec.jobs.map(job => job.cache ?? null) : sentences(read)
}

describe('cache', () => {
  test('is off, on for everything in the repository, or on for what the job says that it reads', () => {
    expect(cacheOf('jobs:\n  a: { script: [x] }\n  b: { script: [x], cache: true }\n')).toEqual([null, { paths: null }])
    expect(cacheOf('jobs:\n  a: { script: [x], cache: { paths: [./src, "data/*.csv"] } }\n')).toEqual([
      { paths: ['src', 'data/*.csv'] },
    ])
    expect(
      cacheOf('defaults: { cache: true }\njobs:\n  a: { script: [x] }\n  b: { script: [x], cache: false }\n'),
    ).toEqual([{ paths: null }, null])
  })

  test('by default does not concern arrays; where it is written at one, it is refused', () => {
    expect(cacheOf('defaults: { cache: true }\njobs:\n  a: { script: [x], array: 0-9 }\n')).toEqual([null])
    expect(cacheOf('jobs:\n  a:\n    script: [x]\n    array: 0-9\n    cache: true\n')).toEqual([
      '5: The results of an array cannot be reused yet. Leave `cache` out, or write one job for each task.',
    ])
  })

  test.each([
    [
      'maybe',
      '2: `cache` must be `true`, `false` or name `paths`. Write `cache: true`, or `cache: { paths: [src] }` with what the job reads of the repository.',
    ],
    ['{ key: x }', '2: `key` is not a key of `cache`. There is only `paths`.'],
    ['{ paths: [] }', '2: `cache` names no paths. Write `cache: true` for the whole repository.'],
    ['{ paths: [/etc/passwd] }', null],
  ])('%s is refused at its line', (value, sentence) => {
    const said = cacheOf(`jobs:\n  a: { script: [x], cache: ${value} }\n`)
    expect(said[0]).toEqual(sentence ?? expect.stringContaining('/etc/passwd'))
  })
})
