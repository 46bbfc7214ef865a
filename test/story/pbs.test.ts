import { afterAll, beforeAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import { type FakePbs, startFakePbs } from '../support/fake-pbs.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

let pbs: FakePbs
let world: World
beforeAll(async () => {
  pbs = startFakePbs()
  world = await startWorld({
    database: 'postgres',
    clusters: `  heron: { scheduler: pbs, path: ${pbs.bin}, root: ROOT, poll_interval: 300ms, max_poll_interval: 1s, allow_directives: ["-P *"] }`,
    rule: '    clusters: [heron]',
    more: 'intervals: { note: 200ms, accounting: 4s, settle: 3s, shortest_poll: 200ms }',
  })
})
afterAll(async () => {
  await world?.close()
  pbs?.stop()
})

it('a push of batch scripts of PBS becomes jobs of PBS, one after the other, and evidence; what it cannot do is said with its line', async () => {
  const sha = await world.push('calc/heat', {
    '.compops.yml': `jobs:
  solve:
    file: solve.pbs
    outputs: [heat.csv]
  plot:
    needs: [solve]
    array: 1-3
    script: ["cat heat.csv; exit $((COMPOPS_ARRAY_INDEX / 3 * 3))"]
`,
    'solve.pbs': `#!/bin/sh
#PBS -N heat -q workq -P heat
#PBS -l select=1:ncpus=2:mem=1gb,walltime=00:10:00
cd "$PBS_O_WORKDIR" || exit
echo "on $(cat "$PBS_NODEFILE")" > heat.csv
`,
  })
  expect(await world.treeEnds(sha)).toEqual({
    'compops/solve': 'success',
    'compops/plot': 'failed',
    'compops/tree': 'failed',
  })
  expect(world.description(sha, 'compops/plot')).toMatch(/^heron 2\[\]\.fake · 1 of 3 tasks failed: exit 3/)
  const options = pbs.read('1', 'arguments').split('\n').join(' ')
  expect(options).toContain('-q workq -l walltime=00:10:00 -l select=1:ncpus=2:ompthreads=2:mem=1024mb -P heat')
  const record = parse(await until('the evidence', () => world.evidenceOf('calc/heat', sha)))
  expect(record).toMatchObject({
    state: 'failed',
    jobs: {
      solve: { state: 'completed', outputs: [{ path: 'heat.csv' }] },
      plot: {
        state: 'failed',
        tasks: { completed: '1-2', failures: [{ task: 3, exit_code: 3, native_id: '2[3].fake' }] },
      },
    },
  })
  expect(pbs.jobs()).toHaveLength(2)

  const wrong = await world.push('calc/rome', {
    '.compops.yml': 'jobs:\n  a:\n    script: ["true"]\n    directives: ["-l cpu_type=rome"]\n',
  })
  expect(await world.treeEnds(wrong)).toEqual({ 'compops/tree': 'failed' })
  expect(world.description(wrong, 'compops/tree')).toContain('line 4')
  expect(pbs.jobs()).toHaveLength(2)
})
