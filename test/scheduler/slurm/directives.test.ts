import { describe, expect, test } from 'vitest'
import type { Resources } from '../../../src/model/job-spec.ts'
import { allowedDirective, directives, readDirectives, readTimeLimit } from '../../../src/scheduler/slurm/directives.ts'

const options = (resources: Resources, raw: string[] = []) =>
  directives({ resources, directives: raw }).map(({ option }) => option)

test('every key, in the long options of sbatch', () => {
  const all: Resources = {
    partition: 'main',
    account: 'research',
    qos: 'normal',
    reservation: 'course_2026',
    time: 14_400,
    nodes: 2,
    ntasks: 8,
    ntasks_per_node: 4,
    cpus_per_task: 4,
    mem: 2048,
    mem_per_cpu: 512,
    gpus: { type: 'a100', count: 2 },
    gpus_per_node: { type: null, count: 1 },
    gres: 'gpu:a100:2,tmp:10G',
    constraint: '[rack1*2&rack2*4]|!old',
    licenses: 'matlab@lic:2,ansys:1',
    exclusive: true,
    nice: -5,
  }
  expect(options(all, ['--hint=nomultithread'])).toEqual([
    '--partition=main',
    '--account=research',
    '--qos=normal',
    '--reservation=course_2026',
    '--time=04:00:00',
    '--nodes=2',
    '--ntasks=8',
    '--ntasks-per-node=4',
    '--cpus-per-task=4',
    '--mem=2048M',
    '--mem-per-cpu=512M',
    '--gpus=a100:2',
    '--gpus-per-node=1',
    '--gres=gpu:a100:2,tmp:10G',
    '--constraint=[rack1*2&rack2*4]|!old',
    '--licenses=matlab@lic:2,ansys:1',
    '--exclusive',
    '--nice=-5',
    '--hint=nomultithread',
  ])
  expect(directives({ resources: all, directives: ['--hint=x'] }).map(({ key }) => key)).toEqual([
    ...Object.keys(all).sort(byOption),
    'directives[0]',
  ])
})

const order =
  'partition account qos reservation time nodes ntasks ntasks_per_node cpus_per_task mem mem_per_cpu gpus gpus_per_node gres constraint licenses exclusive nice'.split(
    ' ',
  )
const byOption = (a: string, b: string) => order.indexOf(a) - order.indexOf(b)

test.each([
  [1, '00:00:01'],
  [3600, '01:00:00'],
  [86_400, '1-00:00:00'],
  [183_845, '2-03:04:05'],
])('%i seconds are %s', (time, text) => {
  expect(options({ time })).toEqual([`--time=${text}`])
})

test.each([
  [{ partition: 'main\n#SBATCH --uid=0' }, 'partition'],
  [{ partition: 'main --uid=0' }, 'partition'],
  [{ partition: '' }, 'partition'],
  [{ account: '$(id)' }, 'account'],
  [{ qos: '-x' }, 'qos'],
  [{ constraint: 'a"b' }, 'constraint'],
  [{ gres: 'gpu:1#' }, 'gres'],
  [{ nodes: 0 }, 'nodes'],
  [{ nodes: 1.5 }, 'nodes'],
  [{ time: 0 }, 'time'],
  [{ time: Number.NaN }, 'time'],
  [{ gpus: { type: 'a 100', count: 1 } }, 'gpus'],
  [{ gpus: { type: null, count: -1 } }, 'gpus'],
] as const)('%j is refused, naming %s', (resources, key) => {
  expect(() => options(resources)).toThrow(new RegExp(`^${key}: `))
})

describe('raw directives', () => {
  test.each([
    [['--hint=*'], '--hint=nomultithread', true],
    [['--mail-*=*@example.org'], '--mail-user=ada@example.org', true],
    [
      ['--mail-*=*@example.org'],
      '--mail-user=ada@evil.example',
      '--mail-user is not among the directives that this cluster allows (allow_directives): it allows --mail-*=*@example.org',
    ],
    [['--contiguous'], '--contiguous', true],
    [
      [],
      '--contiguous',
      '--contiguous is not among the directives that this cluster allows (allow_directives): it allows none',
    ],
    [
      ['*'],
      '--output=/etc/cron.d/x',
      '--output cannot be used: the job writes to a log of the service, which shows it',
    ],
    [['*'], '--job-name=x', '--job-name cannot be used: the service finds its jobs again by their name'],
    [
      ['*'],
      '--outp=/etc/x',
      '--outp stands for --output, which cannot be used: the job writes to a log of the service, which shows it',
    ],
    [
      ['*'],
      '--dep=afterok:1',
      '--dep stands for --dependency, which cannot be used: dependencies are written as needs',
    ],
    [['--hint=*'], '--hin=x', '--hin is short for --hint: write it out'],
    [['*'], '-o', '"-o" is not an option as sbatch has them: write --option=value, in its long form'],
    [['*'], '--hint=x\n#SBATCH --uid=0', '"--hint=x\\n#SBATCH --uid=0" holds a newline or another control character'],
    [['*'], '--hint=x --uid=0', '"--hint=x --uid=0" holds a blank, a quote, a backslash or #'],
    [['*'], '--hint=x#y', '"--hint=x#y" holds a blank, a quote, a backslash or #'],
    [['*'], 'hint=x', '"hint=x" is not an option as sbatch has them: write --option=value, in its long form'],
    [['*'], '--some-new-option=1', true],
    [
      ['--a*b*c'],
      '--axxbyy',
      '--axxbyy is not among the directives that this cluster allows (allow_directives): it allows --a*b*c',
    ],
    [[`${'*'.repeat(40)}x`], `--hint=${'a'.repeat(5_000)}`, expect.stringContaining('is not among')],
  ])('%j: %j', (allowed, directive, answer) => {
    expect(allowedDirective(allowed, directive)).toEqual(answer)
  })

  test.each(
    'output error input open-mode job-name array wrap parsable wait export-file chdir dependency requeue test-only get-user-env uid gid clusters'.split(
      ' ',
    ),
  )('--%s is never allowed, not even when it was stored', name => {
    expect(allowedDirective(['*'], `--${name}=x`)).toContain('cannot be used')
    expect(() => options({}, [`--${name}=x`])).toThrow('cannot be used')
  })
})

describe("an existing script's own lines", () => {
  test('as sbatch reads them', () => {
    const text = `#!/bin/bash
# a comment
#SBATCH -p main --nodes=2
#SBATCH -n8 --cpus-per-task 4   # trailing words --mem=1G
#SBATCH --mem="4 G" --mem=4G
#SBATCH --constraint="rack1&rack2"

#SBATCH --time=1-02:03:04
#SBATCH --gpus=a100:2
#SBATCH --exclusive --hint=nomultithread
#SBATCH --mail-user='ada@example.org'
##SBATCH --qos=high
 #SBATCH --qos=high
module load x
#SBATCH --qos=high
`
    expect(readDirectives(text)).toEqual({
      resources: {
        partition: 'main',
        nodes: 2,
        ntasks: 8,
        cpus_per_task: 4,
        mem: 4096,
        constraint: 'rack1&rack2',
        time: 93_784,
        gpus: { type: 'a100', count: 2 },
        exclusive: true,
      },
      lines: {
        partition: 3,
        nodes: 3,
        ntasks: 4,
        cpus_per_task: 4,
        mem: 5,
        constraint: 6,
        time: 8,
        gpus: 9,
        exclusive: 10,
      },
      directives: [
        { directive: '--hint=nomultithread', line: 10 },
        { directive: '--mail-user=ada@example.org', line: 11 },
      ],
      dropped: [{ directive: '--mem=4 G', line: 5, reason: '"--mem=4 G" holds a blank, a quote, a backslash or #' }],
    })
  })

  test('lines that would break the contract are dropped, each with its reason', () => {
    const {
      dropped,
      resources,
      directives: kept,
    } = readDirectives(`#!/bin/bash
#SBATCH -J mine -o out.%j -e err.%j
#SBATCH --dep afterok:1 -D /tmp
#SBATCH --comment="unclosed
#SBATCH main
#SBATCH -Z
#SBATCH --partition
`)
    expect(dropped.map(({ line, directive }) => `${line}: ${directive}`)).toEqual([
      '2: --job-name=mine',
      '2: --output=out.%j',
      '2: --error=err.%j',
      '3: --dependency=afterok:1',
      '3: --chdir=/tmp',
      '4: #SBATCH --comment="unclosed',
      '5: main',
      '6: -Z',
      '7: --partition',
    ])
    expect(resources).toEqual({})
    expect(kept).toEqual([])
  })

  test('values we have no words for stay as they are', () => {
    expect(readDirectives('#SBATCH -N 2-4 --mem=0 --exclusive=user --gpus=a100:2,v100:1 --time=0\n')).toMatchObject({
      resources: {},
      directives: [
        { directive: '--nodes=2-4' },
        { directive: '--mem=0' },
        { directive: '--exclusive=user' },
        { directive: '--gpus=a100:2,v100:1' },
        { directive: '--time=0' },
      ],
    })
  })

  test('DOS line ends, prototypes and an empty script', () => {
    expect(readDirectives('#!/bin/bash\r\n#SBATCH -p main\r\n').resources).toEqual({ partition: 'main' })
    expect(readDirectives('#SBATCH --__proto__=x --constructor=y\n').resources).toEqual({})
    expect(readDirectives('')).toEqual({ resources: {}, lines: {}, directives: [], dropped: [] })
  })

  test('the last one wins', () => {
    expect(readDirectives('#SBATCH --hint=a -N1\n#SBATCH --hint=b -N2\n')).toMatchObject({
      resources: { nodes: 2 },
      lines: { nodes: 2 },
      directives: [{ directive: '--hint=b', line: 2 }],
    })
  })

  test.each([
    ['90', 5_400],
    ['90:30', 5_430],
    ['1:02:03', 3_723],
    ['2-3', 183_600],
    ['2-3:4', 183_840],
    ['2-3:4:5', 183_845],
    ['0', null],
    ['UNLIMITED', null],
    ['1h', null],
  ])('--time=%s is %s s', (text, seconds) => {
    expect(readTimeLimit(text)).toBe(seconds)
  })
})

test('nodes to keep away from, and the signal for checkpoints, which goes to the script alone', () => {
  const checkpoint = { signal: 'USR1', lead: 300, restarts: 10 } as const
  expect(
    directives({ resources: {}, directives: [], exclude: ['n1', 'rack-2.n7'], checkpoint }).map(({ option }) => option),
  ).toEqual(['--exclude=n1,rack-2.n7', '--signal=B:USR1@300'])
  expect(() => directives({ resources: {}, directives: [], exclude: ['n1 --hold'] })).toThrow('not the name of a node')
})
