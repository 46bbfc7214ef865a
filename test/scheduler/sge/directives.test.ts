import { describe, expect, test } from 'vitest'
import { CompopsError } from '../../../src/errors.ts'
import type { Resources } from '../../../src/model/job-spec.ts'
import { readDirectives } from '../../../src/scheduler/sge/batch.ts'
import { allowedDirective, directives } from '../../../src/scheduler/sge/directives.ts'

const written = (resources: Resources, raw: readonly string[] = []) =>
  directives({ resources, directives: raw }).map(({ option }) => option)

describe('keys in the words of qsub', () => {
  test('one by one', () => {
    expect(
      written({
        partition: 'all.q,long.q@node7',
        account: 'physics',
        reservation: '12',
        time: 5_400,
        mem: 2_048,
        gpus: { type: null, count: 2 },
        gres: 'scratch=10G',
        constraint: 'arch=lx-amd64',
        licenses: 'ansys:2,matlab',
        exclusive: true,
        nice: 10,
      }),
    ).toEqual([
      '-q all.q,long.q@node7',
      '-P physics',
      '-ar 12',
      '-l h_rt=5400',
      '-l h_vmem=2048M',
      '-l gpu=2',
      '-l scratch=10G',
      '-l arch=lx-amd64',
      '-l ansys=2,matlab=1',
      '-l exclusive=true',
      '-p -10',
    ])
  })

  test('several slots come from a parallel environment that the job names; memory counts for each', () => {
    expect(written({ ntasks: 4, cpus_per_task: 2, mem: 1_001 }, ['-pe mpi 8'])).toEqual(['-l h_vmem=126M', '-pe mpi 8'])
    expect(written({ mem_per_cpu: 100 }, ['-pe mpi 2-8'])).toEqual(['-l h_vmem=100M', '-pe mpi 2-8'])
    expect(written({ cpus_per_task: 1, ntasks: 1, nodes: 1 })).toEqual([])
  })

  test.each<[string, Resources, string[], string]>([
    ['slots without one', { cpus_per_task: 8 }, [], 'write directives: ["-pe NAME 8"]'],
    ['ranks without one', { ntasks: 3, cpus_per_task: 2 }, [], 'write directives: ["-pe NAME 6"]'],
    ['another number', { ntasks: 4 }, ['-pe mpi 8'], 'ntasks: it makes 4 slots, and "-pe mpi 8" asks for 8'],
    ['a range beside a number', { ntasks: 4 }, ['-pe mpi 2-4'], 'ntasks: it makes 4 slots'],
    ['nodes', { nodes: 2 }, ['-pe mpi 2'], 'leave nodes and ntasks_per_node out'],
    ['quality of service', { qos: 'high' }, [], 'qos: Grid Engine has no quality of service'],
    ['a type of GPU', { gpus: { type: 'a100', count: 1 } }, [], 'write gres'],
    ['GPUs beside slots', { gpus: { type: null, count: 1 }, ntasks: 2 }, ['-pe smp 2'], 'write gres'],
    ['niceness', { nice: 2_000 }, [], 'nice: 2000'],
    ['a time', { time: 0.5 }, [], 'time: 0.5'],
  ])('%s: a sentence that says what to write', (_, resources, raw, words) => {
    expect(() => written(resources, raw)).toThrow(CompopsError)
    expect(() => written(resources, raw)).toThrow(words)
  })
})

describe('raw directives', () => {
  test.each([['-pe smp 8'], ['-l scratch=10G'], ['-notify'], ['-a 203001010000'], ['-binding linear:4']])(
    '%s is allowed where the site says so',
    directive => {
      expect(allowedDirective(['*'], directive)).toBe(true)
      expect(allowedDirective([directive], directive)).toBe(true)
      expect(allowedDirective(['-pe mpi *'], directive)).toContain('it allows -pe mpi *')
      expect(allowedDirective([], directive)).toContain('it allows none')
    },
  )

  test.each([
    ['-t 1-10', 'write array: instead'],
    ['-hold_jid 7', 'needs'],
    ['-N x', 'by their name'],
    ['-jsv /tmp/x', 'run a program'],
    ['-pe smp 2 -t 1-3', 'a second option'],
    ['-l a=1 b=2', 'takes 1 word'],
    ['-pe smp', 'takes 2 words'],
    ['-nosuch x', 'no option'],
    ['-l "a b"', 'a quote'],
    ['-l  x', 'a blank too many'],
    ['-l x\ny', 'control character'],
    ['--hint=x', 'not an option as qsub has them'],
  ])('%j is never: %s', (directive, why) => {
    expect(allowedDirective(['*'], directive)).toContain(why)
    expect(() => written({}, [directive])).toThrow(CompopsError)
  })
})

describe('an existing batch script', () => {
  test('its #$ lines, wherever they stand', () => {
    const read = readDirectives(`#!/bin/bash
#$ -N heat -cwd -j y -o out.txt
#$ -l h_rt=1:30:00,h_vmem=2G,scratch=5G
# $ -q not.this
#$ -q all.q -P physics
echo begin
#$ -pe smp 4 -m e
#$ -l h_rt=2:00:00 -r y -R y
`)
    expect(read.resources).toEqual({ time: 7_200, mem_per_cpu: 2_048, partition: 'all.q', account: 'physics' })
    expect(read.lines).toEqual({ time: 8, mem_per_cpu: 3, partition: 5, account: 5 })
    expect(read.directives).toEqual([
      { directive: '-l scratch=5G', line: 3 },
      { directive: '-pe smp 4', line: 7 },
      { directive: '-m e', line: 7 },
      { directive: '-R y', line: 8 },
    ])
    expect(read.dropped.map(({ directive, line, essential }) => [directive, line, essential])).toEqual([
      ['-N heat', 2, undefined],
      ['-cwd', 2, undefined],
      ['-j y', 2, undefined],
      ['-o out.txt', 2, undefined],
      ['-r y', 8, undefined],
    ])
  })

  test('its array', () => {
    expect(readDirectives('#$ -tc 4\n#$ -t 1-10:3 -cwd\n')).toMatchObject({
      array: { text: '1-10:3%4', line: 2 },
      dropped: [{ directive: '-cwd' }],
    })
    expect(readDirectives('#$ -t 5\n').array).toEqual({ text: '5', line: 1 })
    expect(readDirectives('#$ -tc 5\n')).not.toHaveProperty('array')
  })

  test('what would make another computation of it is no small matter', () => {
    const { dropped } = readDirectives('#$ -hold_jid 5 -v DEGREE=3\n#$ -nosuch\n#$ -l "x y"\n')
    expect(dropped.map(({ directive, essential }) => [directive, essential ?? false])).toEqual([
      ['-hold_jid 5', true],
      ['-v DEGREE=3', true],
      ['-nosuch', false],
      ['-l "x', false],
      ['y"', false],
    ])
  })
})

test('hosts to keep away from, sge_types(1)', () => {
  const options = (exclude: string[]) =>
    directives({ resources: {}, directives: [], exclude }).map(({ option }) => option)
  expect(options(['n1', 'n2.example.org'])).toEqual(['-l hostname=!(n1|n2.example.org)'])
  expect(() => options(['n1|*'])).toThrow('not the name of a host')
})
