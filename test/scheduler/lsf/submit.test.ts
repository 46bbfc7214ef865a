import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { lsfShell } from '../../../src/scheduler/lsf/shell.ts'
import { submitArguments } from '../../../src/scheduler/lsf/submit.ts'
import { jobRequest } from '../requests.ts'

const usual = ['-J', 'compops-00000000-0000-4000-8000-000000000003', '-Jd', 'physics/ising calc/4d simulate by ada']

describe('arguments of bsub', () => {
  test('of a job that asks for little', () => {
    expect(submitArguments(jobRequest({}))).toEqual([...usual, '-o', '/scratch/attempt/scheduler.log', '-rn'])
  })

  test("of one that asks for much: one -R, the sections in LSF's order", () => {
    const request = jobRequest(
      {
        requeue: true,
        resources: {
          partition: 'gpu',
          account: 'physics',
          time: 5_401,
          nodes: 2,
          ntasks: 8,
          cpus_per_task: 2,
          mem: 16_384,
          gpus: { type: 'a100', count: 4 },
          constraint: 'rome|milan',
          licenses: 'ansys:2,abaqus',
          exclusive: true,
        },
        directives: ['-app matlab', '-R "order[mem]"'],
      },
      { dependsOn: ['12', '13'] },
    )
    expect(submitArguments(request)).toEqual([
      ...usual,
      '-o',
      '/scratch/attempt/scheduler.log',
      '-r',
      '-w',
      'done(12) && done(13)',
      '-q',
      'gpu',
      '-P',
      'physics',
      '-W',
      '1:31',
      '-n',
      '16',
      '-M',
      '16384MB',
      '-gpu',
      'num=2:j_exclusive=yes:gmodel=a100',
      '-x',
      '-R',
      'select[rome || milan] rusage[mem=16384MB/host,ansys=2,abaqus=1] span[ptile=8]',
      '-app',
      'matlab',
      '-R',
      'order[mem]',
    ])
  })

  test('of an array', () => {
    const request = jobRequest({}, { array: { numbers: [1, 2, 3, 7], throttle: 4 } })
    expect(submitArguments(request).slice(0, 2)).toEqual([
      '-J',
      'compops-00000000-0000-4000-8000-000000000003[1-3,7]%4',
    ])
    expect(submitArguments(request)).toContain('/scratch/attempt/scheduler.log.%I')
  })

  test.each([
    [
      { qos: 'high' },
      'qos: "high" cannot be said to LSF: LSF has no QOS; a service class is `directives: ["-sla NAME"]`',
    ],
    [{ nice: 5 }, 'nice: "5" cannot be said to LSF'],
    [{ gres: 'gpu:2' }, 'gres: "gpu:2" cannot be said to LSF'],
    [{ nodes: 3, ntasks: 4 }, 'ntasks: 4 tasks cannot be laid out on 3 nodes'],
    [{ nodes: 2, ntasks: 4, ntasks_per_node: 4 }, 'ntasks: 4 tasks are not 4 on each of 2 nodes'],
    [{ nodes: 2, gpus: { type: null, count: 3 } }, 'gpus: 3 GPUs are not the same number on each of 2 nodes'],
    [{ ntasks: 3, gpus: { type: null, count: 4 } }, 'write nodes, or gpus_per_node'],
    [{ mem: 1, mem_per_cpu: 1 }, 'mem: write either mem or mem_per_cpu'],
  ])('%j is refused', (resources, message) => {
    expect(() => submitArguments(jobRequest({ resources }))).toThrow(message)
  })

  test.each([
    [{ cpus_per_task: 4 }, ['-n', '4', '-R', 'span[hosts=1]']],
    [{ ntasks: 2, cpus_per_task: 4 }, ['-n', '8', '-R', 'span[block=4]']],
    [{ nodes: 2, ntasks_per_node: 4 }, ['-n', '8', '-R', 'span[ptile=4]']],
    [{ nodes: 1 }, ['-n', '1', '-R', 'span[hosts=1]']],
    [{ ntasks: 4, gpus: { type: null, count: 8 } }, ['-n', '4', '-gpu', 'num=2/task:j_exclusive=yes']],
    [{ gpus: { type: null, count: 2 } }, ['-gpu', 'num=2:j_exclusive=yes']],
    [{ time: 1 }, ['-W', '0:01']],
  ])('%j', (resources, words) => {
    expect(submitArguments(jobRequest({ resources })).slice(7)).toEqual(words)
  })
})

describe('what bsub is given, by its version', () => {
  let place: string
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), 'compops-bsub-'))
  })
  afterEach(() => rmSync(place, { recursive: true }))

  function submit(
    version: string,
    conf: string,
    words: readonly string[],
    script = "/scratch/a b/it's/script",
  ): string[] {
    const text = `#!/bin/sh
case $1 in -V) printf '%s\\n' '${version}' >&2; exit ;; esac
{ printf '%s\\n' "$@"; printf 'in %s\\n' "$(cat)"; env | grep -E '^(TZ|LC_ALL|BSUB_|LSB_)'; } >'${place}/given'
echo 'Job <1> is submitted to queue <normal>.'
`
    writeFileSync(join(place, 'bsub'), text)
    chmodSync(join(place, 'bsub'), 0o755)
    writeFileSync(join(place, 'lsf.conf'), conf)
    const env = {
      PATH: `${place}:/usr/bin:/bin`,
      LSF_ENVDIR: place,
      TZ: 'UTC',
      LC_ALL: 'C',
      BSUB_QUIET: 'Y',
      BSUB_STDERR: 'Y',
    }
    execFileSync('dash', ['-c', `${lsfShell}\nscheduler_submit "$@"`, 'sh', script, ...words], { env })
    return readFileSync(join(place, 'given'), 'utf8').trimEnd().split('\n')
  }
  const ran = `in exec /bin/bash -l '/scratch/a b/it'\\''s/script'`
  const asked = [
    '-J',
    'x',
    '-Jd',
    '-M 1MB',
    '-rn',
    '-M',
    '16384MB',
    '-R',
    'rusage[mem=16384MB/host,ansys=2] span[ptile=8]',
  ]

  test.each([
    ['IBM Spectrum LSF Standard 10.1.0.12, Jun 10 2021', '', asked],
    [
      'IBM Spectrum LSF Standard 10.1.0.6, Jun 10 2018',
      '',
      [...asked.slice(0, 8), 'rusage[mem=16384MB,ansys=2] span[ptile=8]'],
    ],
    [
      'IBM Platform LSF Standard 9.1.3.0, Jul 4 2014',
      'LSF_UNIT_FOR_LIMITS=GB\n',
      [...asked.slice(0, 6), '16', '-R', 'rusage[mem=16,ansys=2] span[ptile=8]'],
    ],
    [
      'IBM Platform LSF Standard 9.1.3.0, Jul 4 2014',
      '# LSF_UNIT_FOR_LIMITS=GB\n',
      [...asked.slice(0, 6), '16777216', '-R', 'rusage[mem=16384,ansys=2] span[ptile=8]'],
    ],
    [
      'volclava project 2.2, Nov 20 2026',
      '',
      ['-J', 'x', '-Jd', '-M 1MB', '-M', '16777216', '-R', 'rusage[mem=16384,ansys=2] span[ptile=8]'],
    ],
  ])('%s, lsf.conf %j', (version, conf, words) => {
    expect(submit(version, conf, asked)).toEqual([...words, ran])
  })

  test('a part of a unit is rounded up', () => {
    expect(submit('volclava project 2.2', 'LSF_UNIT_FOR_LIMITS = "GB"\n', ['-M', '1500MB'])).toEqual(['-M', '2', ran])
  })
})
