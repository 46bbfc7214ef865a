import { execFileSync } from 'node:child_process'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { retryJob } from '../../src/run/rerun.ts'
import { jobs } from '../../src/store/schema.ts'
import { falconOn, type Lab, labUp } from '../support/lab.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// Arrays on a real Slurm: how it shows tasks that wait, run and have ended, and what accounting says of each.
let lab: Lab
let world: World | null = null

beforeAll(async () => {
  lab = await labUp()
}, 300_000 * patience)
afterEach(async () => {
  await world?.close()
  world = null
})
afterAll(() => {
  execFileSync('scancel', ['-u', lab.user], { env: { ...process.env, SLURM_CONF: lab.slurmConf } })
})

async function start(): Promise<World> {
  world = await startWorld({
    clusters: falconOn(lab, ['poll_interval: 5s', 'defaults: { partition: main, time: 5m, mem: 64M }']),
    rule: '    clusters: [falcon]',
  })
  return world
}

/** Tasks of an array that run at this moment, in Slurm's own words. */
function running(id: string): number {
  const env = { ...process.env, SLURM_CONF: lab.slurmConf }
  return (
    execFileSync('squeue', ['-h', '-r', '-t', 'RUNNING', '-j', id], { env, encoding: 'utf8' }).split('\n').length - 1
  )
}

describe('an array on Slurm', () => {
  it(
    'has its own state and exit code for each task, keeps its throttle, and runs only the failed ones again',
    async () => {
      const w = await start()
      const sha = await w.push('calc/sweep', {
        '.compops.yml': `jobs:
  sweep:
    file: jobs/sweep.sh
    outputs: [results/*]
`,
        'jobs/sweep.sh': `#!/bin/bash
#SBATCH --array=1,3-10%3
mkdir -p results
echo "$SLURM_ARRAY_TASK_ID $COMPOPS_ARRAY_INDEX" > "results/$COMPOPS_ARRAY_INDEX"
sleep 2
[ "$COMPOPS_ATTEMPT" -gt 1 ] && exit 0
case $COMPOPS_ARRAY_INDEX in
  4) exit 7 ;;
  5) kill -SEGV $$ ;;
  10) exit 3 ;;
esac
`,
      })
      const id = await until(
        'the array to run',
        () => {
          const said = w.description(sha, 'compops/sweep') ?? ''
          return said.includes('started') && /^falcon (\d+)/.exec(said)?.[1]
        },
        60,
      )
      let most = 0
      await until(
        'the array to end',
        () => {
          most = Math.max(most, running(id))
          return w.statuses(sha)['compops/sweep'] === 'failed'
        },
        120,
      )
      expect(most).toBeGreaterThan(0)
      expect(most).toBeLessThanOrEqual(3)
      const record = parse(await until('the evidence', () => w.evidenceOf('calc/sweep', sha), 60))
      expect(record.jobs.sweep).toMatchObject({
        state: 'failed',
        array: { tasks: '1,3-10', throttle: 3 },
        tasks: {
          completed: '1,3,6-9',
          failed: '4-5,10',
          failures: [
            { task: 4, exit_code: 7, native_id: `${id}_4` },
            { task: 5, exit_code: 139 },
            { task: 10, exit_code: 3 },
          ],
        },
        attempts: [{ native_id: id, tasks: '1,3-10' }],
      })
      expect(record.jobs.sweep.outputs).toHaveLength(9)

      const { context } = w.service
      const [job] = await context.db.select().from(jobs)
      const retried = await retryJob(context, { runId: job!.runId, name: job!.name }, { completedToo: false })
      expect(retried).toEqual({ tasks: [4, 5, 10] })
      await w.treeEnds(sha, ['success'], 120)
      const second = parse(
        await until(
          'the new evidence',
          async () => {
            const text = (await w.evidenceOf('calc/sweep', sha)) ?? ''
            return text.includes('state: completed\nsubmitted_at') && text
          },
          60,
        ),
      )
      expect(second.jobs.sweep.tasks).toEqual({ completed: '1,3-10' })
      expect(second.jobs.sweep.attempts[1]).toMatchObject({ tasks: '4-5,10', state: 'completed' })
    },
    400_000 * patience,
  )

  it(
    'ends as a whole when it is cancelled, those that wait too',
    async () => {
      const w = await start()
      const sha = await w.push('calc/long', {
        '.compops.yml': 'jobs:\n  long:\n    array: 0-99%2\n    script: [sleep 300]\n',
      })
      await until('the array to run', () => w.statuses(sha)['compops/long'] === 'running', 60)
      await w.simulator.deleteBranch(w.project.id, 'calc/long', w.alice.id)
      expect(await w.treeEnds(sha, ['canceled'], 120)).toMatchObject({ 'compops/long': 'canceled' })
      expect(w.description(sha, 'compops/long')).toMatch(/^falcon \d+ · canceled/)
    },
    300_000 * patience,
  )
})
