import { describe, expect, test } from 'vitest'
import { readSpec } from '../../src/spec/index.ts'
import { contextWith, noDirectives, sentences } from '../support/spec-context.ts'

const context = contextWith({}, noDirectives)
const gatesOf = (text: string) => {
  const read = readSpec(text, context)
  return 'spec' in read ? Object.fromEntries(read.spec.jobs.map(job => [job.name, job.gate ?? true])) : sentences(read)
}

describe('gate: false', () => {
  test('is said of a job, or of all by default', () => {
    expect(gatesOf('jobs:\n  a: { script: [x] }\n  b: { script: [x], gate: false }\n')).toEqual({ a: true, b: false })
    expect(
      gatesOf('defaults: { gate: false }\njobs:\n  a: { script: [x] }\n  b: { script: [x], gate: true }\n'),
    ).toEqual({ a: false, b: true })
  })

  test('is no use to a job that one which gates waits for: the place and both ways out are told', () => {
    expect(
      gatesOf('jobs:\n  long: { script: [x], gate: false }\n  check:\n    needs: [long]\n    script: [x]\n'),
    ).toEqual([
      '4: `check` gates a merge and needs `long`, which says `gate: false`. Write `gate: false` in `check` too, or take it out of `long`.',
    ])
  })

  test('must be true or false', () => {
    expect(gatesOf('jobs:\n  a: { script: [x], gate: "no" }\n')).toEqual([
      '2: `gate` must be `true` or `false`. Write it without quotes.',
    ])
  })
})

test.each(['tree', 'approval'])('a job cannot be called %s: that is a status of the run', name => {
  expect(gatesOf(`jobs:\n  ${name}: { script: [x] }\n`)).toEqual([
    `2: \`${name}\` cannot be the name of a job: \`compops/${name}\` is a status of the run. Choose another name.`,
  ])
})
