import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { sql } from 'drizzle-orm'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { rows } from '../../src/store/open.ts'
import { falconOn, type Lab, labUp } from '../support/lab.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// What only a real Slurm does to a job, on the whole path: preemption and requeue, a cancellation before it was eligible, a disk that is full.
const run = promisify(execFile)
let lab: Lab
let world: World | null = null

beforeAll(async () => {
  lab = await labUp()
}, 300_000 * patience)

afterEach(async () => {
  await world?.close()
  world = null
})

async function begin(root = lab.root): Promise<World> {
  world = await startWorld({
    database: 'postgres',
    clusters: falconOn(
      lab,
      [
        'poll_interval: 1s',
        'max_poll_interval: 2s',
        'allow_directives: ["--qos=*", "--nodelist=*", "--begin=*"]',
        'defaults: { partition: main, time: 5m, mem: 100M }',
      ],
      root,
    ),
    rule: '    clusters: [falcon]',
    more: 'intervals: { note: 200ms, accounting: 5s, shortest_poll: 1s }',
  })
  return world
}

/** A command of Slurm as the account that our jobs run under. */
const slurm = async (...words: string[]) =>
  (
    await run('runuser', ['-u', lab.user, '--', 'env', `SLURM_CONF=${lab.slurmConf}`, ...words], { cwd: '/' })
  ).stdout.trim()

const nativeId = (w: World, sha: string) =>
  until(
    'the native id',
    async () =>
      (
        await rows<{ native_id: string | null }>(
          w.service.context.db,
          sql`select a.native_id from attempts a join runs r on r.id = a.run_id where r.sha = ${sha}`,
        )
      )[0]?.native_id,
  )

const said = async (w: World, sha: string) =>
  (
    await rows<{ message: string | null }>(
      w.service.context.db,
      sql`select j.message from jobs j join runs r on r.id = j.run_id where r.sha = ${sha}`,
    )
  )[0]?.message ?? ''

describe('a job', () => {
  it('that is preempted goes back to the queue, runs again, and only its last run counts, though the first exited 0', async () => {
    const w = await begin()
    const sha = await w.push('calc/preempted', {
      '.compops.yml': `jobs:
  heat:
    requeue: true
    cpus_per_task: 8
    directives: ["--qos=low", "--nodelist=n1"]
    script:
      - trap 'exit 0' TERM
      - 'if [ -z "$SLURM_RESTART_COUNT" ]; then echo first; sleep 300 & wait; fi'
      - printf '{"restarts":%s}' "$SLURM_RESTART_COUNT" > m.json
    metrics: m.json
`,
    })
    const id = await nativeId(w, sha)
    await until('it to run', () => w.statuses(sha)['compops/heat'] === 'running', 60)
    const preemptor = await slurm(
      'sbatch',
      '--parsable',
      '--qos=high',
      '--nodelist=n1',
      '-c8',
      '--mem=100',
      '--wrap',
      'sleep 3',
      '-o',
      '/dev/null',
    )
    const told = await until(
      'it to wait again',
      async () =>
        (await rows<{ state: string }>(w.service.context.db, sql`select state from jobs`))[0]?.state === 'queued' &&
        w.statuses(sha),
      60,
    )
    expect(told['compops/heat']).not.toBe('success')
    await until(
      'the other to end',
      async () => (await slurm('squeue', '-h', '-j', preemptor, '-t', 'PD,R,CG').catch(() => '')) === '',
      60,
    )
    // Slurm holds what it requeued back for two minutes.
    await run('scontrol', ['update', `jobid=${id}`, 'starttime=now'], {
      env: { ...process.env, SLURM_CONF: lab.slurmConf },
    })
    expect(await w.treeEnds(sha, ['success'], 120)).toMatchObject({ 'compops/heat': 'success' })
    const record = parse(await until('the evidence', () => w.evidenceOf('calc/preempted', sha)))
    expect(record.jobs.heat).toMatchObject({ metrics: { restarts: 1 } })
    expect(await nativeId(w, sha)).toBe(id)
  })

  it('that was cancelled on the cluster before it was eligible, of which accounting never hears, is canceled', async () => {
    const w = await begin()
    const sha = await w.push('calc/early', {
      '.compops.yml': 'jobs:\n  heat:\n    directives: ["--begin=now+1hour"]\n    script: ["true"]\n',
    })
    const id = await nativeId(w, sha)
    await until('the reason why it waits', async () => (await said(w, sha)).includes('its begin time has not come yet'))
    await slurm('scancel', id)
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'canceled' })
    expect(await said(w, sha)).toMatch(/^cancelled on the cluster \(CANCELLED/)
  })
})

describe('a full disk', () => {
  it('lets no job be taken for done that could not say so, and holds back submissions until there is room', async () => {
    const root = await mkdtemp(join(dirname(lab.root), 'small-'))
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=777', 'tmpfs', root])
    try {
      const w = await begin(root)
      const full = await w.push('calc/full', {
        '.compops.yml': `jobs:
  heat:
    script: ["head -c 2000000 /dev/zero > big || true", "true"]
`,
      })
      expect(await w.treeEnds(full)).toMatchObject({ 'compops/heat': 'failed' })
      expect(await said(w, full)).toMatch(/could not write to its directory on the cluster: a full disk/)
      const next = await w.push('calc/next', { '.compops.yml': 'jobs:\n  heat:\n    script: ["true"]\n' })
      await until('it to be said', async () => (await said(w, next)).includes('No space left on device'))
      expect(w.statuses(next)).toMatchObject({ 'compops/heat': 'pending' })
      await run('find', [root, '-name', 'big', '-delete'])
      expect(await w.treeEnds(next)).toMatchObject({ 'compops/heat': 'success' })
    } finally {
      await world?.close()
      world = null
      await run('umount', ['-l', root])
      await rm(root, { recursive: true, force: true })
    }
  })
})
