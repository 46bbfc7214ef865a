import { describe, expect, test } from 'vitest'
import type { Policy } from '../../src/model/policy.ts'
import { readSpec } from '../../src/spec/index.ts'
import { contextWith, noDirectives, sentences } from '../support/spec-context.ts'

const policy: Policy = { time: 7_200, nodes: 4, partitions: ['main', 'short'], directives: null }
const read = (text: string, batch = noDirectives) =>
  sentences(readSpec(text, { ...contextWith({ 'run.sh': '#!/bin/bash\ntrue\n' }, batch), policy }))

describe("the site's limits for a project", () => {
  test('what stays within them is taken, defaults of the cluster included', () => {
    expect(read('jobs:\n  a: { script: [x], nodes: 4, time: 2h, partition: "main,short" }\n')).toEqual([])
    expect(read('jobs:\n  a: { script: [x] }\n')).toEqual([])
  })

  test('what goes beyond is told at its line, with the limit', () => {
    expect(
      read(
        'defaults: { time: 3h }\njobs:\n  a:\n    script: [x]\n    nodes: 5\n  b:\n    script: [x]\n    partition: gpu\n    time: 1h\n',
      ),
    ).toEqual([
      '1: `time` is 3 h, and the site allows jobs of this project at most 2 h. Write `time: 2h` or less.',
      '5: `nodes` is 5, and the site allows jobs of this project at most 4. Ask for fewer, or ask the site for more.',
      '8: The site does not allow jobs of this project in the partition `gpu`. It allows `main`, `short`.',
    ])
  })

  test('a batch script cannot go around them', () => {
    const batch = { ...noDirectives, resources: { time: 86_400 }, lines: { time: 3 } }
    expect(read('jobs:\n  a:\n    file: run.sh\n', batch)).toEqual([
      '3: `run.sh`, line 3: `time` is 1 d, and the site allows jobs of this project at most 2 h. Write `time: 2h` or less.',
    ])
  })

  test('a cluster without defaults leaves nothing to the scheduler', () => {
    expect(read('cluster: hawk\njobs:\n  a: { script: [x] }\n')).toEqual([
      '3: No `time` is named, and the site allows jobs of this project at most 2 h. Write `time: 2h` or less.',
      '3: No `partition` is named, and the site allows this project only some. It allows `main`, `short`.',
    ])
  })
})
