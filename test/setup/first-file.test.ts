import { expect, test } from 'vitest'
import { dialectOf } from '../../src/scheduler/index.ts'
import { writeFirstFile } from '../../src/setup/first-file.ts'
import { openTemplates, type SpecCluster, type SpecContext } from '../../src/spec/index.ts'

const cluster = (name: string, dialectName: string): SpecCluster => ({
  ...{ name, dialectName, directivePrefix: dialectOf(dialectName).prefix },
  ...{ defaults: { time: 3_600 }, allowDirectives: ['--hint=*'] },
})
const context = (...clusters: SpecCluster[]): SpecContext => ({
  clusters,
  readFile: () => null,
  readBatchDirectives: (found, text) => dialectOf(found.dialectName).readDirectives(text),
  allowedDirective: (found, directive) =>
    dialectOf(found.dialectName).allowedDirective(found.allowDirectives, directive),
  templates: openTemplates(null),
  secrets: [],
  policy: { time: 86_400, nodes: null, partitions: null, directives: null },
})

const solve =
  '#!/bin/bash\n#SBATCH --nodes=2 --time=02:00:00\n#SBATCH --hint=nomultithread\n#SBATCH --output=solve.log\nsrun ./solve\n'

test('each script that asks a scheduler for something becomes a job, on the first cluster that understands it; helpers do not', () => {
  const first = writeFirstFile(
    [
      { path: 'jobs/solve.sbatch', text: solve },
      { path: 'jobs/4d run.lsf', text: '#BSUB -n 4\n./run\n' },
      { path: 'old/solve.sh', text: solve },
      { path: 'tools/clean.sh', text: '#!/bin/sh\nrm -rf build\n' },
    ],
    context(cluster('falcon', 'slurm'), cluster('hawk', 'lsf')),
  )!
  expect(
    first.text.replace(/^ +# .*\n/gm, ''),
  ).toBe(`# Each job is a batch script of this repository, run as it stands with what its own directive lines ask for.
# A branch that has this file, and is not the default branch, is a computation: a push runs it.
cluster: falcon
jobs:
  "4d-run":
    cluster: hawk
    file: "jobs/4d run.lsf"

  solve:
    file: jobs/solve.sbatch

  old-solve:
    file: old/solve.sh
`)
  expect(first.jobs[1]).toMatchObject({
    resources: { nodes: 2, time: 7_200 },
    directives: ['--hint=nomultithread'],
    origins: { nodes: '#SBATCH line 2 of jobs/solve.sbatch' },
  })
  expect(first.notices[0]).toContain('jobs/solve.sbatch, line 4: `--output=solve.log` is left out')
  expect(first.leftOut).toEqual([])
})

test('what would be a mistake in the file is left out of it, with its reason', () => {
  const first = writeFirstFile(
    [
      { path: 'a.sh', text: '#SBATCH --nodes=1\nhostname\n' },
      { path: 'week.sh', text: '#SBATCH --time=7-00\nhostname\n' },
      { path: 'flags.sh', text: '#SBATCH --wckey=x\nhostname\n' },
      { path: 'pbs.sh', text: '#PBS -l nodes=2\nhostname\n' },
    ],
    context(cluster('falcon', 'slurm')),
  )!
  expect(first.jobs.map(job => job.name)).toEqual(['a'])
  expect(first.leftOut.map(({ path }) => path)).toEqual(['flags.sh', 'pbs.sh', 'week.sh'])
  expect(first.leftOut[1]!.why).toBe('its lines are for a scheduler that falcon has not')
  expect(first.leftOut[0]!.why).toContain('--wckey')
  expect(first.leftOut[2]!.why).toContain('`time` is 7 d')
})

test('where no script asks for anything nothing is written', () => {
  expect(writeFirstFile([{ path: 'a.sh', text: 'make\n' }], context(cluster('falcon', 'slurm')))).toBeNull()
})
