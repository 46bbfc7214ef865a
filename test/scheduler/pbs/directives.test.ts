import { describe, expect, test } from 'vitest'
import type { Resources } from '../../../src/model/job-spec.ts'
import { readDirectives } from '../../../src/scheduler/pbs/batch-script.ts'
import { allowedDirective, directives } from '../../../src/scheduler/pbs/directives.ts'
import { pbs } from '../../../src/scheduler/pbs/pbs.ts'
import { renderScript } from '../../../src/scheduler/script.ts'
import { jobRequest } from '../requests.ts'

const options = (resources: Resources, raw: string[] = []) =>
  directives({ resources, directives: raw }).map(({ option }) => option)
const gpus = (count: number) => ({ type: null, count })

test('queue, account, time and priority, each with the key it came from', () => {
  const all: Resources = { partition: 'workq', account: 'phys', time: 14_400, nice: 100, exclusive: true, mem: 512 }
  expect(directives({ resources: all, directives: ['-P heat'] })).toEqual([
    { option: '-q workq', key: 'partition' },
    { option: '-A phys', key: 'account' },
    { option: '-l walltime=04:00:00', key: 'time' },
    { option: '-l select=1:ncpus=1:mem=512mb', key: 'mem' },
    { option: '-l place=exclhost', key: 'exclusive' },
    { option: '-p -100', key: 'nice' },
    { option: '-P heat', key: 'directives[0]' },
  ])
  expect(options({ reservation: 'R123' })).toEqual(['-q R123'])
})

test('the head of a script, to be read beside qsub(1B)', () => {
  const resources: Resources = { partition: 'workq', time: 14_400, nodes: 2, ntasks: 8, mem: 2_048, gpus: gpus(2) }
  const script = renderScript(jobRequest({ resources, directives: ['-P heat'] }), pbs)
  expect(script.split('\n').slice(0, 7).join('\n')).toBe(`#!/bin/bash -l
#PBS -q workq
#PBS -l walltime=04:00:00
#PBS -l select=2:ncpus=4:mpiprocs=4:ompthreads=1:mem=2048mb:ngpus=1
#PBS -l place=scatter
#PBS -P heat
# compops-00000000-0000-4000-8000-000000000003; everything below is the same for every job`)
})

test.each<[Resources, string[]]>([
  [{}, []],
  [{ time: 359_999 }, ['-l walltime=99:59:59']],
  [{ cpus_per_task: 4 }, ['-l select=1:ncpus=4:ompthreads=4']],
  [{ ntasks: 1, mem: 2048 }, ['-l select=1:ncpus=1:mpiprocs=1:ompthreads=1:mem=2048mb']],
  [{ ntasks: 8 }, ['-l select=8:ncpus=1:mpiprocs=1:ompthreads=1', '-l place=free']],
  [
    { ntasks: 8, mem_per_cpu: 512, cpus_per_task: 2 },
    ['-l select=8:ncpus=2:mpiprocs=1:ompthreads=2:mem=1024mb', '-l place=free'],
  ],
  [{ nodes: 2 }, ['-l select=2:ncpus=1', '-l place=scatter']],
  [
    { nodes: 2, ntasks_per_node: 8, cpus_per_task: 4 },
    ['-l select=2:ncpus=32:mpiprocs=8:ompthreads=4', '-l place=scatter'],
  ],
  [
    { nodes: 2, ntasks: 8, mem: 1024, exclusive: true },
    ['-l select=2:ncpus=4:mpiprocs=4:ompthreads=1:mem=1024mb', '-l place=scatter:exclhost'],
  ],
  [
    { nodes: 2, ntasks: 5 },
    ['-l select=1:ncpus=3:mpiprocs=3:ompthreads=1+1:ncpus=2:mpiprocs=2:ompthreads=1', '-l place=scatter'],
  ],
  [{ ntasks: 16, ntasks_per_node: 8 }, ['-l select=2:ncpus=8:mpiprocs=8:ompthreads=1', '-l place=scatter']],
  [{ ntasks_per_node: 8 }, ['-l select=1:ncpus=8:mpiprocs=8:ompthreads=1']],
  [{ nodes: 2, gpus: gpus(8) }, ['-l select=2:ncpus=1:ngpus=4', '-l place=scatter']],
  [{ nodes: 2, gpus_per_node: gpus(4) }, ['-l select=2:ncpus=1:ngpus=4', '-l place=scatter']],
  [{ gpus: gpus(1), cpus_per_task: 8 }, ['-l select=1:ncpus=8:ompthreads=8:ngpus=1']],
  [{ exclusive: false }, []],
])('%j', (resources, expected) => {
  expect(options(resources)).toEqual(expected)
})

test.each<[Resources, RegExp]>([
  [{ qos: 'high' }, /^qos: PBS has none/],
  [{ gres: 'gpu:2' }, /^gres: PBS has no generic resources/],
  [{ constraint: 'rome' }, /^constraint: PBS has no features/],
  [{ licenses: 'matlab:1' }, /^licenses: licenses are resources of the site/],
  [{ gpus: { type: 'a100', count: 1 } }, /^gpus: PBS has no name for a type of GPU/],
  [{ gpus: gpus(3), nodes: 2 }, /^gpus: 3 cannot be shared out evenly among 2 nodes/],
  [{ gpus: gpus(4), gpus_per_node: gpus(1), nodes: 2 }, /^gpus: 4 are not gpus_per_node: 1 on 2 nodes/],
  [{ ntasks: 4, mem: 1024 }, /^mem: it is that of a node/],
  [{ mem: 1, mem_per_cpu: 1 }, /^mem_per_cpu: mem is set as well/],
  [{ nodes: 4, ntasks: 2 }, /^ntasks: 2 is less than one for each of 4 nodes/],
  [{ nodes: 2, ntasks: 9, ntasks_per_node: 4 }, /^ntasks: 9 are more than ntasks_per_node: 4 on each of 2 nodes/],
  [{ reservation: 'R1', partition: 'workq' }, /^reservation: in PBS it is a queue/],
  [{ partition: 'workq -I' }, /^partition: /],
  [{ partition: 'a\n#PBS -I' }, /^partition: /],
  [{ account: '$(id)' }, /^account: /],
  [{ account: '-x' }, /^account: /],
  [{ nodes: 0 }, /^nodes: /],
  [{ nodes: 1.5 }, /^nodes: /],
  [{ time: Number.NaN }, /^time: /],
  [{ nice: 5000 }, /^nice: /],
])('%j is refused, naming the key', (resources, message) => {
  expect(() => options(resources)).toThrow(message)
})

test('a select written by hand says where the job runs, and nothing else does', () => {
  expect(options({ time: 60 }, ['-l select=2:ncpus=4:cpu_type=rome', '-l place=scatter'])).toEqual([
    '-l walltime=00:01:00',
    '-l select=2:ncpus=4:cpu_type=rome',
    '-l place=scatter',
  ])
  expect(() => options({ nodes: 2 }, ['-lselect=2:ncpus=4'])).toThrow(
    'nodes: "-lselect=2:ncpus=4" says already where the job runs: leave one of them out',
  )
})

describe('raw directives', () => {
  test.each<[string[], string, true | RegExp]>([
    [['-l cpu_type=*'], '-l cpu_type=rome', true],
    [['-lcpu_type=*'], '-l cpu_type=rome', true],
    [['-P*'], '-P heat', true],
    [['-M *@example.org'], '-M ada@example.org', true],
    [['-M *@example.org'], '-M ada@evil.example', /^-M is not among .*: it allows -M \*@example.org$/],
    [[], '-P heat', /it allows none$/],
    [['-l cpu_type=*'], '-l cpu_type=rome,walltime=99:00:00', /holds several resources/],
    [['-W umask=*'], '-W umask=22,depend=afterok:1', /holds several attributes/],
    [['*'], '-W depend=afterok:1.vm', /^-W depend cannot be used: dependencies are written as needs$/],
    [['*'], '-W Depend=afterok:1.vm', /cannot be used/],
    [['*'], '-o /etc/cron.d/x', /^-o cannot be used: the job writes to a log of the service/],
    [['*'], '-N x', /^-N cannot be used: the service finds its jobs again by their name$/],
    [['*'], '-J 1-3', /^-J cannot be used/],
    [['*'], '-I', /^-I cannot be used/],
    [['*'], '-V', /^-V cannot be used/],
    [['*'], '-l', /needs a value/],
    [['*'], '-l nosuch', /names no resource/],
    [['*'], '--nodes=2', /is not an option as qsub has them/],
    [['*'], '-l a="b c"', /holds a blank, a quote/],
    [['*'], '-l a=b\n#PBS -I', /newline/],
  ])('a site that allows %j is asked for %s', (allowed, directive, answer) => {
    const found = allowedDirective(allowed, directive)
    if (answer === true) expect(found).toBe(true)
    else expect(found).toMatch(answer)
  })
})

describe('the #PBS lines of a script', () => {
  const read = (...lines: string[]) =>
    readDirectives(['#!/bin/bash', ...lines, 'echo hello', '#PBS -l ncpus=99'].join('\n'))

  test('what most scripts hold', () => {
    expect(
      read(
        '#PBS -N heat',
        '#PBS -q workq',
        '#PBS -A phys',
        '#PBS -l select=2:ncpus=32:mpiprocs=8:mem=64gb:ngpus=4',
        '#PBS -l walltime=04:00:00',
        '#PBS -j oe',
        '#PBS -m abe -M ada@example.org',
      ),
    ).toEqual({
      resources: {
        partition: 'workq',
        account: 'phys',
        time: 14_400,
        nodes: 2,
        ntasks_per_node: 8,
        cpus_per_task: 4,
        mem: 65_536,
        gpus_per_node: gpus(4),
      },
      lines: {
        partition: 3,
        account: 4,
        nodes: 5,
        ntasks_per_node: 5,
        cpus_per_task: 5,
        mem: 5,
        gpus_per_node: 5,
        time: 6,
      },
      directives: [
        { directive: '-m abe', line: 8 },
        { directive: '-M ada@example.org', line: 8 },
      ],
      dropped: [
        { directive: '-N heat', line: 2, reason: '-N cannot be used: the service finds its jobs again by their name' },
        {
          directive: '-j oe',
          line: 7,
          reason: '-j cannot be used: the job writes to a log of the service, which shows it',
        },
      ],
    })
  })

  test.each<[string[], Resources]>([
    [['#PBS -l nodes=2:ppn=8,walltime=3600,mem=16gb'], { time: 3_600, nodes: 2, ntasks_per_node: 8, mem: 8_192 }],
    [['#PBS -lnodes=4'], { nodes: 4 }],
    [['#PBS -l ncpus=4 -l mem=2gb'], { nodes: 1, cpus_per_task: 4, mem: 2_048 }],
    [['#PBS -l select=1:ncpus=8:mem=512mb'], { nodes: 1, cpus_per_task: 8, mem: 512 }],
    [['#PBS -l select=16:ncpus=2:mem=4gb'], { ntasks: 16, cpus_per_task: 2, mem_per_cpu: 2_048 }],
    [['#PBS -l select=4:ncpus=2', '#PBS -l place=scatter:excl'], { nodes: 4, cpus_per_task: 2, exclusive: true }],
    [['#PBS -l select=1', '#PBS -l select=3:ncpus=1:mpiprocs=1'], { ntasks: 3 }],
    [['  #PBS -p -10'], { nice: 10 }],
    [['#PBS -l \\', 'walltime=01:30'], { time: 90 }],
    [['#PBS -q "workq" # the default'], { partition: 'workq' }],
    [[': no command', '#PBS -q workq'], { partition: 'workq' }],
  ])('%j', (lines, resources) => {
    expect(read(...lines)).toMatchObject({ resources, directives: [], dropped: [] })
  })

  test.each([
    [['#PBS -l select=1:ncpus=4:cpu_type=rome'], ['-l select=1:ncpus=4:cpu_type=rome']],
    [
      ['#PBS -l select=1:ncpus=4+2:ncpus=8', '#PBS -l place=pack'],
      ['-l select=1:ncpus=4+2:ncpus=8', '-l place=pack'],
    ],
    [['#PBS -l select=2:ncpus=4:mpiprocs=3'], ['-l select=2:ncpus=4:mpiprocs=3']],
    [
      ['#PBS -l select=2:ncpus=4', '#PBS -l place=vscatter'],
      ['-l select=2:ncpus=4', '-l place=vscatter'],
    ],
    [['#PBS -l nodes=n1+n2:ppn=2'], ['-l nodes=n1+n2:ppn=2']],
    [
      ['#PBS -l matlab=1', '#PBS -v A=1', '#PBS -P heat'],
      ['-l matlab=1', '-v A=1', '-P heat'],
    ],
  ])('what our keys cannot say stays as it is: %j', (lines, kept) => {
    const found = read(...lines)
    expect(found.directives.map(({ directive }) => directive)).toEqual(kept)
    expect(found).toMatchObject({ resources: {}, dropped: [] })
  })

  test('-J is an array, in the words of array:', () => {
    expect(read('#PBS -J 0-8:2%4').array).toEqual({ text: '0-8:2%4', line: 2 })
  })

  test.each([['#PBS -W depend=afterok:12'], ['#PBS -h'], ['#PBS -I']])(
    'without %s something else would be computed',
    line => {
      expect(read(line).dropped).toMatchObject([{ line: 2, essential: true }])
    },
  )

  test('lines that qsub would not read either are said', () => {
    expect(read('#PBS -q "workq', '#PBS heat', '#PBS -q').dropped.map(({ reason }) => reason)).toEqual([
      'a quote (") is not closed',
      'not an option',
      '-q needs a value',
    ])
  })

  test('what was read asks for the same again', () => {
    const { resources } = read('#PBS -l select=2:ncpus=32:mpiprocs=8:ompthreads=4:mem=64gb', '#PBS -l place=scatter')
    expect(options(resources)).toEqual(['-l select=2:ncpus=32:mpiprocs=8:ompthreads=4:mem=65536mb', '-l place=scatter'])
  })
})
