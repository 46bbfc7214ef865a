import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, openCluster, type SubmitRequest, type WatchedAttempt } from '../../src/cluster/cluster.ts'
import { type AttemptArray, nativeNumbers, readTasks } from '../../src/model/array.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { type FakeLsf, startFakeLsf } from '../support/fake-lsf.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest, watched } from './requests.ts'

/** What must hold of any scheduler, on an LSF of either kind: one attempt is one job, and a round is whole or says nothing. */

let lsf: FakeLsf
let root: string
const source = makeSource()
const open: Cluster[] = []

beforeEach(() => {
  lsf = startFakeLsf()
  root = mkdtempSync(join(tmpdir(), 'compops-lsf-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(cluster => cluster.close()))
  lsf.stop()
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
})

function service(settle = 2): Cluster {
  const cluster = openCluster({ name: 'mira', dialect: dialectOf('lsf'), remote: lsf.remote(), root, settle })
  open.push(cluster)
  return cluster
}

const job = (script: string, changes: Parameters<typeof submitRequest>[0] = {}) =>
  submitRequest({ source, ...changes, spec: { script: [script], ...changes.spec } })

async function start(cluster: Cluster, request: SubmitRequest): Promise<WatchedAttempt> {
  const outcome = await cluster.submit(request)
  if (outcome.kind !== 'accepted') throw new Error(JSON.stringify(outcome))
  return watched(request, outcome.nativeId)
}

/** Asks as the service does: again and again, until the answer is clear. */
async function insist(cluster: Cluster, request: SubmitRequest): Promise<string> {
  return until('a native id', async () => {
    const outcome = await cluster.submit(request).catch(() => null)
    if (outcome?.kind === 'refused') throw new Error(outcome.message)
    return outcome?.kind === 'accepted' ? outcome.nativeId : null
  })
}

const stateOf = (id: string) => lsf.jobs().find(one => one.id === id)?.state
const ended = (id: string) => until(`job ${id} to end`, () => /^(?:DONE|EXIT)$/.test(stateOf(id) ?? ''))
const look = async (cluster: Cluster, attempt: WatchedAttempt) =>
  (await cluster.observe([attempt])).seen.get(attempt.id)!

describe.each(['ibm', 'compatible', 'old'])('LSF of the kind %s', kind => {
  beforeEach(() => lsf.behave('kind', kind))

  test('a job waits, runs, ends with its code, and is known after bjobs forgot it', async () => {
    lsf.behave('hold', 'yes')
    const cluster = service()
    const attempt = await start(
      cluster,
      job('until [ -e ../../../../go ]; do sleep 0.1; done; exit 3', {
        spec: { resources: { partition: 'gpu', time: 90, mem: 2048, ntasks: 2 } },
      }),
    )
    lsf.write('1', 'reason', 'Job slot limit reached: 1 host;')
    const waits = await look(cluster, attempt)
    expect(waits).toMatchObject({
      queue: { nativeId: '1', state: 'queued', nativeState: 'PEND', queue: 'gpu' },
      accounting: null,
      exit: null,
    })
    expect(cluster.inWords(waits.queue!.reason!)).toBe('no slot is free')

    const ends = lsf.release('1')
    await until('the job to run', () => stateOf('1') === 'RUN')
    expect(await look(cluster, attempt)).toMatchObject({ queue: { state: 'running', nodes: ['n1'] }, exit: null })
    writeFileSync(join(root, 'go'), '')
    await ends
    const known = {
      accounting: { nativeId: '1', verdict: 'exit', exitCode: 3, cpuSeconds: 0.5, nodes: ['n1'] },
      exit: { nativeId: '1', restarts: 0, code: 3 },
      started: { nativeId: '1' },
    }
    expect(await look(cluster, attempt)).toMatchObject({ ...known, queue: { state: 'ended', verdict: 'exit' } })
    lsf.write('1', 'forgotten', '')
    expect(await look(cluster, attempt)).toMatchObject({ ...known, queue: null })
    // The log of events was switched, then removed: older logs, then accounting.
    lsf.write('1', 'aged', '')
    expect(await look(cluster, attempt)).toMatchObject({ ...known, queue: null })
    lsf.write('1', 'archived', '')
    expect(await look(cluster, attempt)).toMatchObject({ accounting: { verdict: 'exit' }, exit: { code: 3 } })
  })

  test('an answer that is lost is one job; one whose connection broke is submitted after the settle time', async () => {
    for (const how of ['quiet', 'to-stderr', 'lost', 'esub', 'die-after']) {
      lsf.behave('bsub', how, 1)
      const before = lsf.jobs().length
      const id = await insist(service(), job('true'))
      expect([how, id, lsf.jobs().length]).toEqual([how, String(before + 1), before + 1])
    }
    lsf.behave('bsub', 'not-sent', 1)
    const cluster = service(1)
    const request = job('true')
    expect(await cluster.submit(request)).toMatchObject({ kind: 'unsure' })
    expect(await insist(cluster, request)).toBe('6')
  })

  test('what is cancelled is gone, by its name and no other', async () => {
    const cluster = service()
    const attempt = await start(cluster, job('sleep 600'))
    const other = await start(cluster, job('sleep 600'))
    await until('both to run', () => stateOf('1') === 'RUN' && stateOf('2') === 'RUN')
    expect(await cluster.cancel([attempt])).toEqual(new Map([[attempt.id, 'gone']]))
    expect([stateOf('1'), stateOf('2')]).toEqual(['EXIT', 'RUN'])
    expect(await look(cluster, attempt)).toMatchObject({ accounting: { verdict: 'canceled', exitCode: 130 } })
    // A stranger's job has got the id of ours.
    lsf.write('2', 'name', 'weather')
    expect(await cluster.cancel([other])).toEqual(new Map([[other.id, 'gone']]))
    expect(stateOf('2')).toBe('RUN')
    expect(await look(cluster, other)).toMatchObject({ queue: null, accounting: null })
  })
})

describe('what says nothing', () => {
  test.each(['down', 'nothing', 'banner', 'half'])('bjobs: %s', async how => {
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    await ended('1')
    lsf.behave('bjobs', how)
    await expect(cluster.observe([attempt])).rejects.toThrow()
    if (how !== 'half') await expect(cluster.cancel([attempt])).rejects.toThrow()
    lsf.behave('bjobs', 'ok')
    expect(await look(cluster, attempt)).toMatchObject({ accounting: { verdict: 'completed' }, exit: { code: 0 } })
  })

  test.each(['down', 'nothing'])('bhist: %s; the files of the job speak', async how => {
    const cluster = service()
    const [done, dead] = [await start(cluster, job('true')), await start(cluster, job('sleep 600'))]
    await ended('1')
    await cluster.cancel([dead])
    rmSync(join(root, '42', 'runs', dead.runId, 'jobs', dead.jobId, dead.id, 'exit.0'), { force: true })
    lsf.behave('bhist', how)
    const { seen } = await cluster.observe([done, dead])
    expect(seen.get(done.id)).toMatchObject({ queue: { verdict: 'completed' }, accounting: null, exit: { code: 0 } })
    expect(seen.has(dead.id)).toBe(false)
  })

  test('noise before the answer and an id that is not found beside it are no harm', async () => {
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    await ended('1')
    for (const how of ['noise', 'mixed']) {
      lsf.behave('bjobs', how, 1)
      expect(await look(cluster, attempt)).toMatchObject({ queue: { state: 'ended', verdict: 'completed' } })
    }
  })

  test('an empty queue of an mbatchd that is there is an empty queue', async () => {
    const cluster = service()
    const attempt = watched(job('true'), '4711')
    expect(await look(cluster, attempt)).toEqual({ queue: null, accounting: null, exit: null, started: null })
    expect(lsf.calls('bparams')).toHaveLength(2)
  })
})

test.each(['ibm', 'compatible', 'old'])('an array on LSF of the kind %s: each task by its number', async kind => {
  lsf.behave('kind', kind)
  const cluster = service()
  const array: AttemptArray = { tasks: '0-2', throttle: 2, renumbered: true }
  const request = submitRequest({
    source,
    array,
    spec: {
      script: ['[ "$LSB_JOBINDEX" != 2 ] || sleep 600; exit "$COMPOPS_ARRAY_INDEX"'],
      array: { tasks: array.tasks, throttle: array.throttle },
    },
  })
  const tasks = readTasks(array.tasks).map((index, i) => ({ index, native: nativeNumbers(array)[i]! }))
  const attempt = { ...(await start(cluster, request)), tasks }
  expect(lsf.calls('bsub').at(-1)).toContain(`-J compops-${attempt.id}[1-3]%2 `)
  const round = async () => (await cluster.observe([attempt])).tasks!.get(attempt.id)!
  const seen = await until('two to end and one to run', async () => {
    const now = await round()
    return now.get(0)?.exit != null && now.get(1)?.exit != null && now.get(2)?.queue?.state === 'running' && now
  })
  expect(seen.get(0)).toMatchObject({ accounting: { verdict: 'completed' }, exit: { code: 0 } })
  expect(seen.get(1)).toMatchObject({ accounting: { nativeId: '1', verdict: 'exit', exitCode: 1 }, exit: { code: 1 } })
  expect(await cluster.cancel([attempt])).toEqual(new Map([[attempt.id, 'gone']]))
  expect((await round()).get(2)).toMatchObject({ accounting: { verdict: 'canceled' } })
})

test('a host that is lost: unfinished, until the files of the job say more', async () => {
  const cluster = service()
  const attempt = await start(cluster, job('until [ -e ../../../../go ]; do sleep 0.1; done'))
  await until('the job to run', () => existsSync(join(root, '42')) && stateOf('1') === 'RUN')
  lsf.write('1', 'state', 'UNKWN\n')
  expect(await look(cluster, attempt)).toMatchObject({
    queue: { state: 'completing', nativeState: 'UNKWN', verdict: null },
    accounting: { verdict: null },
    exit: null,
  })
  writeFileSync(join(root, 'go'), '')
  await until('its exit file', async () => (await look(cluster, attempt)).exit?.code === 0)
})

test('why LSF ended a job: the reason, however the job ended itself', async () => {
  const cluster = service()
  const attempt = await start(cluster, job(`echo 'TERM_MEMLIMIT 137' >"$HOME/jobs/1/term"; exit 137`))
  await ended('1')
  expect(await look(cluster, attempt)).toMatchObject({
    queue: { state: 'ended', verdict: 'memory', reason: 'TERM_MEMLIMIT' },
    accounting: { verdict: 'memory', exitCode: 137, maxRss: 5 * 2 ** 20 },
  })
})

test('a refusal is one in the words of LSF; a full system is asked again', async () => {
  const cluster = service()
  lsf.behave('bsub', 'threshold', 1)
  expect(await cluster.submit(job('true'))).toMatchObject({ kind: 'transient' })
  const request = job('true', { spec: { resources: { partition: 'nosuch' } } })
  const refused = {
    kind: 'refused',
    message: 'mira did not accept the job: nosuch: No such queue. Job not submitted.',
  }
  expect(await cluster.submit(request)).toEqual(refused)
  expect(await cluster.submit(request)).toEqual(refused)
  expect(lsf.jobs()).toEqual([])
})

test('a job starts after the one it depends on; one that is forgotten meanwhile is looked at anew', async () => {
  const cluster = service()
  const first = await start(cluster, job('until [ -e ../../../../go ]; do sleep 0.1; done'))
  const second = await start(cluster, job('true', { dependsOn: [first.nativeId!] }))
  expect(await look(cluster, second)).toMatchObject({ queue: { state: 'queued' } })
  writeFileSync(join(root, 'go'), '')
  await ended('2')
  expect(stateOf('2')).toBe('DONE')
  lsf.write('1', 'forgotten', '')
  expect(await cluster.submit(job('true', { dependsOn: [first.nativeId!] }))).toMatchObject({ kind: 'transient' })
})

test('a copy that was submitted twice does nothing', async () => {
  lsf.behave('bsub', 'twice')
  const cluster = service()
  const request = job('echo ran >>"$COMPOPS_OUTPUT_DIR/../../../../../../../ran"')
  await insist(cluster, request)
  await ended('1')
  await ended('2')
  expect(
    lsf
      .jobs()
      .map(({ state }) => state)
      .sort(),
  ).toEqual(['DONE', 'EXIT'])
})
