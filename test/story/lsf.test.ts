import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { startFakeLsf } from '../support/fake-lsf.ts'
import { until } from '../support/until.ts'
import { inWorld } from '../support/world.ts'

// The path of the README on an LSF: a push with an LSF user's own batch script becomes two jobs, and their evidence.
test('a push becomes LSF jobs, one after the other, and their evidence', async () => {
  const lsf = startFakeLsf()
  // The answer to the first submission is lost: still each job is one job.
  lsf.behave('bsub', 'quiet', 1)
  try {
    await inWorld(
      {
        clusters: `  mira: { scheduler: lsf, path: ${lsf.bin}, root: ROOT, poll_interval: 300ms, max_poll_interval: 1s, allow_directives: ["-app *"] }`,
        rule: '    clusters: [mira]',
        more: 'intervals: { note: 200ms, accounting: 4s, settle: 3s, shortest_poll: 200ms }',
      },
      async world => {
        const sha = await world.push('calc/heat', {
          '.compops.yml': `jobs:
  mesh:
    script: [echo mesh > mesh.msh]
    time: 90s
  heat:
    needs: [mesh]
    file: heat.sh
    outputs: [heat.csv]
`,
          'heat.sh':
            '#!/bin/bash\n#BSUB -q gpu -W 0:10 -n 2\n#BSUB -R "span[hosts=1]"\n#BSUB -app heat\n#BSUB -o out.%J\ncat mesh.msh > heat.csv\nexit 3\n',
        })
        await world.treeEnds(sha, ['failed'])
        expect(world.statuses(sha)).toEqual({
          'compops/mesh': 'success',
          'compops/heat': 'failed',
          'compops/tree': 'failed',
        })
        expect(lsf.jobs().map(({ id, state }) => [id, state])).toEqual([
          ['1', 'DONE'],
          ['2', 'EXIT'],
        ])
        expect(
          lsf
            .calls('bsub')
            .filter(line => line.includes('-J '))
            .map(line => line.slice(line.indexOf('-rn'))),
        ).toEqual([
          '-rn -W 0:02',
          expect.stringMatching(/^-rn (?:-w done\(1\) )?-q gpu -W 0:10 -n 2 -R span\[hosts=1\] -app heat$/),
        ])
        const evidence = parse(await until('evidence', () => world.evidenceOf('calc/heat', sha)))
        expect(JSON.stringify(evidence)).toContain('lsf 10.1.0.12')
        expect(evidence.jobs.heat).toMatchObject({ state: 'failed', reason: 'exit', attempts: [{ exit_code: 3 }] })
      },
    )
  } finally {
    lsf.stop()
  }
})
