import { expect, test } from 'vitest'
import { readRaised } from '../../src/command/raise.ts'
import type { Context } from '../../src/context.ts'
import type { JobSpec, Resources } from '../../src/model/job-spec.ts'

const policy = { time: 7200, nodes: null, partitions: null, directives: null }
const context = { config: { projects: [{ path: 'physics/*', policy }] } } as unknown as Context

function raised(options: Record<string, string | true>, resources: Resources = { mem: 2048, time: 3600 }) {
  const order = { args: { options, values: {}, words: [] }, project: { path: 'physics/heat' } }
  return readRaised(context, order as never, { name: 'solve', resources } as unknown as JobSpec)
}

test('`/compops retry solve --mem 8G --time 2h` gives a job more, in the words of the file', () => {
  expect(raised({ mem: '8G', time: '2h' })).toEqual({ mem: 8192, time: 7200 })
  expect(raised({ mem: '8G' })).toEqual({ mem: 8192 })
  expect(raised({})).toBeUndefined()
})

test.each([
  [{ mem: '8' }, '--mem: 8 has no unit'],
  [{ time: true }, '--time: A time is a text with units'],
  [{ memory: '8G' }, '--memory is not understood here: write --mem 8G or --time 4h'],
  [{ time: '3h' }, 'the site allows jobs of this project at most 2 h'],
] as const)('%j is refused with what to write instead', (options, message) => {
  expect(() => raised(options)).toThrow(message)
})

test('what is asked for each CPU is not mixed with what is asked for a node', () => {
  expect(() => raised({ mem: '8G' }, { mem_per_cpu: 500 })).toThrow('mem_per_cpu')
})
