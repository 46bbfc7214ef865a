import { describe, expect, test } from 'vitest'
import type { NodeState } from '../../src/model/capacity.ts'
import { bounded } from '../../src/model/capacity.ts'
import { lsfCapacity } from '../../src/scheduler/lsf/capacity.ts'
import { pbsCapacity } from '../../src/scheduler/pbs/capacity.ts'
import { sgeCapacity } from '../../src/scheduler/sge/capacity.ts'
import { recorded } from './recorded.ts'

const only = (nodes: object | undefined) => Object.keys(nodes ?? {})[0] as NodeState | undefined

describe('hosts of LSF', () => {
  test.each([
    ['lsf/volclava-2.2-bhosts-wide-closed.txt', 'draining', 0],
    ['lsf/volclava-2.2-bhosts-wide-host-lost.txt', 'down', 0],
    ['lsf/volclava-2.2-bhosts-wide.txt', 'idle', 4],
  ])('%s: %s', (file, state, free) => {
    const told = lsfCapacity.read(`\x1dhosts\n${recorded(file)}`)
    expect([only(told.nodes), told.cores?.free]).toEqual([state, free])
  })

  test('a host without a limit of slots does not tell what is free', () => {
    const told = lsfCapacity.read(
      '\x1dhosts\nHOST_NAME STATUS JL/U MAX NJOBS RUN SSUSP USUSP RSV\nn1 ok - - 2 2 0 0 0\nn2 closed_Full - 4 4 4 0 0 0\n',
    )
    expect(told).toEqual({ nodes: { mixed: 1, allocated: 1 }, cores: { total: null, free: null } })
  })
})

describe('nodes of PBS', () => {
  const node = (state: string, more: object = {}) =>
    pbsCapacity.read(
      `\x1dnodes\n${JSON.stringify({ nodes: { n1: { state, resources_available: { ncpus: 8, ngpus: 4 }, ...more } } })}\n`,
    )
  test.each([
    ['free', 'idle', 8, 4],
    ['job-busy', 'allocated', 8, 4],
    ['down,offline', 'down', 0, 0],
    ['offline', 'draining', 0, 0],
    ['resv-exclusive', 'reserved', 0, 0],
    ['quantum', 'unknown', 0, 0],
  ])('%s', (word, state, cores, gpus) => {
    const told = node(word)
    expect([only(told.nodes), told.cores?.free, told.gpus?.[0]?.free]).toEqual([state, cores, gpus])
  })

  test('what is assigned is not free', () => {
    expect(node('free', { resources_assigned: { ncpus: 6, ngpus: '1' } })).toEqual({
      nodes: { mixed: 1 },
      cores: { total: 8, free: 2 },
      gpus: [{ type: null, total: 4, free: 3 }],
    })
  })
})

describe('hosts of Grid Engine', () => {
  const xml = recorded('sge/8.1.9-qhost-q.xml')
  const withState = (letters: string, used: number) =>
    sgeCapacity.read(
      `\x1dhosts\n${xml
        .replace("name='state_string'></queuevalue>", `name='state_string'>${letters}</queuevalue>`)
        .replace("name='slots_used'>8<", `name='slots_used'>${used}<`)}`,
    )
  test.each([
    ['', 0, 'idle', 8, true],
    ['', 3, 'mixed', 5, true],
    ['d', 3, 'draining', 0, false],
    ['E', 0, 'draining', 0, false],
    ['au', 0, 'down', 0, false],
    ['a', 3, 'allocated', 5, true],
  ])('a queue in state "%s" with %d slots taken', (letters, used, state, free, open) => {
    const told = withState(letters, used)
    expect([only(told.nodes), told.cores?.free, told.queues?.[0]?.open]).toEqual([state, free, open])
  })

  test('a host that reports no load is down', () => {
    const told = sgeCapacity.read(`\x1dhosts\n${xml.replace("name='load_avg'>1.40<", "name='load_avg'>-<")}`)
    expect(told.nodes).toEqual({ down: 1 })
  })
})

test('what is kept of a cluster has a size, whatever it says', () => {
  const queue = { open: true, state: 'x'.repeat(1_000), limit: null, nodes: null, cores: null, waiting: null }
  const kept = bounded({ queues: Array.from({ length: 5_000 }, () => ({ ...queue, name: 'q'.repeat(1_000) })) })
  expect(JSON.stringify(kept).length).toBeLessThan(100_000)
})
