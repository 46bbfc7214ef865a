import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
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
  readonly job_id: string
  readonly run_id: string
  readonly reason: string | null
  readonly native_id: string | null
  readonly state: string
  readonly message: string | null
  readonly misses: number
  readonly missed_since: unknown
  readonly ended_at: unknown
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
    /** A command of a job after which accounting says this of its end. */
    accounted: (said: string) => `echo '${said}' > ${slurm.state}/jobs/$SLURM_JOB_ID/accounted`,
    /** The newest attempt of a commit's only job. */
    /** Where the newest attempt of a commit lives on the cluster. */
    async directory(sha: string): Promise<string> {
      const { id, job_id, run_id } = await this.attempt(sha)
      return join(world.place, 'cluster', String(world.project.id), 'runs', run_id, 'jobs', job_id, id)
    },
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
    /** What was fetched of the newest attempt of a commit. */
    collected: async (sha: string) =>
      (
        await rows<{ collected: { logTail: string; logSize: number } }>(
          world.service.context.db,
          sql`select a.collected from attempts a join runs r on r.id = a.run_id where r.sha = ${sha} and a.collected is not null`,
        )
      )[0]!.collected,
    /** What is said of a commit's only job. */
    said: async (sha: string) =>
      (
        await rows<{ message: string | null }>(
          world.service.context.db,
          sql`select j.message from jobs j join runs r on r.id = j.run_id where r.sha = ${sha}`,
        )
      )[0]?.message ?? null,
    trouble: async () =>
      (
        await rows<{ last_error: string | null }>(
          world.service.context.db,
          sql`select last_error from connections where name = 'falcon'`,
        )
      )[0]?.last_error ?? null,
    /** Everything that GitLab was ever told of a commit. */
    told: (sha: string) =>
      world.simulator.statuses(world.project.id, sha, { all: true }).map(status => `${status.name} ${status.status}`),
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
  for (const what of ['sbatch', 'squeue', 'sacct', 'scontrol', 'scancel', 'hold', 'forget', 'clock'])
    slurm.behave(what, 'ok')
})
afterAll(async () => {
  await w?.world.close()
  slurm?.stop()
})

describe('sbatch', () => {
  it('that times out, is silent, prints a banner, is slow or down makes one job of each, whatever it said', async () => {
    const ways = ['timed-out-accepted', 'timed-out-lost', 'silent', 'banner', 'slow', 'down']
    slurm.behaveInTurn('sbatch', ways)
    const pushed = await Promise.all(ways.map(how => w.push(`calc/${how}`, [`echo ${how}`])))
    for (const sha of pushed) {
      expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
      expect(await w.jobsOf(sha)).toHaveLength(1)
    }
    // The two that made no job at first were submitted once more.
    expect(slurm.calls('sbatch')).toHaveLength(ways.length + 2)
  })

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
    await until('it to run', () => Object.values(w.statuses(sha)).join() === 'running,running')
    const [job] = await w.jobsOf(sha)
    const told = w.told(sha)
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
    expect(w.told(sha)).toEqual(told)
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
  it('that says the contrary of a script that exited 0: no success, and both are told', async () => {
    const table = [
      ['OUT_OF_MEMORY 0:125', 'memory', 'failed', /out of memory/],
      ['TIMEOUT 0:0', 'timeout', 'failed', /time limit/],
      ['NODE_FAIL 0:0', 'node', 'canceled', /node/],
      ['FAILED 1:0', 'exit', 'failed', /exit/],
    ] as const
    const pushed = await Promise.all(table.map(([said, reason]) => w.push(`calc/${reason}`, [w.accounted(said)])))
    for (const [i, [said, reason, state, words]] of table.entries()) {
      const sha = pushed[i]!
      expect(await w.treeEnds(sha), said).toMatchObject({ 'compops/heat': state })
      expect(w.description(sha, 'compops/heat')).toMatch(words)
      const record = parse(await until('the evidence', () => w.world.evidenceOf(`calc/${reason}`, sha)))
      expect(record.jobs.heat).toMatchObject({ state: 'failed', reason })
      expect((await w.attempt(sha)).message).toContain('exit code 0, but the scheduler says')
    }
  })

  it('that does not know yet what the queue has forgotten is waited for, and believed', async () => {
    slurm.behave('forget', 'yes')
    slurm.behave('sacct', 'empty', 4)
    const sha = await w.push('calc/lag', [w.accounted('OUT_OF_MEMORY 0:125')])
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

describe("the cluster's clock", () => {
  it.each([
    ['an hour ahead', 3_600],
    ['an hour behind', -3_600],
  ])('that is %s: times are shown by ours, in their order, and nothing is lost', async (_, ahead) => {
    slurm.behave('clock', String(ahead))
    const began = Date.now()
    const sha = await w.push(`calc/clock${ahead}`, ['true'])
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
    const record = parse(await until('the evidence', () => w.world.evidenceOf(`calc/clock${ahead}`, sha)))
    const [attempt] = record.jobs.heat.attempts
    const times = ['submitted_at', 'started_at', 'ended_at'].map(key => Date.parse(attempt[key]))
    // Slurm knows whole seconds, and ours is the time when sbatch had answered.
    expect(times[1]! - times[0]!).toBeGreaterThan(-5_000)
    expect(times[2]! - times[1]!).toBeGreaterThanOrEqual(0)
    for (const time of times) expect(Math.abs(time - began)).toBeLessThan(60_000)
  })
})

describe('the disk of the cluster', () => {
  it('where no directory can be made: said so, and submitted when one can', async () => {
    const runs = join(w.world.place, 'cluster', String(w.world.project.id), 'runs')
    mkdirSync(runs, { recursive: true })
    renameSync(runs, `${runs}.away`)
    writeFileSync(runs, 'a file in the way')
    const sha = await w.push('calc/nowhere', ['true'])
    await until('the job to say so', async () =>
      /the directory of the job cannot be prepared: .*Not a directory/.test((await w.said(sha)) ?? ''),
    )
    expect(w.statuses(sha)).toMatchObject({ 'compops/heat': 'pending' })
    rmSync(runs)
    renameSync(`${runs}.away`, runs)
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
  })

  it('where the log cannot be written: the job fails with clear words', async () => {
    slurm.behave('hold', 'yes')
    const sha = await w.push('calc/no-log', ['true'])
    const [job] = await until('the job', async () => (await w.attempt(sha))?.native_id != null && w.jobsOf(sha))
    mkdirSync(join(await w.directory(sha), 'log.0'))
    await slurm.release(job!.id)
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'failed' })
    expect((await w.attempt(sha)).message).toMatch(/^it could not write to its directory on the cluster/)
  })

  it.each([
    ['the exit code', 'exit.0', /^it could not write to its directory on the cluster/],
    ['the list of outputs', 'outputs.0', /^exit code 74 is that of a job which could not write/],
  ])('where %s cannot be written: no success', async (what, file, message) => {
    const branch = `calc/no-${file}`
    const sha = await w.push(
      branch,
      [`mkdir "$COMPOPS_OUTPUT_DIR/../new.${file}"`, 'echo 1 > a.csv'],
      '    outputs: ["*.csv"]\n',
    )
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'failed' })
    expect((await w.attempt(sha)).message).toMatch(message)
    expect((await w.collected(sha)).logTail).toContain(`compops: cannot write ${what} to `)
  })

  it('whose root goes away while jobs run: nothing is concluded; when it is back, what it tells', async () => {
    const gate = w.gate()
    const sha = await w.push('calc/unmounted', [gate.command])
    await until('the job to run', () => w.statuses(sha)['compops/heat'] === 'running')
    const root = join(w.world.place, 'cluster')
    // While a round waits for its answer the job ends, and the login node loses the file system.
    const asked = slurm.calls('squeue').length
    slurm.behave('squeue', 'wait')
    await until('a round to wait', () => slurm.calls('squeue').length > asked)
    gate.open()
    const [job] = await w.jobsOf(sha)
    await until('the end', () => slurm.jobs().find(one => one.id === job!.id)?.state === 'COMPLETED')
    renameSync(root, `${root}.away`)
    slurm.behave('squeue', 'ok')
    await until('the trouble', async () => (await w.trouble())?.includes(`${root} is not there`))
    expect(await w.attempt(sha)).toMatchObject({ state: 'running', misses: 0 })
    renameSync(`${root}.away`, root)
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
  })

  it('whose job directory is removed while the job runs: no success, and the run ends', async () => {
    const sha = await w.push('calc/removed', ['rm -rf "${COMPOPS_OUTPUT_DIR%/output}"'])
    const statuses = await w.treeEnds(sha)
    expect(statuses['compops/heat']).toMatch(/failed|canceled/)
    expect((await w.attempt(sha)).message).toMatch(/its directory on the cluster/)
  })
})

describe('a cluster without accounting', () => {
  let bare: FakeSlurm
  let b: typeof w
  beforeAll(async () => {
    bare = startFakeSlurm()
    bare.behave('no-accounting', 'yes')
    bare.behave('min-job-age', '2')
    b = await begin(bare)
  })
  afterAll(async () => {
    await b?.world.close()
    bare?.stop()
  })

  it('whose only job vanishes without a trace: lost, not before the queue would have forgotten it, and never a success', async () => {
    const sha = await b.push('calc/vanished', ['sleep 300'])
    await until('the job to run', () => b.statuses(sha)['compops/heat'] === 'running')
    // An empty queue and a controller that does not say it is up: not even a miss.
    bare.behave('scontrol', 'down')
    bare.vanish('1')
    await until('the trouble', async () => (await b.trouble())?.includes('the queue is empty'))
    expect(await b.attempt(sha)).toMatchObject({ state: 'running', misses: 0 })
    bare.behave('scontrol', 'ok')
    const missed = await until('a miss', async () => {
      const attempt = await b.attempt(sha)
      return attempt.misses > 0 && attempt
    })
    expect(missed.state).toBe('running')
    expect(await b.treeEnds(sha)).toMatchObject({ 'compops/heat': 'canceled' })
    const { reason, message, ended_at } = await b.attempt(sha)
    expect({ reason, message }).toEqual({
      reason: 'lost',
      message: 'neither the queue nor accounting knows 1 any more, and it left no exit file',
    })
    expect(Date.parse(String(ended_at)) - Date.parse(String(missed.missed_since))).toBeGreaterThan(2_000)
  })

  it('is believed by the exit file when the queue has forgotten the job', async () => {
    bare.behave('forget', 'yes')
    const good = await b.push('calc/good', ['true'])
    const bad = await b.push('calc/bad', ['exit 3'])
    expect(await b.treeEnds(good)).toMatchObject({ 'compops/heat': 'success' })
    expect(await b.treeEnds(bad)).toMatchObject({ 'compops/heat': 'failed' })
    expect(bare.calls('sacct')).toEqual([])
  })
})

describe('a log', () => {
  it('of 200 MB, and one whose last line has 5 MB, are shown by their end, in bounded memory', async () => {
    const memory = () => process.memoryUsage().rss / 2 ** 20
    const before = memory()
    const sha = await w.push('calc/log', [
      'head -c 200000000 /dev/zero | tr "\\0" "x"',
      'echo',
      'echo the end',
      'exit 3',
    ])
    expect(await w.treeEnds(sha)).toMatchObject({ 'compops/heat': 'failed' })
    const line = await w.push('calc/line', ['echo begin', 'head -c 5000000 /dev/zero | tr "\\0" "y"', 'exit 3'])
    const { iid } = await w.world.openMergeRequest('calc/line')
    expect(await w.treeEnds(line)).toMatchObject({ 'compops/heat': 'failed' })
    const log = await w.collected(sha)
    expect(log.logSize).toBeGreaterThan(200_000_000)
    expect(log.logTail).toMatch(/the end\n/)
    const long = await w.collected(line)
    expect(long.logSize).toBeGreaterThan(5_000_000)
    expect(long.logTail.length).toBeLessThanOrEqual(16_384)
    const note = await until('the note', () => w.world.note(iid)?.body.includes('heat failed') && w.world.note(iid))
    expect(note.body.length).toBeLessThan(60_000)
    expect(memory() - before).toBeLessThan(150)
  })
})
