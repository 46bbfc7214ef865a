import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, openCluster, type SubmitRequest, type WatchedAttempt } from '../../src/cluster/cluster.ts'
import { type AttemptArray, nativeNumbers, readTasks } from '../../src/model/array.ts'
import type { JobSpec } from '../../src/model/job-spec.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { type FakePbs, startFakePbs } from '../support/fake-pbs.ts'
import { until } from '../support/until.ts'
import { submitRequest, watched } from './requests.ts'

/** What guard.test.ts and observe.test.ts ask of every cluster, asked where PBS answers in its own way. */

let pbs: FakePbs
let root: string
const open: Cluster[] = []

beforeEach(() => {
  pbs = startFakePbs()
  root = mkdtempSync(join(tmpdir(), 'compops-pbs-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(cluster => cluster.close()))
  pbs.stop()
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
})

function service(settle = 2): Cluster {
  const cluster = openCluster({ name: 'heron', dialect: dialectOf('pbs'), remote: pbs.remote(), root, settle })
  open.push(cluster)
  return cluster
}

const job = (script: string, spec: Partial<JobSpec> = {}) => submitRequest({ spec: { script: [script], ...spec } })
const stateOf = (id: string) => pbs.jobs().find(one => one.id === id)?.state
const ended = (number: string) => until(`the end of ${number}`, () => stateOf(number) === 'F')
const directory = (request: SubmitRequest) =>
  join(root, '42/runs', request.runId, 'jobs', request.jobId, request.attemptId)

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

describe('one submission, ever', () => {
  test('the same attempt is one job, asked for once or by two services', async () => {
    const request = job('true')
    expect(await service().submit(request)).toEqual({ kind: 'accepted', nativeId: '1.fake', roundTrips: 1 })
    expect(await service().submit(request)).toEqual({ kind: 'accepted', nativeId: '1.fake', roundTrips: 1 })
    expect(pbs.jobs()).toMatchObject([{ id: '1', name: `compops-${request.attemptId}` }])
  })

  test('what is asked of qsub', async () => {
    const request = job('true', { resources: { partition: 'workq', nodes: 2, ntasks_per_node: 4, time: 3_600 } })
    await service().submit(request)
    expect(pbs.read('1', 'arguments').split('\n').slice(0, -2)).toEqual([
      ...['-f', '-N', `compops-${request.attemptId}`, '-S', '/bin/bash', '-j', 'oe'],
      ...['-o', `${directory(request)}/scheduler.log`, '-r', 'n', '-m', 'n', '-q', 'workq', '-l', 'walltime=01:00:00'],
      ...['-l', 'select=2:ncpus=4:mpiprocs=4:ompthreads=1', '-l', 'place=scatter'],
    ])
  })

  test.each(['lost-accepted', 'silent', 'banner'])(
    'the answer is lost or odd (%s), and the job is found',
    async how => {
      // It waits, so that it cannot end before it is looked for on a machine that is slow.
      pbs.behave('hold', 'yes')
      pbs.behave('qsub', how, 1)
      expect(await service(60).submit(job('true'))).toMatchObject({ kind: 'accepted', nativeId: '1.fake' })
      expect(pbs.calls('qsub')).toHaveLength(1)
    },
  )

  test('it was found although it had ended before anybody asked', async () => {
    pbs.behave('qsub', 'die-after', 1)
    const cluster = service(60)
    const request = job('true')
    await expect(cluster.submit(request)).rejects.toMatchObject({ name: 'RemoteError' })
    await ended('1')
    rmSync(join(directory(request), 'started.0'))
    expect(await insist(cluster, request)).toBe('1.fake')
    expect(pbs.calls('qsub')).toHaveLength(1)
  })

  test('the server went away in the middle: unsure, until the settle time has passed', async () => {
    pbs.behave('qsub', 'lost', 1)
    const cluster = service()
    const request = job('true')
    expect(await cluster.submit(request)).toMatchObject({
      kind: 'unsure',
      message: 'heron did not say clearly whether it accepted the job: Batch protocol error',
    })
    expect(await insist(cluster, request)).toBe('1.fake')
    expect(pbs.jobs()).toHaveLength(1)
  })

  test('a refusal is remembered, in the words of PBS or of a hook of the site', async () => {
    pbs.behave('qsub', 'refuse', 1)
    const cluster = service()
    const request = job('true')
    const refusal = { kind: 'refused', message: 'heron did not accept the job: Unknown queue' }
    expect(await cluster.submit(request)).toEqual(refusal)
    expect(await service().submit(request)).toEqual(refusal)
    pbs.behave('qsub', 'hook', 1)
    expect(await cluster.submit(job('true'))).toEqual({
      kind: 'refused',
      message: 'heron did not accept the job: every job needs a project',
    })
    expect(pbs.jobs()).toEqual([])
  })

  test.each(['down', 'limit'])('"not now" (%s) refuses nothing', async how => {
    pbs.behave('qsub', how, 1)
    const cluster = service(60)
    const request = job('true')
    expect(await cluster.submit(request)).toMatchObject({ kind: 'transient' })
    expect(await cluster.submit(request)).toMatchObject({ kind: 'accepted', nativeId: '1.fake' })
  })

  test.each([
    ['qselect', 'down'],
    ['qselect', 'banner'],
    ['qstat', 'down'],
    ['qstat', 'nothing'],
  ])('%s %s: it cannot be known whether the job is there, and nothing is submitted', async (command, how) => {
    pbs.behave(command, how)
    const cluster = service()
    expect(await cluster.submit(job('true'))).toMatchObject({ kind: 'transient' })
    expect(pbs.calls('qsub')).toEqual([])
  })
})

describe('a round', () => {
  test('a job is queued, runs in its checkout, and ends with what its file and PBS say', async () => {
    pbs.behave('hold', 'yes')
    const cluster = service()
    const request = job('pwd; until [ -e ../go ]; do sleep 0.05; done; exit 3')
    const attempt = watched(request, await insist(cluster, request))
    const look = async () => (await cluster.observe([attempt])).seen.get(attempt.id)!
    expect(await look()).toMatchObject({ queue: { state: 'queued', nativeState: 'Q' }, started: null })
    const end = pbs.release('1')
    await until('the job to begin', () => existsSync(join(directory(request), 'log.0')))
    expect(await look()).toMatchObject({ queue: { state: 'running', nodes: ['n1'] }, accounting: null })
    writeFileSync(join(root, '42/runs', request.runId, 'go'), '')
    await end
    expect(await look()).toMatchObject({
      queue: null,
      started: { nativeId: '1.fake' },
      exit: { nativeId: '1.fake', code: 3, restarts: 0 },
      accounting: { verdict: 'exit', exitCode: 3, nodes: ['n1'], cpus: 1, maxRss: 6476 * 1024 },
    })
    expect(readFileSync(join(directory(request), 'log.0'), 'utf8')).toContain(`/runs/${request.runId}/work\n`)
  })

  test('costs two commands whatever the number of jobs, and one more when some have ended', async () => {
    pbs.behave('hold', 'yes')
    const cluster = service()
    const requests = [job('true'), job('true'), job('true')]
    const attempts = []
    for (const request of requests) attempts.push(watched(request, await insist(cluster, request)))
    await cluster.facts()
    const before = pbs.calls().length
    const counted = cluster.stats().schedulerCommands
    expect(await cluster.observe(attempts)).toMatchObject({ commands: 2 })
    expect(cluster.stats().schedulerCommands - counted).toBe(2)
    expect(
      pbs
        .calls()
        .slice(before)
        .map(line => line.split(' ')[0]),
    ).toEqual(['qselect', 'qstat'])
    await pbs.release('2')
    const again = pbs.calls().length
    const { seen } = await cluster.observe(attempts)
    expect(seen.get(attempts[1]!.id)).toMatchObject({
      queue: null,
      accounting: { verdict: 'completed' },
      exit: { code: 0 },
    })
    expect(
      pbs
        .calls()
        .slice(again)
        .map(line => line.split(' ')[0]),
    ).toEqual(['qselect', 'qstat', 'qstat'])
  })

  test.each([
    ['the wall time', '-29 93', { verdict: 'timeout', exitCode: null }],
    ['a signal', '267 93', { verdict: 'exit', exitCode: 139, signal: 11 }],
  ])('ended by %s', async (_, status, accounting) => {
    const cluster = service()
    const request = job(`echo '${status}' > ${pbs.state}/jobs/1/status; kill -KILL $PPID $$`)
    const attempt = watched(request, await insist(cluster, request))
    await ended('1')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)).toMatchObject({ accounting })
  })

  test('a site without history: the exit file alone speaks', async () => {
    pbs.behave('no-history', 'yes')
    const cluster = service()
    expect(await cluster.facts()).toMatchObject({ version: 'pbs 23.06.06', accounting: false })
    const request = job('exit 4')
    const attempt = watched(request, await insist(cluster, request))
    await ended('1')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)).toMatchObject({
      queue: null,
      accounting: 'off',
      exit: { code: 4 },
    })
  })

  test('a job that PBS starts again counts its starts, and its first end says nothing', async () => {
    pbs.behave('hold', 'yes')
    const cluster = service()
    const request = job('true', { requeue: true })
    const attempt = watched(request, await insist(cluster, request))
    await pbs.release('1')
    pbs.write('1', 'state', 'Q\n')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)).toMatchObject({ queue: { state: 'queued' } })
    await pbs.release('1')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)).toMatchObject({ exit: { code: 0, restarts: 1 } })
    expect(readFileSync(join(directory(request), 'log.0'), 'utf8')).toContain('started again by the scheduler (1)')
  })

  test('an ended job of which PBS knows nothing any more is a miss, and no stranger of its id is taken for it', async () => {
    const cluster = service()
    const request = job('sleep 100')
    const attempt = watched(request, await insist(cluster, request))
    await until('the job to run', () => stateOf('1') === 'R')
    pbs.vanish('1')
    rmSync(join(directory(request), 'started.0'), { force: true })
    expect((await cluster.observe([attempt])).seen.get(attempt.id)).toMatchObject({
      queue: null,
      accounting: null,
      exit: null,
    })
  })
})

describe('a round that is not whole throws', () => {
  test.each([
    [
      'qselect',
      'down',
      'the queue could not be read (exit code 1): Connection refused qselect: cannot connect to server fake',
    ],
    ['qselect', 'nothing', 'the queue is empty'],
    ['qselect', 'banner', 'qselect answered: *** maintenance on Friday ***'],
    ['qstat', 'down', 'cannot connect to server fake'],
    ['qstat', 'nothing', 'qstat answered without'],
    ['qstat', 'half', 'the answer of qstat was cut'],
    ['qstat', 'cut', 'the queue could not be read'],
  ])('%s: %s', async (command, how, message) => {
    pbs.behave('hold', 'yes')
    const cluster = service()
    const request = job('true')
    const attempt = watched(request, await insist(cluster, request))
    await cluster.observe([attempt])
    if (command === 'qselect' && how === 'nothing') pbs.behave('qstat', 'down')
    pbs.behave(command, how)
    await expect(cluster.observe([attempt])).rejects.toThrow(message)
    pbs.behave('qstat', 'ok')
    pbs.behave(command, 'ok')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)?.queue?.state).toBe('queued')
  })

  test('history that does not answer says nothing, while exit files still speak', async () => {
    const cluster = service()
    const request = job('true')
    const attempt = watched(request, await insist(cluster, request))
    await ended('1')
    await cluster.facts()
    // The queue is empty: the first qstat is the ping.
    writeFileSync(join(pbs.state, 'behave/qstat'), 'ok 1\nhalf 1\n')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)).toMatchObject({
      accounting: null,
      exit: { code: 0 },
    })
  })
})

describe('cancel', () => {
  test('waiting and running jobs are gone, asked again; others stay', async () => {
    pbs.behave('hold', 'yes')
    const cluster = service()
    const submit = async (script: string) => {
      const request = job(script)
      return watched(request, await insist(cluster, request))
    }
    const [waiting, other] = [await submit('true'), await submit('true')]
    pbs.behave('hold', 'ok')
    const running = await submit('sleep 1000')
    await until('the job to run', () => stateOf('3') === 'R')
    const fates = await cluster.cancel([waiting, running])
    expect([...fates.values()]).toEqual(['gone', 'gone'])
    expect(pbs.jobs().map(one => one.state)).toEqual(['F', 'Q', 'F'])
    const { seen } = await cluster.observe([waiting, running, other])
    expect(seen.get(waiting.id)).toMatchObject({ queue: null, accounting: { verdict: 'canceled', startedAt: null } })
    expect(seen.get(running.id)).toMatchObject({ accounting: { verdict: 'canceled', signal: 15 } })
    expect(seen.get(other.id)).toMatchObject({ queue: { state: 'queued' } })
  })

  test('a queue that cannot be read says nothing', async () => {
    pbs.behave('hold', 'yes')
    const cluster = service()
    const request = job('true')
    const attempt = watched(request, await insist(cluster, request))
    for (const command of ['qselect', 'qstat']) {
      pbs.behave(command, 'down')
      await expect(cluster.cancel([attempt])).rejects.toThrow('it cannot be said whether the jobs were cancelled')
      pbs.behave(command, 'ok')
    }
  })

  test('is by the name: a job that has only the id is a stranger and stays', async () => {
    pbs.behave('hold', 'yes')
    const cluster = service()
    const request = job('true')
    const attempt = watched(request, await insist(cluster, request))
    pbs.write('1', 'name', 'somebody-elses')
    expect(await cluster.cancel([attempt])).toEqual(new Map([[attempt.id, 'gone']]))
    expect(stateOf('1')).toBe('Q')
  })
})

describe('an array', () => {
  const arrayOf = (script: string, array: AttemptArray) =>
    submitRequest({ array, spec: { script: [script], array: { tasks: array.tasks, throttle: array.throttle } } })
  async function start(cluster: Cluster, request: SubmitRequest): Promise<WatchedAttempt> {
    const nativeId = await insist(cluster, request)
    const natives = nativeNumbers(request.array!)
    const tasks = readTasks(request.array!.tasks).map((index, i) => ({ index, native: natives[i]! }))
    return { ...watched(request, nativeId), tasks }
  }
  const seenOf = async (cluster: Cluster, attempt: WatchedAttempt) =>
    (await cluster.observe([attempt])).tasks!.get(attempt.id)!

  test('runs once for each task; those that wait, run and have ended are seen each by itself', async () => {
    const cluster = service()
    const script = 'until [ "$COMPOPS_ARRAY_INDEX" = 0 ] || [ -e ../go ]; do sleep 0.1; done; exit $PBS_ARRAY_INDEX'
    const request = arrayOf(script, { tasks: '0,2,4', throttle: 1, renumbered: false })
    const attempt = await start(cluster, request)
    expect(attempt.nativeId).toBe('1[].fake')
    expect(pbs.read('1', 'arguments').split('\n')).toEqual(expect.arrayContaining(['-J', '0-4:2%1']))
    const seen = await until('the second task to run', async () => {
      const tasks = await seenOf(cluster, attempt)
      return tasks.get(2)?.queue?.state === 'running' && tasks
    })
    expect(seen.get(0)).toMatchObject({ exit: { code: 0, nativeId: '1[].fake' }, queue: { state: 'ended' } })
    expect(seen.get(4)).toMatchObject({ queue: { state: 'queued' }, exit: null, started: null })
    writeFileSync(join(root, '42/runs', request.runId, 'go'), '')
    await ended('1')
    const last = await seenOf(cluster, attempt)
    expect([0, 2, 4].map(n => last.get(n)?.exit?.code)).toEqual([0, 2, 4])
    expect(last.get(4)).toMatchObject({ queue: null, accounting: { verdict: 'exit', exitCode: 4 } })
  })

  test('of any numbers is counted from 1 there, and has its own here', async () => {
    const cluster = service()
    expect(await cluster.chunk([3, 5, 900], 10)).toMatchObject({ tasks: [3, 5, 900], renumbered: true })
    const request = arrayOf('echo "$PBS_ARRAY_INDEX" >> ../ran', { tasks: '3,5,900', throttle: null, renumbered: true })
    const attempt = await start(cluster, request)
    await ended('1')
    expect(readFileSync(join(root, '42/runs', request.runId, 'ran'), 'utf8')).toBe('3\n5\n900\n')
    expect([...(await seenOf(cluster, attempt)).values()].map(task => task.exit?.code)).toEqual([0, 0, 0])
  })

  test('is cancelled as a whole, what has not begun as well', async () => {
    const cluster = service()
    const attempt = await start(cluster, arrayOf('sleep 300', { tasks: '1-3', throttle: null, renumbered: false }))
    await until('one to run', async () => (await seenOf(cluster, attempt)).get(1)?.queue?.state === 'running')
    expect(await cluster.cancel([attempt])).toEqual(new Map([[attempt.id, 'gone']]))
    const seen = await seenOf(cluster, attempt)
    expect([1, 2, 3].map(n => seen.get(n)?.accounting)).toMatchObject([
      { verdict: 'canceled', signal: 15 },
      { verdict: 'canceled', startedAt: null },
      { verdict: 'canceled', startedAt: null },
    ])
  })
})
