import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { CompopsError } from '../../src/errors.ts'
import { parseSpec, readSpec } from '../../src/spec/index.ts'
import { contextWith, falcon, hawk, noDirectives, sentences } from '../support/spec-context.ts'

const manual = `cluster: falcon
parent: calc/base
defaults: { partition: short, time: 30m, mem: 2G, env: { A: "1", B: "1" } }
jobs:
  mesh:
    setup: [module load gmsh]
    script: [make mesh]
    outputs: [mesh/*.msh]
  simulate:
    needs: [mesh]
    file: jobs/simulate.sh
    nodes: 2
    ntasks: 8
    cpus_per_task: 4
    gpus: a100:2
    time: "04:00:00"
    env: { B: "2", OMP_NUM_THREADS: "4" }
    params: { problem: 4d_benchmark, degree: 12, grid: [1, 2.5], deep: { on: true, off: null } }
    outputs: ["results/**/*.csv"]
    metrics: results/metrics.json
    directives: ["--hint=nomultithread"]
    requeue: true
`

const batch = {
  resources: { qos: 'high', time: 60, account: 'phys' },
  lines: { qos: 2, time: 3, account: 4 },
  directives: [{ directive: '--hint=compute_bound', line: 5 }],
  dropped: [{ directive: '--output=x', line: 6, reason: 'the service writes the log' }],
}

test('the file of the manual becomes two jobs with every default applied and every origin named', async () => {
  const result = await parseSpec(manual, contextWith({ 'jobs/simulate.sh': '#!/bin/bash -l\n./simulate\n' }, batch))
  expect(result).toEqual({
    sha256: createHash('sha256').update(manual).digest('hex'),
    leftOut: [],
    includes: [],
    notices: ['simulate: jobs/simulate.sh, line 6: `--output=x` is left out: the service writes the log'],
    parentPlace: { line: manual.split('\n').indexOf('parent: calc/base') + 1, column: 1 },
    spec: {
      parent: 'calc/base',
      jobs: [
        {
          name: 'mesh',
          cluster: 'falcon',
          needs: [],
          setup: ['module load gmsh'],
          script: ['make mesh'],
          file: null,
          resources: { partition: 'short', time: 1_800, mem: 2_048 },
          env: { A: '1', B: '1' },
          params: {},
          outputs: ['mesh/*.msh'],
          metrics: null,
          directives: [],
          requeue: false,
          origins: {
            cluster: '.compops.yml line 1',
            partition: '.compops.yml line 3',
            time: '.compops.yml line 3',
            mem: '.compops.yml line 3',
            'env.A': '.compops.yml line 3',
            'env.B': '.compops.yml line 3',
            setup: '.compops.yml line 6',
            script: '.compops.yml line 7',
            outputs: '.compops.yml line 8',
          },
        },
        {
          name: 'simulate',
          cluster: 'falcon',
          needs: ['mesh'],
          setup: [],
          script: null,
          file: { path: 'jobs/simulate.sh', interpreter: ['/bin/bash', '-l'] },
          resources: {
            partition: 'short',
            time: 14_400,
            qos: 'high',
            account: 'phys',
            mem: 2_048,
            nodes: 2,
            ntasks: 8,
            cpus_per_task: 4,
            gpus: { type: 'a100', count: 2 },
          },
          env: { A: '1', B: '2', OMP_NUM_THREADS: '4' },
          params: { problem: '4d_benchmark', degree: 12, grid: [1, 2.5], deep: { on: true, off: null } },
          outputs: ['results/**/*.csv'],
          metrics: 'results/metrics.json',
          directives: ['--hint=compute_bound', '--hint=nomultithread'],
          requeue: true,
          origins: {
            cluster: '.compops.yml line 1',
            partition: '.compops.yml line 3',
            time: '.compops.yml line 16',
            qos: '#SBATCH line 2 of jobs/simulate.sh',
            account: '#SBATCH line 4 of jobs/simulate.sh',
            mem: '.compops.yml line 3',
            nodes: '.compops.yml line 12',
            ntasks: '.compops.yml line 13',
            cpus_per_task: '.compops.yml line 14',
            gpus: '.compops.yml line 15',
            'directives[0]': '#SBATCH line 5 of jobs/simulate.sh',
            'directives[1]': '.compops.yml line 21',
            'env.A': '.compops.yml line 3',
            'env.B': '.compops.yml line 17',
            'env.OMP_NUM_THREADS': '.compops.yml line 17',
            'params.problem': '.compops.yml line 18',
            'params.degree': '.compops.yml line 18',
            'params.grid': '.compops.yml line 18',
            'params.deep': '.compops.yml line 18',
            needs: '.compops.yml line 10',
            file: '.compops.yml line 11',
            outputs: '.compops.yml line 19',
            metrics: '.compops.yml line 20',
            requeue: '.compops.yml line 22',
          },
        },
      ],
    },
  })
})

function only(text: string, files: Record<string, string> = {}, directives = noDirectives) {
  const result = readSpec(text, contextWith(files, directives))
  expect(sentences(result)).toEqual([])
  const job = 'spec' in result ? result.spec.jobs.at(-1) : undefined
  if (job === undefined) throw new Error('no job')
  return job
}

describe('precedence: job over defaults over the lines of the batch script over the cluster', () => {
  const script = { 'a.sh': '#!/bin/sh\n' }
  const lines = { ...noDirectives, resources: { time: 60 }, lines: { time: 2 } }
  test.each([
    ['jobs: { a: { script: x } }', 3_600, 'default of cluster falcon'],
    ['jobs: { a: { file: a.sh } }', 60, '#SBATCH line 2 of a.sh'],
    ['defaults: { time: 2m }\njobs: { a: { file: a.sh } }', 120, '.compops.yml line 1'],
    ['defaults: { time: 2m }\njobs: { a: { file: a.sh, walltime: 3m } }', 180, '.compops.yml line 2'],
  ])('%s', (text, time, origin) => {
    const job = only(text, script, lines)
    expect(job.resources.time).toBe(time)
    expect(job.origins.time).toBe(origin)
  })

  test('memory for each CPU displaces memory for each node of a farther level, and the other way round', () => {
    const perCpu = only('defaults: { mem: 2G }\njobs: { a: { script: x, mem_per_cpu: 1G } }')
    expect(perCpu.resources).toEqual({ partition: 'main', time: 3_600, mem_per_cpu: 1_024 })
    expect(perCpu.origins.mem).toBeUndefined()
    expect(only('defaults: { mem_per_cpu: 2G }\njobs: { a: { script: x, mem: 1G } }').resources.mem).toBe(1_024)
  })

  test('a job has its own list instead of the default one', () => {
    const job = only(
      'defaults: { setup: [a], directives: ["--hint=x"] }\njobs: { a: { script: x, setup: [b], directives: ["--hint=y"] } }',
    )
    expect([job.setup, job.directives]).toEqual([['b'], ['--hint=y']])
  })

  test('a job may go to another allowed cluster, whose defaults then hold', () => {
    const job = only('cluster: falcon\njobs: { a: { script: x, cluster: hawk } }')
    expect([job.cluster, job.resources, job.origins.cluster]).toEqual(['hawk', {}, '.compops.yml line 2'])
    expect(only('jobs: { a: { script: x } }').origins.cluster).toBe('first cluster of the project')
  })
})

describe('other tools’ names are understood', () => {
  test.each([
    ['queue: gpu', { partition: 'gpu' }],
    ['queue_name: gpu', { partition: 'gpu' }],
    ['wall_time: 2h', { time: 7_200 }],
    ['runtime: 90', { time: 5_400 }],
    ['max_wallclock_seconds: 90', { time: 90 }],
    ['mem_mb: 2000', { mem: 2_000 }],
    ['memory: 16GB', { mem: 16_384 }],
    ['cores: 4', { cpus_per_task: 4 }],
    ['num_mpiprocs_per_machine: 4', { ntasks_per_node: 4 }],
    ['gpu: H100:2', { gpus: { type: 'H100', count: 2 } }],
    ['bank: phys', { account: 'phys' }],
  ])('%s', (line, resources) => {
    expect(only(`jobs:\n  a:\n    script: x\n    ${line}\n`).resources).toMatchObject(resources)
  })

  test('GitLab’s', () => {
    const job = only(
      `jobs:
  b: { script: x }
  a:
    before_script: [module load x]
    script: |
      make
      make check
    variables: { A: "1" }
    artifacts: { paths: [results/] }
    needs: [{ job: b }]
`.replace('results/', 'results/*'),
    )
    expect(job).toMatchObject({
      setup: ['module load x'],
      script: ['make\nmake check\n'],
      env: { A: '1' },
      outputs: ['results/*'],
      needs: ['b'],
    })
  })

  test('a need may say what of the job is waited for; the usual kind needs no word', () => {
    const text =
      'jobs: { b: { script: x }, c: { script: x }, a: { script: x, needs: [{ job: b, kind: any }, { job: c, kind: afterok }] } }'
    expect(only(text).needs).toEqual([{ job: 'b', kind: 'any' }, 'c'])
  })

  test('one text of options is split, lists in lists are one list', () => {
    expect(only('jobs: { a: { script: x, clusterOptions: "--hint=a  --hint=b" } }').directives).toEqual([
      '--hint=a',
      '--hint=b',
    ])
    expect(only('defaults: { setup: &s [a, b] }\njobs: { a: { script: [*s, [c]] } }').script).toEqual(['a', 'b', 'c'])
  })
})

describe('mistakes, as a person reads them', () => {
  test.each([
    ['', ['1: The file is empty. Write `jobs:` and below it at least one job with a `script`.']],
    ['# nothing\n', ['1: The file is empty. Write `jobs:` and below it at least one job with a `script`.']],
    ['- a\n', ['1: The file must hold keys and values, not a list. Write `key: value` lines below it, indented.']],
    ['jobs:\n', ['1: There are no jobs. Write `jobs:` and below it at least one job with a `script`.']],
    ['jobs: {}\n', ['1: There are no jobs. Write `jobs:` and below it at least one job with a `script`.']],
    ['jbos: {}\njobs: { a: { script: x } }', ['1: `jbos` is not a key of this file. Did you mean `jobs`?']],
    ['jobs:\n  a:\n', ['2: The job `a` has nothing to do. Write a `script` below it.']],
    [
      'jobs: { a: { time: 1h } }',
      ['1: The job `a` has nothing to do. Write a `script`, or the `file` of a batch script.'],
    ],
    ['jobs: { a: { script: [] } }', ['1: The `script` is empty. Write at least one command.']],
    ['jobs: { a: { script: ["", " "] } }', ['1: The `script` is empty. Write at least one command.']],
    [
      'jobs:\n  a:\n    script: x\n    file: a.sh\n',
      [
        '4: The job `a` has both `script` and `file`. Keep one of them.',
        '4: There is no file `a.sh` in this commit. Commit it, or correct the path; it begins at the top folder of the repository.',
      ],
    ],
    [
      'jobs:\n  a:\n    script: echo a: b\n',
      [
        '3: YAML sees a key inside a value here. Indent it as a line of its own, or put a text that contains `: ` in quotes.',
      ],
    ],
    [
      'jobs:\n  a:\n    script:\n      - echo a: b\n',
      [
        "4: YAML reads this command as a key and a value, because `: ` stands in it. Put the whole command in quotes: '…'.",
      ],
    ],
    [
      'jobs: { a: { script: x, cpus_per_taks: 4 } }',
      ['1: `cpus_per_taks` is not a key of a job. Did you mean `cpus_per_task`?'],
    ],
    [
      'jobs: { a: { script: x, cpus-per-task: 4 } }',
      ['1: `cpus-per-task` is not a key of a job. Did you mean `cpus_per_task`?'],
    ],
    ['jobs: { a: { script: x, xyzzy: 4 } }', ['1: `xyzzy` is not a key of a job.']],
    [
      'jobs: { a: { script: x, array: 9-0 } }',
      [
        '1: `array`: The range 9-0 ends before it begins. Write for example `0-9`, `0-9%4` (four at once), `0-100:10` or `1,3,7-9`.',
      ],
    ],
    [
      'jobs: { a: { script: x, array: 10 } }',
      ['1: `array` must say which tasks there are. Write `0-9` for 10 tasks, or `[10]` for one.'],
    ],
    ['keep: 3\njobs: { a: { script: x } }', ['1: `keep` is not supported yet. Leave it out: run directories stay.']],
    [
      'defaults: { script: x }\njobs: { a: { script: x } }',
      ['1: `script` is not a key of `defaults`. Write it in a job.'],
    ],
    [
      'jobs: { a: { script: x, time: 1h, walltime: 2h } }',
      ['1: `walltime` and `time` mean the same. Keep one of them.'],
    ],
    [
      'jobs: { a: { script: x, mem: 1G, mem_per_cpu: 1G } }',
      ['1: `mem` and `mem_per_cpu` exclude each other. Keep one of them.'],
    ],
    ['jobs: { a: { script: x, time: } }', ['1: `time` is empty. Write a value, or leave the key out.']],
    [
      'jobs: { a: { script: x, time: 00:30:00 } }',
      [
        '1: `time`: An unquoted time with colons is a number to some YAML readers. Write "00:30:00" in quotes, or `30m`.',
      ],
    ],
    [
      'jobs: { a: { script: x, time: 1800 } }',
      ['1: `time`: 1800 has no unit. Write `1800m` for minutes, `1800s` for seconds, or "hh:mm:ss" in quotes.'],
    ],
    ['jobs: { a: { script: x, partition: [a, b] } }', ['1: `partition` must be a single value, not a list.']],
    ['jobs: { a: { script: 7 } }', ['1: `script` must be a text, but `7` is a number. Write it in quotes: "7".']],
    [
      'jobs: { a: { script: x, env: { A: 1 } } }',
      ['1: `A` must be a text, but `1` is a number. Write it in quotes: "1".'],
    ],
    [
      'jobs: { a: { script: x, env: { A: true } } }',
      ['1: `A` must be a text, but `true` is a truth value. Write it in quotes: "true".'],
    ],
    ['jobs: { a: { script: x, env: { A: "x\\ny" } } }', ['1: `A` holds a line end. Write it on one line.']],
    ['jobs: { a: { script: x, env: { A: "x\\0y" } } }', ['1: `A` holds a NUL character. Write it on one line.']],
    ['jobs: { a: { script: "x\\0" } }', ['1: `script` holds a NUL character. Take it out.']],
    [
      'jobs: { a: { script: x, env: { 1A: "x" } } }',
      ['1: `1A` cannot be the name of a variable. Use letters, digits and `_`; no digit in front.'],
    ],
    [
      'jobs: { a: { script: x, env: { COMPOPS_SHA: "x" } } }',
      ['1: Variables that begin with `COMPOPS_` are set by the service. Choose another name.'],
    ],
    [
      'jobs: { a: { script: x, env: { PATH: "/x:$PATH" } } }',
      ["1: `PATH` decides how the job's shell itself works. Set it in `setup`: `export PATH=…`."],
    ],
    [
      'jobs: { a: { script: x, params: { n: 12345678901234567890 } } }',
      ['1: `12345678901234567890` has more digits than a number can keep. Write it in quotes: "12345678901234567890".'],
    ],
    [
      'jobs: { a: { script: x, params: { n: .nan } } }',
      ['1: `.nan` is not a number that JSON knows. Write it in quotes: ".nan".'],
    ],
    [
      'jobs: { a: { script: x, params: { a-b: 1, a_b: 2 } } }',
      ['1: `a_b` and `a-b` would both be COMPOPS_PARAM_A_B. Rename one of them.'],
    ],
    [
      'jobs: { a: { script: x, outputs: [/etc/passwd] } }',
      [
        '1: `/etc/passwd` is not relative. Write it from the top folder of the repository, for example `results/*.csv`.',
      ],
    ],
    [
      'jobs: { a: { script: x, outputs: [a/../../b] } }',
      ['1: `a/../../b` leads out with `..`. Write a path inside the repository.'],
    ],
    [
      'jobs: { a: { script: x, outputs: [results/] } }',
      ['1: `results/` is a folder. Write `results/**` for all files in it.'],
    ],
    [
      'jobs: { a: { script: x, outputs: ["a/**/b/**/c/**/d/**"] } }',
      ['1: `a/**/b/**/c/**/d/**` has `**` more than three times. Write a simpler pattern.'],
    ],
    [
      `jobs: { a: { script: x, outputs: [${Array(21).fill('a').join('/')}] } }`,
      ['1: `a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a` is deeper than 20 folders. Write a shorter path.'],
    ],
    [
      'jobs: { a: { script: x, metrics: "r/*.json" } }',
      ['1: `metrics`: `r/*.json` is a pattern. Write the path of one file.'],
    ],
    [
      'jobs: { a: { script: x, metrics: { file: m.json, better: { rmse: smaller } } } }',
      ['1: `rmse` cannot be `smaller`. It is one of `lower`, `higher`.'],
    ],
    [
      'jobs: { a: { script: x, metrics: { file: m.json, noise: 0.01 } } }',
      ['1: `noise` is `0.01`, which is no percentage below 100. Write for example `noise: 1%`.'],
    ],
    [
      'jobs: { a: { script: x, metrics: { better: { rmse: lower } } } }',
      ['1: `metrics` must name a file. Write `metrics: { file: results/metrics.json, better: { rmse: lower } }`.'],
    ],
    [
      'jobs: { a: { script: x, metrics: { file: m.json, nois: 1% } } }',
      ['1: `nois` is not a key of `metrics`. Did you mean `noise`?'],
    ],
    [
      'jobs: { a: { script: x, metrics: .git/config } }',
      ['1: `metrics`: `.git/config` leads into `.git`. Write a path outside of it.'],
    ],
    [
      'jobs: { a: { file: ../a.sh } }',
      ['1: `file`: `../a.sh` leads out with `..`. Write a path inside the repository.'],
    ],
    [
      'jobs: { a: { file: a.sh } }',
      [
        '1: There is no file `a.sh` in this commit. Commit it, or correct the path; it begins at the top folder of the repository.',
      ],
    ],
    [
      'jobs: { a: { script: x, directives: ["--uid=0"] } }',
      ['1: `--uid=0` is not allowed: it is not on the list of this cluster.'],
    ],
    [
      'cluster: hawk\njobs: { a: { script: x, directives: ["--hint=x"] } }',
      ['2: `--hint=x` is not allowed: it is not on the list of this cluster.'],
    ],
    [
      'jobs: { a: { script: x, directives: ["#SBATCH --hint=x"] } }',
      ['1: `#SBATCH --hint=x` is not an option of a scheduler. Write only the option: `--hint=x`.'],
    ],
    [
      'jobs: { a: { script: x, directives: ["--hint=x\\n--uid=0"] } }',
      ['1: `directives[0]` holds a line end. Write it on one line.'],
    ],
    [
      'jobs: { a: { script: x, slurm_extra: "--a=\'b c\'" } }',
      ['1: Options with quotes cannot be told apart here. Write a list: `directives: ["--a=b c"]`.'],
    ],
    [
      'cluster: hwk\njobs: { a: { script: x } }',
      ['1: This project may not use a cluster `hwk`. Did you mean `hawk`? It may use `falcon`, `hawk`.'],
    ],
    [
      'jobs: { a: { script: x, cluster: osprey } }',
      ['1: This project may not use a cluster `osprey`. It may use `falcon`, `hawk`.'],
    ],
    [
      'jobs: { b: { script: x }, a: { script: x, needs: [{ job: b, kind: afternotko }] } }',
      [
        '1: `kind` cannot be `afternotko`. Did you mean `afternotok`? It is one of `after`, `afterok`, `afternotok`, `any`.',
      ],
    ],
    [
      'jobs: { b: { script: x }, a: { script: x, needs: [{ jobs: b }] } }',
      ['1: `jobs` is not a key of `needs`. Did you mean `job`?'],
    ],
    [
      'jobs: { b: { script: x }, a: { script: x, needs: [{ job: b, kind: any }, b] } }',
      ['1: `b` stands here twice. Keep one.'],
    ],
    ['jobs: { a: { script: x, needs: [a] } }', ['1: The job `a` needs itself. Take it out.']],
    [
      'jobs: { mesh: { script: x }, a: { script: x, needs: [msh] } }',
      ['1: There is no job `msh` to need. Did you mean `mesh`?'],
    ],
    ['jobs: { b: { script: x }, a: { script: x, needs: [b, b] } }', ['1: `b` stands here twice. Keep one.']],
    [
      'jobs: { a: { script: x, needs: b } }',
      ['1: `needs` must be a list, but it is `b`. Write `[a, b]`, or lines that begin with `- `.'],
    ],
    [
      'jobs:\n  a: { script: x, needs: [b] }\n  b: { script: x, needs: [c] }\n  c: { script: x, needs: [b] }\n',
      ['3: These jobs wait for each other for ever: `b` needs `c` needs `b`. Take one of them out of `needs`.'],
    ],
    [
      'jobs: { "a`b\\n/close": { script: x } }',
      [
        '1: `aˋb\\n/close` cannot be the name of a job. Use letters, digits, `_`, `.` and `-`, a letter or digit in front, at most 63.',
      ],
    ],
    ['jobs: { __proto__: { script: x } }', ['1: `__proto__` cannot be a key. Choose another name.']],
    [
      'jobs: { a: { script: x, params: { x: { constructor: 1 } } } }',
      ['1: `constructor` cannot be a key. Choose another name.'],
    ],
    [
      'parent: refs/heads/calc/base\njobs: { a: { script: x } }',
      ['1: `parent`: `refs/heads/calc/base` is a full ref. Write the short name: `calc/base`.'],
    ],
    [
      'supersede: nevr\njobs: { a: { script: x } }',
      ['1: `supersede` cannot be `nevr`. Did you mean `never`? It is one of `queued`, `all`, `never`.'],
    ],
    [
      'parent: 2024\njobs: { a: { script: x } }',
      ['1: `parent` must be a text, but `2024` is a number. Write it in quotes: "2024".'],
    ],
    [
      'parent: a..b\njobs: { a: { script: x } }',
      [
        '1: `parent`: `a..b` is not a name that git allows for a branch. Write the short name of a branch, for example `calc/base`.',
      ],
    ],
    ['jobs:\n\ta: 1\n', ['2: A tab stands where YAML wants spaces. Replace it by spaces.']],
    [
      'jobs: { a: { script: x } }\n---\njobs: {}\n',
      ['2: `---` begins a second document. Keep one document in the file.'],
    ],
    ['jobs: { a: { script: "x" } } \u0007', ['1: A control character (U+0007) stands here. Take it out.']],
  ])('%j', (text, expected) => {
    expect(sentences(readSpec(text, contextWith()))).toEqual(expected)
  })

  test('all at once, sorted by line', () => {
    const text = `jobs:
  a:
    cpus_per_taks: 4
    time: 30
    script: x
    needs: [nope]
cluster: osprey
`
    expect(sentences(readSpec(text, contextWith()))).toEqual([
      '3: `cpus_per_taks` is not a key of a job. Did you mean `cpus_per_task`?',
      '4: `time`: 30 has no unit. Write `30m` for minutes, `30s` for seconds, or "hh:mm:ss" in quotes.',
      '6: There is no job `nope` to need. Name a job of this file.',
      '7: This project may not use a cluster `osprey`. It may use `falcon`, `hawk`.',
    ])
  })

  test('a mistake in defaults is told once, not once a job', () => {
    const text =
      'defaults: { directives: ["--uid=0"] }\njobs: { a: { script: x }, b: { script: x }, c: { script: x } }\n'
    expect(sentences(readSpec(text, contextWith()))).toHaveLength(1)
  })

  test('an unknown partition, where the partitions are known', () => {
    const context = { ...contextWith(), clusters: [{ ...falcon, partitions: ['main', 'gpu'] }, hawk] }
    expect(sentences(readSpec('jobs: { a: { script: x, partition: "main,gpuu" } }', context))).toEqual([
      '1: The cluster `falcon` has no partition `gpuu`. Did you mean `gpu`? It has `main`, `gpu`.',
    ])
  })

  test('a project without clusters', () => {
    expect(sentences(readSpec('jobs: { a: { script: x } }', { ...contextWith(), clusters: [] }))).toEqual([
      '-: This project may use no cluster. Ask who runs the service to allow one.',
    ])
  })
})

describe('batch scripts', () => {
  test.each([
    ['', '1: `a.sh` is empty. Name a batch script.'],
    ['#!/bin/bash\r\nx\r\n', '1: `a.sh` has the line ends of Windows. Convert it, for example with `dos2unix`.'],
    ['#!bash\n', '1: `a.sh` names no whole path in its first line. Begin it with `#!/bin/bash`.'],
    ['\x7fELF\0', '1: `a.sh` is not a text. Name a batch script.'],
    ['x'.repeat(1_048_577), '1: `a.sh` is larger than 1 MiB. Name a batch script.'],
  ])('refused', (script, sentence) => {
    expect(sentences(readSpec('jobs: { a: { file: ./a.sh } }', contextWith({ 'a.sh': script })))).toEqual([sentence])
  })

  test.each([
    ['#!/bin/bash\n', ['/bin/bash']],
    ['#! /usr/bin/env -S python3 -u\n', ['/usr/bin/env', '-S python3 -u']],
    ['echo\n', ['/bin/sh']],
  ])('%j is run by %j', (script, interpreter) => {
    expect(only('jobs: { a: { file: a.sh } }', { 'a.sh': script }).file).toEqual({ path: 'a.sh', interpreter })
  })

  test('an option in them that the site does not allow is named with its line', () => {
    const lines = { ...noDirectives, directives: [{ directive: '--comment=<b>@all</b>', line: 3 }] }
    expect(sentences(readSpec('jobs: { a: { file: a.sh } }', contextWith({ 'a.sh': 'x' }, lines)))).toEqual([
      '1: `a.sh`, line 3: `--comment=<b>@all</b>` is not allowed: it is not on the list of this cluster.',
    ])
  })

  test('what the dialect cannot read is a mistake of the file, its text shown as code', () => {
    const context = {
      ...contextWith({ 'a.sh': 'x' }),
      readBatchDirectives: () => {
        throw new CompopsError('line 2: <img> is no number of nodes')
      },
    }
    expect(sentences(readSpec('jobs: { a: { file: a.sh } }', context))).toEqual([
      '1: `a.sh`: `line 2: <img> is no number of nodes`.',
    ])
  })

  test('a file that cannot be fetched is not the fault of .compops.yml', async () => {
    const context = {
      ...contextWith(),
      readFile: async () => {
        throw new CompopsError('GitLab is away', { transient: true })
      },
    }
    await expect(parseSpec('jobs: { a: { file: a.sh } }', context)).rejects.toThrow('GitLab is away')
  })
})

test('metrics as a map say which way they are good and what is noise; a job that says its own says all of it', () => {
  const read = readSpec(
    `defaults: { metrics: { file: m.json, better: { rmse: lower, "wall time": lower }, noise: 0.5% } }
jobs:
  a: { script: x }
  b: { script: x, metrics: other.csv }
`,
    contextWith(),
  )
  if ('problems' in read) throw new Error(sentences(read).join())
  expect(read.spec.jobs[0]).toMatchObject({
    metrics: 'm.json',
    better: { rmse: 'lower', 'wall time': 'lower' },
    noise: 0.005,
  })
  expect(read.spec.jobs[1]!.metrics).toBe('other.csv')
  expect(read.spec.jobs[1]).not.toHaveProperty('better')
})
