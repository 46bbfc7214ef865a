import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../../src/errors.ts'
import { readState, slurmCapacity } from '../../../src/scheduler/slurm/capacity.ts'

const nodes = (...rows: string[][]) =>
  slurmCapacity.read(`\x1dnodes\n${rows.map(row => `${row.join('\x1f')}\n`).join('')}`)

describe('nodes of Slurm', () => {
  test.each([
    ['idle', 'idle'],
    ['idle~', 'idle'],
    ['mixed', 'mixed'],
    ['MIXED-', 'mixed'],
    ['allocated', 'allocated'],
    ['completing', 'allocated'],
    ['idle*', 'down'],
    ['down', 'down'],
    ['drained', 'draining'],
    ['draining', 'draining'],
    ['idle$', 'reserved'],
    ['maint', 'reserved'],
    ['quantum', 'unknown'],
  ])('%s is %s', (word, state) => {
    expect(readState(word)).toBe(state)
  })

  test('a state that is none is unreadable', () => {
    for (const word of ['', '*', 'two words', '<b>']) expect(() => readState(word)).toThrow(UnreadableError)
  })

  test('GPUs by type, in whichever form gres and sinfo name them; those of a node that takes no jobs are not free', () => {
    expect(
      nodes(
        ['n1', 'mixed', '4/4/0/8', 'gpu:a100:4(S:0-1)', 'gpu:a100:1(IDX:0)'],
        ['n2', 'mixed', '4/4/0/8', 'gpu:a100:2,gpu:v100:2,craynetwork:4', 'gpu:a100:2(IDX:0-1),gpu:v100:0(IDX:N/A)'],
        ['n3', 'mixed', '4/4/0/8', 'gpu:v100:4', 'gpu:3'],
        ['n4', 'drained', '0/0/8/8', 'gpu:a100:4', 'gpu:a100:0(IDX:N/A)'],
        ['n5', 'idle', '0/8/0/8', 'gpu:2', '(null)'],
        ['n6', 'idle', '0/8/0/8', 'gpu:h100:no_consume:1', '(null)'],
      ).gpus,
    ).toEqual([
      { type: null, total: 2, free: 2 },
      { type: 'a100', total: 10, free: 3 },
      { type: 'h100', total: 1, free: 1 },
      { type: 'v100', total: 6, free: 3 },
    ])
  })

  test('a job that names several partitions waits in each of them, and once in all', () => {
    const part = (name: string) => `${name}\x1fup\x1finfinite\x1f0/4/0/4\x1f0/32/0/32\n`
    const told = slurmCapacity.read(
      `\x1dpartitions\n${part('main*')}${part('low')}\x1dwaiting\nPARTITION\x1fCPUS\x1fARRAY\nmain,low\x1f2\x1f8\nlow\x1f1\x1f1\n`,
    )
    expect(told.waiting).toEqual({ jobs: 3, cores: 9 })
    expect(told.queues?.map(({ name, limit, waiting }) => [name, limit, waiting])).toEqual([
      ['main', null, { jobs: 2, cores: 8 }],
      ['low', null, { jobs: 3, cores: 9 }],
    ])
  })

  test('no reservation is not the same as no answer', () => {
    expect(slurmCapacity.read('\x1dreservations\nNo reservations in the system\n')).toEqual({ reservations: [] })
    expect(() => slurmCapacity.read('\x1dreservations\n\n')).toThrow(UnreadableError)
  })
})
