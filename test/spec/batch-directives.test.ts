import { expect, test } from 'vitest'
import { dialectOf } from '../../src/scheduler/index.ts'
import { describeProblem, openTemplates, readSpec } from '../../src/spec/index.ts'

const slurm = dialectOf('slurm')

function read(script: string) {
  return readSpec('jobs:\n  a:\n    file: run.sh\n', {
    clusters: [
      { name: 'falcon', dialectName: 'slurm', directivePrefix: slurm.prefix, defaults: {}, allowDirectives: [] },
    ],
    templates: openTemplates(null),
    secrets: [],
    readFile: () => script,
    readBatchDirectives: (_, text) => slurm.readDirectives(text),
    allowedDirective: (cluster, directive) => slurm.allowedDirective(cluster.allowDirectives, directive),
  })
}

test.each([
  ['#SBATCH --array=3-1', '`run.sh`, line 2: The range 3-1 ends before it begins'],
  ['#SBATCH -d afterok:7', '`run.sh`, line 2: `--dependency=afterok:7` cannot be kept'],
  ['#SBATCH --hint=nomultithread', '`run.sh`, line 2: `--hint=nomultithread` is not allowed'],
])('%s is a mistake with the line of the script', (line, said) => {
  const result = read(`#!/bin/bash\n${line}\ntrue\n`)
  expect('problems' in result && result.problems.map(describeProblem).join('\n')).toContain(said)
})

test('#SBATCH --array is the array of the job, unless the file says otherwise', () => {
  const result = read('#!/bin/bash\n#SBATCH -a 1,3,7-9%2\ntrue\n')
  const job = 'spec' in result ? result.spec.jobs[0] : undefined
  expect(job?.array).toEqual({ tasks: '1,3,7-9', throttle: 2 })
  expect(job?.origins.array).toBe('#SBATCH line 2 of run.sh')
})

test('where output goes is ours to say: the line is left out, and told', () => {
  const result = read('#!/bin/bash\n#SBATCH --output=x.txt\n#SBATCH -t 90\ntrue\n')
  expect('notices' in result && result.notices).toEqual([
    expect.stringContaining('run.sh, line 2: `--output=x.txt` is left out'),
  ])
  expect('spec' in result && result.spec.jobs[0]?.resources.time).toBe(5400)
})
