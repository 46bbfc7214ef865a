import { expect, test } from 'vitest'
import { dialectOf } from '../../src/scheduler/index.ts'
import { readDirectivesOf } from '../../src/scheduler/long-lines.ts'

const mebi = 1024 * 1024

test.each([
  ['slurm', '#SBATCH -J '],
  ['lsf', '#BSUB -R '],
  ['pbs', '#PBS -l '],
  ['sge', '#$ -l '],
])('a directive of a megabyte is told in no time, and the others are read: %s', (name, head) => {
  const dialect = dialectOf(name)
  for (const piece of ['a', 'a[', '1:', '-a ', `"' `]) {
    const begun = performance.now()
    const { dropped } = readDirectivesOf(dialect, `#!/bin/sh\n${head}${piece.repeat(mebi / piece.length)}\ntrue\n`)
    expect(performance.now() - begun).toBeLessThan(2_000)
    expect(dropped).toEqual([
      expect.objectContaining({ line: 2, reason: 'it is longer than 2048 characters', essential: true }),
    ])
  }
})

test('a directive of PBS that goes on for a megabyte, too', () => {
  const begun = performance.now()
  const { dropped } = readDirectivesOf(dialectOf('pbs'), `#!/bin/sh\n${'#PBS \\\n'.repeat(mebi / 7)}#PBS -V\n`)
  expect(performance.now() - begun).toBeLessThan(2_000)
  expect(dropped).toEqual([expect.objectContaining({ line: 2, essential: true })])
})

test('a command may be as long as it likes', () => {
  const slurm = dialectOf('slurm')
  const script = (command: string) => `#!/bin/sh\n#SBATCH -n 4\n${command}\n#SBATCH -n 5\n`
  const long = readDirectivesOf(slurm, script(`echo ${'x'.repeat(mebi)}`))
  expect(long).toEqual(slurm.readDirectives(script('echo')))
  expect(long.resources).toEqual({ ntasks: 4 })
})
