import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, openCluster, type SubmitRequest, type WatchedAttempt } from '../../src/cluster/cluster.ts'
import { type AttemptArray, nativeNumbers, readTasks } from '../../src/model/array.ts'
import { nextState } from '../../src/model/next-state.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest, watched } from './requests.ts'

/** One job of many tasks: what is handed over, what a round sees of each task, how it ends. */

let slurm: FakeSlurm
let root: string
const source = makeSource()
const open: Cluster[] = []

beforeEach(() => {
  slurm = startFakeSlurm()
  root = mkdtempSync(join(tmpdir(), 'compops-array-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(cluster => cluster.close()))
  slurm.stop()
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
})

function service(): Cluster {
  const cluster = openCluster({ name: 'falcon', dialect: dialectOf('slurm'), remote: slurm.remote(), root })
  open.push(cluster)
  return cluster
}

function arrayOf(script: string, array: AttemptArray, spec: SubmitRequest['spec'] | object = {}): SubmitRequest {
  const { tasks, throttle } = array
  return submitRequest({ source, array, spec: { script: [script], array: { tasks, throttle }, ...spec } })
}

async function start(cluster: Cluster, request: SubmitRequest): Promise<WatchedAttempt> {
  const outcome = await cluster.submit(request)
  if (outcome.kind !== 'accepted') throw new Error(JSON.stringify(outcome))
  const natives = nativeNumbers(request.array!)
  const tasks = readTasks(request.array!.tasks).map((index, i) => ({ index, native: natives[i]! }))
  return { ...watched(request, outcome.nativeId), tasks }
}

const directory = (a: WatchedAttempt) => join(root, String(a.projectId), 'runs', a.runId, 'jobs', a.jobId, a.id)
const seenOf = async (cluster: Cluster, attempt: WatchedAttempt) =>
  (await cluster.observe([attempt])).tasks!.get(attempt.id)!

describe('an array', () => {
  test('runs its commands once for each task, and each task is seen with its own state and exit code', async () => {
    const cluster = service()
    const attempt = await start(
      cluster,
      arrayOf('until [ "$COMPOPS_ARRAY_INDEX" != 3 ] || [ -e ../go ]; do sleep 0.1; done; exit $COMPOPS_ARRAY_INDEX', {
        tasks: '0-3',
        throttle: null,
        renumbered: false,
      }),
    )
    expect(attempt.nativeId).toBe('1')
    const seen = await until('all but one to end', async () => {
      const tasks = await seenOf(cluster, attempt)
      return [0, 1, 2].every(n => tasks.get(n)?.exit != null) && tasks.get(3)?.started !== undefined && tasks
    })
    expect([0, 1, 2].map(n => seen.get(n)?.exit?.code)).toEqual([0, 1, 2])
    expect(seen.get(2)).toMatchObject({
      started: { nativeId: '1' },
      accounting: { nativeId: '1', verdict: 'exit', exitCode: 2 },
    })
    expect(seen.get(3)).toMatchObject({ queue: { nativeId: '1', state: 'running' }, exit: null })
    writeFileSync(join(directory(attempt), '..', '..', '..', 'go'), '')
    await until('the last to end', async () => (await seenOf(cluster, attempt)).get(3)?.exit?.code === 3)
  })

  test('waits for its turn as one row that names its tasks', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service()
    const attempt = await start(cluster, arrayOf('true', { tasks: '1,5-7', throttle: 2, renumbered: false }))
    expect(slurm.calls('sbatch').at(-1)).toContain('--array=1,5-7%2')
    const seen = await seenOf(cluster, attempt)
    expect([...seen.keys()]).toEqual([1, 5, 6, 7])
    for (const task of seen.values())
      expect(task).toMatchObject({ queue: { state: 'queued', reason: 'JobArrayTaskLimit' }, exit: null, started: null })
  })

  test('has the numbers of the researcher where the scheduler counts from 1', async () => {
    const cluster = service()
    const attempt = await start(
      cluster,
      arrayOf('echo "$COMPOPS_ARRAY_INDEX $SLURM_ARRAY_TASK_ID $COMPOPS_ARRAY_COUNT" > "$COMPOPS_OUTPUT_DIR/numbers"', {
        tasks: '0,5000,7000',
        throttle: null,
        renumbered: true,
      }),
    )
    expect(slurm.calls('sbatch').at(-1)).toContain('--array=1-3')
    await until('all to end', async () =>
      [...(await seenOf(cluster, attempt)).values()].every(task => task.exit !== null),
    )
    for (const index of [0, 5000, 7000])
      expect(readFileSync(join(directory(attempt), 'output', String(index), 'numbers'), 'utf8')).toBe(
        `${index} ${index} 3\n`,
      )
    expect(existsSync(join(directory(attempt), 'exit.1'))).toBe(false)

    // What the scheduler said of a task has the scheduler's number.
    for (const index of [0, 5000, 7000]) rmSync(join(directory(attempt), `log.${index}`))
    writeFileSync(join(directory(attempt), 'scheduler.log.2'), 'slurmstepd: killed\n')
    writeFileSync(join(directory(attempt), 'scheduler.log.5000'), 'of somebody else\n')
    const logsOf = [{ index: 5000, native: 2 }]
    const { tasks } = await cluster.collect(attempt, { array: { tasks: [0, 5000, 7000], logsOf } })
    expect(tasks).toEqual([{ index: 5000, metrics: {}, logTail: 'slurmstepd: killed\n', logSize: 19 }])
  })

  test('that was submitted twice runs once: all its tasks have one claim', async () => {
    slurm.behave('sbatch', 'twice')
    const cluster = service()
    const attempt = await start(
      cluster,
      arrayOf('echo ran >> "../ran.$COMPOPS_ARRAY_INDEX"', { tasks: '1-6', throttle: null, renumbered: false }),
    )
    const run = join(directory(attempt), '..', '..', '..')
    await until('all to end', () => [1, 2, 3, 4, 5, 6].every(n => existsSync(join(directory(attempt), `exit.${n}`))))
    const owners = [1, 2, 3, 4, 5, 6].map(
      n => readFileSync(join(directory(attempt), `exit.${n}`), 'utf8').split(' ')[0],
    )
    expect(new Set(owners).size).toBe(1)
    for (const n of [1, 2, 3, 4, 5, 6]) expect(readFileSync(join(run, `ran.${n}`), 'utf8')).toBe('ran\n')
  })

  test('whose claim another copy has is that copy: tasks of ours that left at the fence have not failed', async () => {
    slurm.behave('hold', 'yes')
    slurm.behave('sbatch', 'twice')
    const cluster = service()
    const attempt = await start(cluster, arrayOf('true', { tasks: '1-3', throttle: null, renumbered: false }))
    expect(attempt.nativeId).toBe('2')
    // The first copy has begun with one of its tasks; the others still wait for their turn.
    writeFileSync(join(directory(attempt), 'started.array'), '1 1700000000\n')
    writeFileSync(join(directory(attempt), 'started.1'), '1 1700000000\n')
    await slurm.release('2')
    const seen = await seenOf(cluster, attempt)
    for (const n of [1, 2, 3]) expect(seen.get(n)?.started?.nativeId).toBe('1')
    expect(seen.get(2)).toEqual({ queue: null, accounting: null, exit: null, started: { nativeId: '1', at: null } })
    const before = {
      nativeId: '2',
      state: 'queued' as const,
      restarts: 0,
      misses: 0,
      missedSince: null,
      awaiting: null,
    }
    const options = { facts: await cluster.facts(), now: new Date(), accountingWait: 0, inWords: String }
    const concluded = nextState({ ...before, cancelRequested: false }, seen.get(2)!, options)
    expect(concluded).toMatchObject({ state: 'running', reason: null })
    // By the id of the copy that runs they wait, as its queue says.
    const known = await seenOf(cluster, { ...attempt, nativeId: '1' })
    expect(known.get(2)).toMatchObject({ queue: { nativeId: '1', state: 'queued' }, started: null })
  })

  test('that was fenced for a moment although it ran: what left at the fence was canceled, it did not fail', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service()
    const attempt = await start(cluster, arrayOf('true', { tasks: '1-2', throttle: null, renumbered: false }))
    writeFileSync(join(directory(attempt), 'started.array'), '1 1700000000\n')
    writeFileSync(join(directory(attempt), 'fenced'), '')
    await slurm.release('1')
    const seen = await seenOf(cluster, attempt)
    for (const n of [1, 2])
      expect(seen.get(n)).toMatchObject({
        started: null,
        exit: null,
        accounting: { verdict: 'canceled', exitCode: 75 },
      })
  })

  test('that passed the fence just before it stood goes on: none of its later tasks meets a fence', async () => {
    slurm.behave('sbatch', 'timed-out-lost', 1)
    const cluster = service()
    const request = arrayOf('true', { tasks: '1-3', throttle: null, renumbered: false })
    expect((await cluster.submit(request)).kind).toBe('unsure')
    const attempt = watched(request, null)
    const before = slurm.calls('squeue').length
    slurm.behave('squeue', 'wait')
    const asked = cluster.cancel([attempt])
    await until('the queue to be asked', () => slurm.calls('squeue').length > before)
    expect(existsSync(join(directory(attempt), 'fenced'))).toBe(true)
    writeFileSync(join(directory(attempt), 'started.array'), '7 1700000000\n')
    writeFileSync(join(directory(attempt), 'log.1'), '')
    slurm.behave('squeue', 'ok')
    expect(await asked).toEqual(new Map([[attempt.id, { begunAs: '7' }]]))
    expect(existsSync(join(directory(attempt), 'fenced'))).toBe(false)
  })

  test('is cancelled as a whole', async () => {
    const cluster = service()
    const attempt = await start(cluster, arrayOf('sleep 300', { tasks: '0-9', throttle: 2, renumbered: false }))
    await until('two to run', async () => {
      const states = [...(await seenOf(cluster, attempt)).values()].map(task => task.queue?.state)
      return states.filter(state => state === 'running').length === 2
    })
    expect(await cluster.cancel([attempt])).toEqual(new Map([[attempt.id, 'gone']]))
    for (const task of (await seenOf(cluster, attempt)).values()) expect(task.queue?.verdict).toBe('canceled')
  })

  test('asks the files of its own tasks only, and no file that a user put there can speak for another', async () => {
    const cluster = service()
    const attempt = await start(cluster, arrayOf('true', { tasks: '1-3', throttle: null, renumbered: false }))
    await until('all to end', async () =>
      [...(await seenOf(cluster, attempt)).values()].every(task => task.exit !== null),
    )
    const at = directory(attempt)
    writeFileSync(join(at, 'exit.99'), '1 0 7 1700000000\n')
    writeFileSync(join(at, 'exit.1\n0 exit.2'), '1 0 7 1700000000\n')
    rmSync(join(at, 'exit.3'))
    execFileSync('mkfifo', [join(at, 'exit.3')])
    writeFileSync(join(at, 'exit.10'), 'x'.repeat(5000))
    mkdirSync(join(at, 'started.4'))
    const seen = await seenOf(cluster, attempt)
    expect([...seen.keys()]).toEqual([1, 2, 3])
    expect([1, 2].map(n => seen.get(n)?.exit?.code)).toEqual([0, 0])
    expect(seen.get(3)?.exit).toBeNull()
  })

  test('is cut where the scheduler takes no more, and numbered anew where it knows no such numbers', async () => {
    const cluster = service()
    const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
    // The fake's MaxArraySize is 1001: numbers up to 1000.
    expect(await cluster.chunk(numbers(0, 9), 500)).toEqual({ tasks: numbers(0, 9), renumbered: false })
    expect(await cluster.chunk(numbers(0, 2999), 5000)).toEqual({ tasks: numbers(0, 1000), renumbered: false })
    expect(await cluster.chunk(numbers(1001, 2999), 5000)).toEqual({ tasks: numbers(1001, 2000), renumbered: true })
    expect(await cluster.chunk(numbers(0, 99), 30)).toEqual({ tasks: numbers(0, 29), renumbered: false })
  })
})
