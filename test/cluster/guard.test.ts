import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, openCluster, type SubmitRequest } from '../../src/cluster/cluster.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest } from './requests.ts'

/** One submission, ever: whatever happens between our question and the scheduler's answer, one attempt is one job. */

let slurm: FakeSlurm
let root: string
const open: Cluster[] = []

beforeEach(() => {
  slurm = startFakeSlurm()
  root = mkdtempSync(join(tmpdir(), 'compops-guard-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(cluster => cluster.close()))
  slurm.stop()
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
})

function service(settle = 2): Cluster {
  const cluster = openCluster({ name: 'falcon', dialect: dialectOf('slurm'), remote: slurm.remote(), root, settle })
  open.push(cluster)
  return cluster
}

/** Asks as the service does: again and again, until the answer is clear. A connection that died is an answer that did not come. */
async function insist(cluster: Cluster, request: SubmitRequest): Promise<string> {
  return until(
    'a native id',
    async () => {
      const outcome = await cluster.submit(request).catch(() => null)
      if (outcome?.kind === 'refused') throw new Error(outcome.message)
      return outcome?.kind === 'accepted' ? outcome.nativeId : null
    },
    20,
  )
}

describe('the same attempt', () => {
  test('is one job, asked for once or twice', async () => {
    const cluster = service()
    const request = submitRequest()
    const first = await cluster.submit(request)
    expect(first).toEqual({ kind: 'accepted', nativeId: '1', roundTrips: 1 })
    expect(await cluster.submit(request)).toEqual({ kind: 'accepted', nativeId: '1', roundTrips: 1 })
    expect(await service().submit(request)).toEqual({ kind: 'accepted', nativeId: '1', roundTrips: 1 })
    expect(slurm.jobs()).toMatchObject([{ id: '1', name: `compops-${request.attemptId}` }])
  })

  test('takes one round trip once the sources of the commit are there', async () => {
    const cluster = service()
    const request = submitRequest()
    await cluster.submit(request)
    const other = submitRequest({ runId: crypto.randomUUID(), source: request.source })
    expect(await cluster.submit(other)).toEqual({ kind: 'accepted', nativeId: '2', roundTrips: 1 })
  })

  test('takes three where the sources are large, or were removed since the service brought them', async () => {
    const cluster = service()
    const large = submitRequest({ source: makeSource({ 'large.bin': 'x'.repeat(600 * 1024) }) })
    expect(await cluster.submit(large)).toEqual({ kind: 'accepted', nativeId: '1', roundTrips: 3 })
    const { source } = submitRequest()
    expect(await cluster.submit(submitRequest({ source }))).toMatchObject({ kind: 'accepted', roundTrips: 1 })
    rmSync(join(root, '42', 'src'), { recursive: true })
    const other = submitRequest({ runId: crypto.randomUUID(), source })
    expect(await cluster.submit(other)).toMatchObject({ kind: 'accepted', roundTrips: 3 })
    expect(await cluster.submit(submitRequest({ source }))).toMatchObject({ kind: 'accepted', roundTrips: 1 })
  })

  test('is one job, asked for twenty times at once by two services', async () => {
    slurm.behave('sbatch', 'slow')
    const [one, two] = [service(), service()]
    const request = submitRequest()
    const ids = await Promise.all(Array.from({ length: 20 }, (_, i) => insist(i % 2 === 0 ? one : two, request)))
    expect(new Set(ids)).toEqual(new Set(['1']))
    expect(slurm.calls('sbatch')).toHaveLength(1)
  })

  test('another attempt is another job', async () => {
    const cluster = service()
    const request = submitRequest()
    await cluster.submit(request)
    const retry = { ...request, attemptId: crypto.randomUUID(), attempt: 2, siblings: [request.attemptId] }
    expect(await cluster.submit(retry)).toEqual({ kind: 'accepted', nativeId: '2', roundTrips: 1 })
  })
})

test('of a job that has an attempt which the asker does not know, nothing is submitted: its database is older than the cluster', async () => {
  const cluster = service()
  const request = submitRequest()
  await cluster.submit(request)
  const again = { ...request, attemptId: crypto.randomUUID() }
  expect(await cluster.submit(again)).toEqual({
    kind: 'overtaken',
    message: `falcon knows attempt ${request.attemptId} of this job, which is not known here`,
  })
  expect(slurm.jobs()).toHaveLength(1)
  // A directory in which nothing was begun says nothing.
  rmSync(join(directory(request), 'id'))
  rmSync(join(directory(request), 'submitting'))
  // Nor does one that is not named as ours are: what the guard minds must be what a recovery finds.
  for (const name of ['x', 'abc', '$(reboot)', `${request.attemptId}0`]) {
    mkdirSync(join(directory(request), '..', name))
    writeFileSync(join(directory(request), '..', name, 'id'), '9\n')
  }
  expect(await cluster.submit(again)).toMatchObject({ kind: 'accepted', nativeId: '2' })
})

describe('who submits dies', () => {
  test('before it asked for the name', async () => {
    slurm.behave('squeue', 'die', 1)
    const cluster = service()
    const request = submitRequest()
    await expect(cluster.submit(request)).rejects.toMatchObject({ name: 'RemoteError', maybeRan: true })
    expect(await insist(cluster, request)).toBe('1')
    expect(slurm.jobs()).toHaveLength(1)
  })

  test('in sbatch, which had sent nothing: after the settle time it is submitted', async () => {
    slurm.behave('sbatch', 'die-before', 1)
    const cluster = service()
    const request = submitRequest()
    await expect(cluster.submit(request)).rejects.toMatchObject({ name: 'RemoteError' })
    expect(await cluster.submit(request)).toMatchObject({ kind: 'unsure' })
    expect(slurm.calls('sbatch')).toHaveLength(1)
    expect(await insist(cluster, request)).toBe('1')
    expect(slurm.calls('sbatch')).toHaveLength(2)
    expect(slurm.jobs()).toHaveLength(1)
  })

  test('in sbatch, which goes on without it: the late job is found by its name', async () => {
    slurm.behave('sbatch', 'die-during', 1)
    const cluster = service(10)
    const request = submitRequest()
    await expect(cluster.submit(request)).rejects.toMatchObject({ name: 'RemoteError' })
    expect(await cluster.submit(request)).toMatchObject({ kind: 'unsure' })
    expect(await insist(cluster, request)).toBe('1')
    expect(slurm.jobs()).toHaveLength(1)
  })

  test('after the job was accepted and before its id was kept', async () => {
    slurm.behave('sbatch', 'die-after', 1)
    const cluster = service(60)
    const request = submitRequest()
    await expect(cluster.submit(request)).rejects.toMatchObject({ name: 'RemoteError' })
    expect(await insist(cluster, request)).toBe('1')
    expect(slurm.calls('sbatch')).toHaveLength(1)
  })
})

describe('sbatch answers badly', () => {
  test('"Socket timed out", and the job was accepted', async () => {
    slurm.behave('sbatch', 'timed-out-accepted', 1)
    expect(await service(60).submit(submitRequest())).toMatchObject({ kind: 'accepted', nativeId: '1' })
    expect(slurm.calls('sbatch')).toHaveLength(1)
  })

  test('"Socket timed out", and it was not: unsure, with the scheduler\'s words, until the settle time has passed', async () => {
    slurm.behave('sbatch', 'timed-out-lost', 1)
    const cluster = service()
    const request = submitRequest()
    expect(await cluster.submit(request)).toEqual({
      kind: 'unsure',
      message:
        'falcon did not say clearly whether it accepted the job: Batch job submission failed: Socket timed out on send/recv operation',
      askAgainInMs: 2_000,
    })
    expect(await insist(cluster, request)).toBe('1')
    expect(slurm.jobs()).toHaveLength(1)
  })

  test('an id is found in spite of a banner; without an id the job is found by name', async () => {
    slurm.behave('sbatch', 'banner', 1)
    expect(await service().submit(submitRequest())).toMatchObject({ kind: 'accepted', nativeId: '1' })
    slurm.behave('sbatch', 'silent', 1)
    expect(await service().submit(submitRequest())).toMatchObject({ kind: 'accepted', nativeId: '2' })
  })

  test('a refusal is remembered: a lost answer is the same refusal again', async () => {
    slurm.behave('sbatch', 'refuse', 1)
    const cluster = service()
    const request = submitRequest()
    const refusal = {
      kind: 'refused',
      message:
        'falcon did not accept the job: invalid partition specified: nosuch; Batch job submission failed: Invalid partition name specified',
    }
    expect(await cluster.submit(request)).toEqual(refusal)
    expect(await service().submit(request)).toEqual(refusal)
    expect(slurm.calls('sbatch')).toHaveLength(1)
  })

  test('a controller that is down refuses nothing: later the job is submitted', async () => {
    slurm.behave('sbatch', 'down', 1)
    const cluster = service(60)
    const request = submitRequest()
    expect(await cluster.submit(request)).toEqual({
      kind: 'transient',
      message:
        'falcon does not accept jobs at present: Batch job submission failed: Unable to contact slurm controller (connect failure)',
    })
    expect(await cluster.submit(request)).toMatchObject({ kind: 'accepted', nativeId: '1' })
  })

  test('a queue that cannot be asked: nothing is submitted', async () => {
    slurm.behave('squeue', 'down', 1)
    const cluster = service()
    const request = submitRequest()
    expect(await cluster.submit(request)).toMatchObject({ kind: 'transient' })
    expect(slurm.calls('sbatch')).toHaveLength(0)
    expect(await cluster.submit(request)).toMatchObject({ kind: 'accepted', nativeId: '1' })
  })
})

describe("the cluster's clock jumps while a submission is in doubt", () => {
  test.each([
    ['forward', 0, 3_600],
    ['back', 3_600, 0],
  ])('%s: one job, and the wait is never longer than the settle time', async (_, before, after) => {
    slurm.behave('clock', String(before))
    slurm.behave('sbatch', 'timed-out-lost', 1)
    const cluster = service(1)
    const request = submitRequest()
    expect(await cluster.submit(request)).toMatchObject({ kind: 'unsure', askAgainInMs: 1_000 })
    slurm.behave('clock', String(after))
    if (after < before) expect(await cluster.submit(request)).toMatchObject({ kind: 'unsure', askAgainInMs: 1_000 })
    expect(await insist(cluster, request)).toBe('1')
    expect(slurm.jobs()).toHaveLength(1)
  })
})

describe('the fence', () => {
  test('of two copies in the queue one runs, and the other leaves without a trace', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service(1)
    const request = submitRequest({ spec: { script: ['echo once >> ../ran'], outputs: [] } })
    expect(await insist(cluster, request)).toBe('1')
    // A second copy, as by a restored backup of the cluster's file system.
    rmSync(join(directory(request), 'id'))
    slurm.write('1', 'name', 'compops-elsewhere')
    await until('the settle time', async () => (await cluster.submit(request)).kind === 'accepted')
    slurm.write('1', 'name', `compops-${request.attemptId}`)
    expect(slurm.jobs().map(job => job.name)).toEqual([`compops-${request.attemptId}`, `compops-${request.attemptId}`])
    await slurm.release('1')
    await slurm.release('2')
    expect(slurm.jobs().map(job => job.state)).toEqual(['COMPLETED', 'FAILED'])
    const round = await cluster.observe([{ ...request, id: request.attemptId, nativeId: '2' }])
    expect(round.seen.get(request.attemptId)).toMatchObject({
      started: { nativeId: '1' },
      exit: { nativeId: '1', code: 0 },
    })
    expect(slurm.read('2', 'output')).toContain(`this attempt runs as job 1; the copy 2 does nothing`)
  })

  test('of a given-up attempt no copy runs, and it is not submitted again', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service()
    const request = submitRequest()
    const nativeId = await insist(cluster, request)
    slurm.behave('scancel', 'ignore')
    const attempt = { ...request, id: request.attemptId, nativeId }
    expect(await cluster.cancel([attempt], { fence: true })).toEqual(new Map([[request.attemptId, 'still there']]))
    await slurm.release('1')
    expect(slurm.jobs()[0]?.state).toBe('FAILED')
    expect((await cluster.observe([attempt])).seen.get(request.attemptId)).toMatchObject({ exit: null, started: null })
    const never = submitRequest({ source: request.source })
    expect(await cluster.cancel([{ ...never, id: never.attemptId, nativeId: null }])).toEqual(
      new Map([[never.attemptId, 'gone']]),
    )
    expect(await cluster.submit(never)).toEqual({ kind: 'given up' })
    expect(slurm.calls('sbatch')).toHaveLength(1)
  })

  test('one in doubt that has begun is neither fenced nor ended, and its id is told', async () => {
    const cluster = service()
    const request = submitRequest({
      spec: { script: ['until [ -e ../go ]; do sleep 0.05; done; echo done > ../done'], outputs: [] },
    })
    const nativeId = await insist(cluster, request)
    await until('the job to begin', () => existsSync(join(directory(request), 'log.0')))
    // The service was killed before it heard of it.
    const inDoubt = { ...request, id: request.attemptId, nativeId: null }
    expect(await cluster.cancel([inDoubt])).toEqual(new Map([[request.attemptId, { begunAs: nativeId }]]))
    expect(existsSync(join(directory(request), 'fenced'))).toBe(false)
    writeFileSync(join(root, '42/runs', request.runId, 'go'), '')
    await until('the job to end', () => slurm.jobs()[0]?.state === 'COMPLETED')
    // Also when it has ended meanwhile: it did not "never start".
    expect(await cluster.cancel([inDoubt])).toEqual(new Map([[request.attemptId, { begunAs: nativeId }]]))
  })
})

function directory(request: SubmitRequest): string {
  return join(root, '42/runs', request.runId, 'jobs', request.jobId, request.attemptId)
}
