import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ciJob, ciJobEnds, ciJobIs, included, runsCi, traceOf } from '../support/ci.ts'
import { falconOn, type Lab, labUp } from '../support/lab.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// CI jobs whose computations run on a real Slurm over a real sshd.
let lab: Lab
let world: World | null = null

beforeAll(async () => {
  lab = await labUp()
}, 300_000 * patience)

afterEach(async () => {
  await world?.close()
  world = null
})

async function startOnLab(): Promise<World> {
  const clusters = falconOn(lab, ['poll_interval: 5s', 'defaults: { partition: main, time: 5m }'])
  world = await startWorld({ clusters, rule: '    clusters: [falcon]\n    notify: never' })
  runsCi(world)
  world.simulator.addMember(world.project.id, world.bot.id, 40)
  return world
}

const statusIs = (w: World, sha: string, name: string, state: string) =>
  until(`${name} to be ${state}`, () => w.statuses(sha)[name] === state, 120)
const queue = () =>
  execFileSync('squeue', ['-h', '-u', lab.user, '-o', '%i'], {
    env: { ...process.env, SLURM_CONF: process.env.SLURM_CONF ?? '/etc/slurm/slurm.conf' },
  })
    .toString()
    .trim()

describe('a CI job whose computation is on Slurm', () => {
  it('is detached: it ends at once, and the exit code comes as a status of its pipeline', async () => {
    const w = await startOnLab()
    const sha = await w.push('main', {
      ...included(w, 'detach', { script: 'sleep 2; exit 3' }),
    })
    expect((await ciJobEnds(w, sha, 'compops')).status).toBe('success')
    await statusIs(w, sha, 'compops/ci/compops', 'failed')
    expect(w.description(sha, 'compops/ci/compops')).toContain('exit 3')
  })

  it('waits at a gate: later jobs go on with what Slurm has computed', async () => {
    const w = await startOnLab()
    const sha = await w.push('main', {
      ...included(
        w,
        'gate',
        {
          script: 'mkdir -p out; echo "$SLURM_JOB_PARTITION $SLURM_JOB_ID" > out/said; sleep 3',
          outputs: 'out/*',
          cpus_per_task: '2',
        },
        'after:\n  stage: deploy\n  variables: { GIT_STRATEGY: none }\n  script: [cat compops-outputs/out/said]\n',
      ),
    })
    await ciJobEnds(w, sha, 'compops:submit')
    expect(ciJob(w, sha, 'after')?.status).toBe('created')
    const gate = await ciJobEnds(w, sha, 'compops', 180)
    expect([gate.status, traceOf(w, gate)]).toEqual(['success', expect.stringContaining('completed')])
    const kept = join(w.simulator.artifacts(gate.id), 'compops-outputs')
    expect(await readFile(join(kept, 'out/said'), 'utf8')).toMatch(/^main \d+\n$/)
    const after = await ciJobEnds(w, sha, 'after')
    expect([after.status, traceOf(w, after)]).toEqual(['success', expect.stringMatching(/main \d+/)])
  })

  it('shows the log while it grows, and takes the batch job with it when it is cancelled', async () => {
    const w = await startOnLab()
    const sha = await w.push('main', {
      ...included(w, 'attach', { script: 'echo "on $(hostname)"; sleep 600', time: '15m' }),
    })
    const running = await ciJobIs(w, sha, 'compops', ['running'])
    await until('the log', () => traceOf(w, running).includes('\non '), 120)
    expect(queue()).not.toBe('')
    w.simulator.cancelJob(running.id)
    expect((await ciJobEnds(w, sha, 'compops')).status).toBe('canceled')
    await statusIs(w, sha, 'compops/ci/compops', 'canceled')
    await until('the queue to be empty', () => queue() === '', 60)
  })
})
