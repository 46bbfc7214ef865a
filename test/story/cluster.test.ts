import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { rows } from '../../src/store/open.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// Everything a scheduler can do to us, on the whole path: a push, a Slurm that misbehaves on command, and what GitLab then shows.
const intervals = 'intervals: { note: 200ms, accounting: 4s, settle: 3s, shortest_poll: 200ms }'
const falcon = (slurm: FakeSlurm) =>
  `  falcon: { scheduler: slurm, path: ${slurm.bin}, root: ROOT, poll_interval: 300ms, max_poll_interval: 1s }`

interface Attempt {
  readonly id: string
  readonly native_id: string | null
  readonly state: string
  readonly message: string | null
  readonly misses: number
}

async function begin(slurm: FakeSlurm) {
  const world = await startWorld({
    database: 'postgres',
    clusters: falcon(slurm),
    rule: '    clusters: [falcon]',
    more: intervals,
  })
  let gates = 0
  return {
    ...bound(world),
    /** Pushes a branch with one job of these commands. */
    push: (branch: string, script: readonly string[], keys = '') =>
      world.push(branch, { '.compops.yml': `jobs:\n  heat:\n    script: ${JSON.stringify(script)}\n${keys}` }),
    /** A command that waits until it is opened. */
    gate() {
      const file = join(slurm.state, `gate-${++gates}`)
      return { command: `until [ -e ${file} ]; do sleep 0.05; done`, open: () => writeFileSync(file, '') }
    },
    /** The newest attempt of a commit's only job. */
    attempt: async (sha: string): Promise<Attempt> =>
      (
        await rows<Attempt>(
          world.service.context.db,
          sql`select a.* from attempts a join runs r on r.id = a.run_id where r.sha = ${sha} order by a.number desc limit 1`,
        )
      )[0]!,
    jobsOf: async (sha: string) => {
      const ids = await rows<{ id: string }>(
        world.service.context.db,
        sql`select a.id from attempts a join runs r on r.id = a.run_id where r.sha = ${sha}`,
      )
      return slurm.jobs().filter(job => ids.some(({ id }) => job.name === `compops-${id}`))
    },
    trouble: async () =>
      (
        await rows<{ last_error: string | null }>(
          world.service.context.db,
          sql`select last_error from connections where name = 'falcon'`,
        )
      )[0]?.last_error ?? null,
    posted: () => world.simulator.requests().filter(one => one.method === 'POST' && /statuses/.test(one.path)).length,
  }
}

/** Methods of a world that are handed on: its getters look at the service that runs now. */
const bound = (world: World) => ({
  world,
  treeEnds: world.treeEnds,
  statuses: world.statuses,
  description: world.description,
})

let slurm: FakeSlurm
let w: Awaited<ReturnType<typeof begin>>

beforeAll(async () => {
  slurm = startFakeSlurm()
  w = await begin(slurm)
})
afterEach(() => {
  for (const what of ['sbatch', 'squeue', 'sacct', 'scontrol', 'scancel', 'hold', 'forget', 'accounted'])
    slurm.behave(what, 'ok')
})
afterAll(async () => {
  await w?.world.close()
  slurm?.stop()
})

describe('sbatch', () => {
  it.each(['timed-out-accepted', 'timed-out-lost', 'silent', 'banner', 'slow', 'down'])(
    'that is %s makes one job, whatever it said',
    async how => {
      slurm.behave('sbatch', how, 1)
      const sha = await w.push(`calc/${how}`, ['echo once'])
      expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
      expect(await w.jobsOf(sha)).toHaveLength(1)
    },
  )

  it('that makes two copies of a job: one passes the fence, and its result is the result', async () => {
    slurm.behave('sbatch', 'twice', 1)
    const gate = w.gate()
    const sha = await w.push(
      'calc/twice',
      ['echo begun', gate.command, 'echo "{\\"once\\": 1}" > m.json'],
      '    metrics: m.json\n',
    )
    const [first] = await until('one copy to leave', async () => {
      const jobs = await w.jobsOf(sha)
      return jobs.some(job => job.state === 'FAILED') && jobs.some(job => job.state === 'RUNNING') && jobs
    })
    expect(first).toBeDefined()
    gate.open()
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
    const jobs = await w.jobsOf(sha)
    expect((await w.attempt(sha)).native_id).toBe(jobs.find(job => job.state === 'COMPLETED')?.id)
    const record = parse(await until('the evidence', () => w.world.evidenceOf('calc/twice', sha)))
    expect(record).toMatchObject({ state: 'completed', jobs: { heat: { metrics: { once: 1 } } } })
  })

  it('whose two copies start at the same moment: one passes the fence', async () => {
    slurm.behave('hold', 'yes')
    slurm.behave('sbatch', 'twice', 1)
    const sha = await w.push('calc/both', [
      'echo ran >> "$COMPOPS_OUTPUT_DIR/../ran"',
      'cat "$COMPOPS_OUTPUT_DIR/../ran"',
    ])
    await until('both copies', async () => (await w.jobsOf(sha)).length === 2)
    await Promise.all((await w.jobsOf(sha)).map(job => slurm.release(job.id)))
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
    expect((await w.jobsOf(sha)).map(job => job.state).sort()).toEqual(['COMPLETED', 'FAILED'])
  })
})

describe('squeue', () => {
  it('that fails, lists nothing, begins with a banner, ends in the middle or dies says nothing about any job, and why is kept', async () => {
    const gate = w.gate()
    const sha = await w.push('calc/queue', [gate.command])
    await until('the job to run', () => w.statuses(sha)['compops/heat'] === 'running')
    const [job] = await w.jobsOf(sha)
    const posted = w.posted()
    for (const [how, said] of [
      ['down', 'Unable to contact slurm controller'],
      ['nothing', 'squeue answered without its head line'],
      ['banner', 'squeue began with something else than its list'],
      ['half', 'a line of squeue was cut'],
      ['cut', 'the queue could not be read'],
      ['die', 'before its answer was complete'],
    ] as const) {
      slurm.behave('squeue', how)
      await until(`the trouble (${how})`, async () => (await w.trouble())?.includes(said))
      // The job ends while nobody can tell.
      if (how === 'nothing') {
        gate.open()
        await until('the end', () => slurm.jobs().find(one => one.id === job!.id)?.state === 'COMPLETED')
      }
      expect(await w.attempt(sha)).toMatchObject({ state: 'running', misses: 0 })
    }
    expect(w.statuses(sha)).toMatchObject({ 'compops/heat': 'running' })
    expect(w.posted()).toBe(posted)
    slurm.behave('squeue', 'ok')
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
    expect(await w.trouble()).toBeNull()
  })

  it('that gives our id to a job of somebody else: it is never taken for ours', async () => {
    const gate = w.gate()
    const sha = await w.push('calc/wrapped', [gate.command])
    await until('the job to run', () => w.statuses(sha)['compops/heat'] === 'running')
    const [job] = await w.jobsOf(sha)
    gate.open()
    // The ids have wrapped: what has our id now is a stranger, which runs and fails.
    slurm.write(job!.id, 'name', 'somebody-else')
    await until('the end', () => slurm.read(job!.id, 'state').trim() === 'COMPLETED')
    slurm.write(job!.id, 'state', 'RUNNING\n')
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
    slurm.write(job!.id, 'state', 'FAILED\n')
  })
})

describe('accounting', () => {
  it.each([
    ['OUT_OF_MEMORY 0:125', 'memory', /out of memory/],
    ['TIMEOUT 0:0', 'timeout', /time limit/],
    ['NODE_FAIL 0:0', 'node', /node/],
    ['FAILED 1:0', 'exit', /exit/],
  ])('that says %s of a script that exited 0: no success', async (said, reason, words) => {
    slurm.behave('accounted', said)
    const sha = await w.push(`calc/accounted-${reason}`, ['true'])
    const statuses = await w.treeEnds(sha)
    expect(statuses['compops/heat']).toBe(reason === 'node' ? 'canceled' : 'failed')
    expect(w.description(sha, 'compops/heat')).toMatch(words)
    const record = parse(await until('the evidence', () => w.world.evidenceOf(`calc/accounted-${reason}`, sha)))
    expect(record.jobs.heat).toMatchObject({ state: 'failed', reason })
    expect((await w.attempt(sha)).message).toContain('exit code 0, but the scheduler says')
  })

  it('that does not know yet what the queue has forgotten is waited for, and believed', async () => {
    slurm.behave('forget', 'yes')
    slurm.behave('accounted', 'OUT_OF_MEMORY 0:125')
    slurm.behave('sacct', 'empty', 4)
    const sha = await w.push('calc/lag', ['true'])
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'failed' })
    expect(w.description(sha, 'compops/heat')).toMatch(/out of memory/)
    expect(slurm.calls('sacct').length).toBeGreaterThan(4)
  })

  it.each(['down', 'empty'])(
    'that is %s for longer than it is waited for: the exit file speaks, and it is said so',
    async how => {
      slurm.behave('sacct', how)
      slurm.behave('forget', 'yes')
      const sha = await w.push(`calc/sacct-${how}`, ['true'])
      expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
      expect((await w.attempt(sha)).message).toBe('accounting did not answer; the exit code is 0')
    },
  )

  it('that holds two records under one id: the one with our name is ours', async () => {
    slurm.behave('sacct', 'twice')
    const sha = await w.push('calc/records', ['true'])
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
    expect((await w.attempt(sha)).message).toBeNull()
  })
})
