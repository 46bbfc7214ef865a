import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, openCluster, type SubmitRequest } from '../../src/cluster/cluster.ts'
import type { JobSpec } from '../../src/model/job-spec.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { type FakeSge, startFakeSge } from '../support/fake-sge.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest, watched } from './requests.ts'

/** What guard.test.ts and observe.test.ts ask of every cluster, asked where Grid Engine answers in its own way. */

let sge: FakeSge
let root: string
const open: Cluster[] = []

beforeEach(() => {
  sge = startFakeSge()
  root = mkdtempSync(join(tmpdir(), 'compops-sge-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(cluster => cluster.close()))
  sge.stop()
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
})

function service(settle = 2): Cluster {
  const cluster = openCluster({ name: 'heron', dialect: dialectOf('sge'), remote: sge.remote(), root, settle })
  open.push(cluster)
  return cluster
}

const source = makeSource()
const job = (script: string, spec: Partial<JobSpec> = {}) =>
  submitRequest({ source, spec: { script: [script], ...spec } })
const stateOf = (id: string) => sge.jobs().find(one => one.id === id)?.state
const reaches = (id: string, state: string) => until(`${id} to be ${state}`, () => stateOf(id) === state)
const directory = (request: SubmitRequest) =>
  join(root, '42/runs', request.runId, 'jobs', request.jobId, request.attemptId)
const commandsOf = (calls: readonly string[]) => calls.map(line => line.split(' ').slice(0, 2).join(' '))

/** Asks as the service does: again and again, until the answer is clear. */
async function insist(cluster: Cluster, request: SubmitRequest): Promise<string> {
  return until(
    'a native id',
    async () => {
      const outcome = await cluster.submit(request).catch(() => null)
      if (outcome?.kind === 'refused') throw new Error(outcome.message)
      return outcome?.kind === 'accepted' ? outcome.nativeId : null
    },
    30,
  )
}

async function start(cluster: Cluster, request: SubmitRequest) {
  // Asked once a connection, and not what is counted below.
  await cluster.facts()
  const attempt = watched(request, await insist(cluster, request))
  return { attempt, look: async () => (await cluster.observe([attempt])).seen.get(attempt.id)! }
}

describe('one submission, ever', () => {
  test('the same attempt is one job, asked for once or by two services', async () => {
    const request = job('true')
    expect(await service().submit(request)).toEqual({ kind: 'accepted', nativeId: '1', roundTrips: 1 })
    expect(await service().submit(request)).toEqual({ kind: 'accepted', nativeId: '1', roundTrips: 1 })
    expect(sge.jobs()).toMatchObject([{ id: '1', name: `compops-${request.attemptId}` }])
  })

  test.each(['lost-accepted', 'silent', 'banner'])(
    'the answer is lost or odd (%s), and the job is found',
    async how => {
      // It waits, so that it cannot end before it is looked for on a machine that is slow.
      sge.behave('hold', 'yes')
      sge.behave('qsub', how, 1)
      expect(await service(60).submit(job('true'))).toMatchObject({ kind: 'accepted', nativeId: '1' })
      expect(sge.calls('qsub')).toHaveLength(1)
    },
  )

  test('it is found in accounting although it had ended before anybody asked', async () => {
    sge.behave('qsub', 'die-after', 1)
    const cluster = service(60)
    const request = job('true')
    await expect(cluster.submit(request)).rejects.toMatchObject({ name: 'RemoteError' })
    await reaches('1', 'z')
    rmSync(join(directory(request), 'started.0'))
    expect(await insist(cluster, request)).toBe('1')
    expect(sge.calls('qsub')).toHaveLength(1)
  })

  test('the answer of the master did not come: unsure, until the settle time has passed', async () => {
    sge.behave('qsub', 'lost', 1)
    const cluster = service()
    const request = job('true')
    expect(await cluster.submit(request)).toMatchObject({
      kind: 'unsure',
      message: expect.stringContaining('failed receiving gdi request response'),
    })
    expect(await insist(cluster, request)).toBe('1')
    expect(sge.jobs()).toHaveLength(1)
  })

  test('a refusal is remembered', async () => {
    const cluster = service()
    const request = job('true', { resources: { partition: 'nosuch' } })
    const refusal = {
      kind: 'refused',
      message:
        'heron did not accept the job: Unable to run job: Job was rejected because job requests unknown queue "nosuch"; Exiting.',
    }
    expect(await cluster.submit(request)).toEqual(refusal)
    expect(await service().submit(request)).toEqual(refusal)
    expect(sge.calls('qsub')).toHaveLength(1)
  })

  test.each(['down', 'limit'])('"not now" (%s) refuses nothing', async how => {
    sge.behave('qsub', how, 1)
    const cluster = service(60)
    const request = job('true')
    expect(await cluster.submit(request)).toMatchObject({ kind: 'transient' })
    expect(await cluster.submit(request)).toMatchObject({ kind: 'accepted', nativeId: '1' })
  })

  test.each(['down', 'nothing', 'half', 'cut'])(
    'qstat %s: it cannot be known whether the job is there, and nothing is submitted',
    async how => {
      sge.behave('qstat', how)
      expect(await service().submit(job('true'))).toMatchObject({ kind: 'transient' })
      expect(sge.calls('qsub')).toEqual([])
    },
  )
})

describe('a round', () => {
  test('a job waits, runs, and ends with what its file and accounting say; one command, and no other once it has ended', async () => {
    sge.behave('hold', 'yes')
    const cluster = service()
    const request = job('until [ -e ../go ]; do sleep 0.05; done; exit 3')
    const { look } = await start(cluster, request)
    expect(await look()).toMatchObject({ queue: { state: 'queued', nativeState: 'qw' }, started: null })
    const end = sge.release('1')
    await until('the job to begin', () => existsSync(join(directory(request), 'log.0')))
    expect(await look()).toMatchObject({ queue: { state: 'running', nodes: ['n1'] }, accounting: null })
    writeFileSync(join(root, '42/runs', request.runId, 'go'), '')
    await end
    const before = sge.calls().length
    expect(await look()).toMatchObject({
      queue: null,
      started: { nativeId: '1' },
      exit: { nativeId: '1', code: 3, restarts: 0 },
      accounting: { verdict: 'exit', exitCode: 3, nodes: ['n1'], cpus: 1, maxRss: 6476 * 1024 },
    })
    expect(commandsOf(sge.calls().slice(before))).toEqual(['qstat -xml'])
  })

  test('until accounting is flushed the exit file stands alone', async () => {
    sge.behave('lag', 'yes')
    const { look } = await start(service(), job('exit 3'))
    await reaches('1', 'z')
    expect(await look()).toMatchObject({ queue: null, accounting: null, exit: { code: 3 } })
    await until('its record', () => existsSync(join(sge.state, 'unflushed')))
    sge.flush()
    expect(await look()).toMatchObject({ accounting: { verdict: 'exit', exitCode: 3 } })
  })

  test.each([99, 100])('an exit code of %d is an exit code: the job ends, once', async code => {
    const { look } = await start(service(), job(`echo once >> ../ran; exit ${code}`))
    await reaches('1', 'z')
    expect(await until('its record', async () => ((await look()).accounting === null ? null : look()))).toMatchObject({
      exit: { code },
      accounting: { verdict: 'exit', exitCode: 1 },
    })
  })

  test.each([
    ['its time limit', '37 137', { verdict: 'timeout', signal: 9 }],
    ['the end of its host', '19 0', { verdict: 'node', exitCode: null }],
  ])('ended by %s', async (_, failed, accounting) => {
    const script = `echo '${failed}' > ${sge.state}/jobs/1/failed; kill -KILL $PPID $$`
    const { look } = await start(service(), job(script))
    await reaches('1', 'z')
    const seen = await until('its record', async () => ((await look()).accounting === null ? null : look()))
    expect(seen).toMatchObject({ accounting })
  })

  test('a record of an older job with the same number is not of ours', async () => {
    const { attempt, look } = await start(service(), job('true'))
    await reaches('1', 'z')
    const seen = await until('its record', async () => ((await look()).accounting === null ? null : look()))
    const text = JSON.stringify(seen)
    // The counter of job numbers starts anew: accounting(5) has both, and a third of somebody else's.
    const file = join(sge.state, 'root/default/common/accounting')
    const [line = ''] = readFileSync(file, 'utf8').split('\n')
    const other = line
      .replace(attempt.id, '00000000-0000-4000-8000-000000000009')
      .replace(':0:0:0:0.5', ':100:137:0:0.5')
    writeFileSync(file, `# Version: 8.1.9\n#\n${other}\n${line}\n${other}\n${other.slice(0, 60)}`)
    expect(JSON.stringify(await look())).toBe(text)
  })

  test.each(['down', 'nothing', 'half', 'cut', 'banner'])('qstat %s: the round says nothing', async how => {
    const cluster = service()
    const { look } = await start(cluster, job('sleep 60'))
    sge.behave('qstat', how, 1)
    await expect(look()).rejects.toMatchObject({ name: 'UnreadableError', transient: true })
    expect(await look()).toMatchObject({ queue: { nativeId: '1' } })
  })
})

test('a job that cannot be started has never started, for a reason; one command more tells it', async () => {
  sge.behave('hold', 'yes')
  const cluster = service()
  const request = job('true')
  const { attempt, look } = await start(cluster, request)
  rmSync(join(root, '42/runs', request.runId, 'work'), { recursive: true })
  await sge.release('1')
  const before = sge.calls().length
  expect(await look()).toMatchObject({
    queue: {
      state: 'ended',
      nativeState: 'Eqw',
      verdict: 'never started',
      reason: expect.stringContaining("can't chdir"),
    },
    accounting: { verdict: 'never started' },
    started: null,
  })
  expect(commandsOf(sge.calls().slice(before))).toEqual(['qstat -xml', 'qstat -j'])
  expect(await cluster.cancel([attempt], { fence: true })).toEqual(new Map([[attempt.id, 'gone']]))
  expect(existsSync(join(directory(request), 'fenced'))).toBe(true)
  expect(stateOf('1')).toBe('z')
})

describe('a cancellation', () => {
  test('of a waiting job, which leaves no record, and of a running one, which does', async () => {
    sge.behave('hold', 'yes')
    const cluster = service()
    const waiting = await start(cluster, job('true'))
    sge.behave('hold', 'ok')
    const running = await start(cluster, job('sleep 60'))
    await until('the job to begin', async () => (await running.look()).queue?.state === 'running')
    expect(await cluster.cancel([waiting.attempt, running.attempt])).toEqual(
      new Map([
        [waiting.attempt.id, 'gone'],
        [running.attempt.id, 'gone'],
      ]),
    )
    expect(await waiting.look()).toMatchObject({ queue: null, accounting: null, exit: null })
    expect(await running.look()).toMatchObject({ queue: null, accounting: { verdict: 'exit', exitCode: 137 } })
  })

  test('that qdel ignores is told', async () => {
    const cluster = service()
    const { attempt } = await start(cluster, job('sleep 60'))
    sge.behave('qdel', 'ignore')
    expect(await cluster.cancel([attempt])).toEqual(new Map([[attempt.id, 'still there']]))
  })
})
