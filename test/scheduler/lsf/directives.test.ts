import { expect, test } from 'vitest'
import type { Resources } from '../../../src/model/job-spec.ts'
import { allowedDirective, directives, readDirectives } from '../../../src/scheduler/lsf/directives.ts'

test('the lines of a batch script, as LSF users write them', () => {
  const read = readDirectives(`#!/bin/bash
#BSUB -J simulate
#BSUB -q normal -P physics     # where
#BSUB -n 16
#BSUB -R "span[ptile=8]"
#BSUB -R "rusage[mem=4000]"
#BSUB -W 4:30
#BSUB -M 8GB
#BSUB -gpu "num=2:mode=exclusive_process"
#BSUB -oo out.%J -e err.%J
#BSUB -B
module load gcc
#BSUB -x
#BSUBcomment -q no
 #BSUB -q no
mpirun ./simulate
`)
  expect(read.resources).toEqual({
    partition: 'normal',
    account: 'physics',
    ntasks: 16,
    ntasks_per_node: 8,
    time: 16_200,
    mem: 8_192,
    exclusive: true,
  })
  expect(read.lines).toEqual({
    partition: 3,
    account: 3,
    ntasks: 4,
    ntasks_per_node: 5,
    time: 7,
    mem: 8,
    exclusive: 13,
  })
  // Memory without a unit means what the site says; it stays as it is, and so does what we have no key for.
  expect(read.directives).toEqual([
    { directive: '-R "rusage[mem=4000]"', line: 6 },
    { directive: '-gpu num=2:mode=exclusive_process', line: 9 },
    { directive: '-B', line: 11 },
  ])
  expect(read.dropped).toEqual([
    { directive: '-J simulate', line: 2, reason: '-J cannot be used: the service finds its jobs again by their name' },
    {
      directive: '-oo out.%J',
      line: 10,
      reason: '-oo cannot be used: the job writes to a log of the service, which shows it',
    },
    {
      directive: '-e err.%J',
      line: 10,
      reason: '-e cannot be used: the job writes to a log of the service, which shows it',
    },
  ])
})

test.each([
  ['-n 4,8', { directives: [{ directive: '-n 4,8', line: 1 }] }],
  ['-q "normal short"', { directives: [{ directive: '-q "normal short"', line: 1 }] }],
  ['-W 10/hostA', { directives: [{ directive: '-W 10/hostA', line: 1 }] }],
  ['-n4 -W1:30', { resources: { ntasks: 4, time: 5_400 } }],
  ['-W 90', { resources: { time: 5_400 } }],
  ['-q a -q b', { resources: { partition: 'b' } }],
  [
    '-R "select[mem>1000] span[hosts=1]"',
    { directives: [{ directive: '-R "select[mem>1000] span[hosts=1]"', line: 1 }] },
  ],
  ['-R "rusage[mem=2GB/task] span[hosts=1]"', { resources: { mem_per_cpu: 2_048, nodes: 1 } }],
  ['-M 0.5T', { resources: { mem: 524_288 } }],
])('%s', (line, expected) => {
  expect(readDirectives(`#BSUB ${line}\n`)).toMatchObject({ dropped: [], ...expected })
})

test.each([
  ['-w "done(12)"', '-w cannot be used: dependencies are written as needs'],
  ['-b 23:59:00:00 -H', '-H cannot be used: a job that nobody releases would wait for ever'],
])('%s would make another computation of it', (line, reason) => {
  expect(readDirectives(`#BSUB ${line}\n`).dropped).toContainEqual(expect.objectContaining({ reason, essential: true }))
})

test.each([
  ['-P "a', 'a quote (") is not closed'],
  ['simulate', 'not an option'],
  ['-q', '-q needs a value'],
  ['-P "$(id)"', 'is not an option as bsub has them'],
])('%s is dropped: %s', (line, reason) => {
  expect(readDirectives(`#BSUB ${line}\n`).dropped[0]!.reason).toContain(reason)
})

test.each([
  ['-J "x[1-10]%4"', '1-10%4'],
  ['-J x[1,3,5-7:2]', '1,3,5-7:2'],
])('%s is an array', (line, text) => {
  expect(readDirectives(`#BSUB -q a\n#BSUB ${line}\n`)).toMatchObject({ array: { text, line: 2 }, dropped: [] })
})

test('globs of a site', () => {
  expect(allowedDirective(['-app *', '-sp 5?'], '-app matlab')).toBe(true)
  expect(allowedDirective(['-app matlab'], '-app other')).toBe(
    '-app is not among the directives that this cluster allows (allow_directives): it allows -app matlab',
  )
  expect(allowedDirective(['*'], '-app "a" -o x')).toContain('is not an option as bsub has them')
})

test('hosts to keep away from, beside the features that a host must have', () => {
  const options = (resources: Resources, exclude: string[]) =>
    directives({ resources, directives: [], exclude }).map(({ option }) => option)
  expect(options({}, ['n1', 'rack-2'])).toEqual([`-R "select[hname!='n1' && hname!='rack-2']"`])
  expect(options({ constraint: 'rome|milan' }, ['n1'])).toEqual([`-R "select[(rome || milan) && hname!='n1']"`])
  expect(() => options({}, ["n1']"])).toThrow('not the name of a host')
})
