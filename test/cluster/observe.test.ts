import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, openCluster, type SubmitRequest, type WatchedAttempt } from '../../src/cluster/cluster.ts'
import type { Remote, RemoteAnswer } from '../../src/remote/remote.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest, watched } from './requests.ts'

/** A round is whole, or it says nothing about any job. */

let slurm: FakeSlurm
let root: string
const source = makeSource()
const open: Cluster[] = []

beforeEach(() => {
  slurm = startFakeSlurm()
  root = mkdtempSync(join(tmpdir(), 'compops-observe-'))
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

async function start(cluster: Cluster, request: SubmitRequest): Promise<WatchedAttempt> {
  const outcome = await cluster.submit(request)
  if (outcome.kind !== 'accepted') throw new Error(JSON.stringify(outcome))
  return watched(request, outcome.nativeId)
}

const job = (script: string) => submitRequest({ source, spec: { script: [script] } })
const stateOf = (id: string) => slurm.jobs().find(one => one.id === id)?.state

describe('what a round sees', () => {
  test('a job that waits, runs, ends, and is forgotten by the queue', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service()
    const attempt = await start(cluster, job('until [ -e ../../../../go ]; do sleep 0.1; done; exit 3'))
    slurm.write('1', 'reason', 'Resources')
    const look = async () => (await cluster.observe([attempt])).seen.get(attempt.id)!

    expect(await look()).toMatchObject({
      queue: { nativeId: '1', state: 'queued', nativeState: 'PENDING', reason: 'Resources', queue: 'main' },
      accounting: null,
      exit: null,
      started: null,
    })
    const ends = slurm.release('1')
    await until('the job to run', () => stateOf('1') === 'RUNNING')
    expect(await look()).toMatchObject({ queue: { state: 'running', nodes: ['n1'] }, accounting: null, exit: null })
    writeFileSync(join(root, 'go'), '')
    await ends
    const ended = {
      accounting: { nativeId: '1', verdict: 'exit', exitCode: 3, maxRss: 2_969_600, cpuSeconds: 0.5 },
      exit: { nativeId: '1', restarts: 0, code: 3 },
      started: { nativeId: '1' },
    }
    expect(await look()).toMatchObject({ ...ended, queue: { state: 'ended', verdict: 'exit' } })
    slurm.write('1', 'forgotten', '')
    expect(await look()).toMatchObject({ ...ended, queue: null })
  })

  test('one command while all are in the queue, two when some have left it, whatever their number', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service()
    const attempts = await Promise.all(['1', '2', '3', '4'].map(() => start(cluster, job('true'))))
    await cluster.observe(attempts)
    const before = slurm.calls().length
    expect((await cluster.observe(attempts)).commands).toBe(1)
    expect(
      slurm
        .calls()
        .slice(before)
        .map(line => line.split(' ')[0]),
    ).toEqual(['squeue'])
    await slurm.release('1')
    await slurm.release('2')
    const then = slurm.calls().length
    expect((await cluster.observe(attempts)).commands).toBe(2)
    expect(
      slurm
        .calls()
        .slice(then)
        .map(line => line.split(' ')[0]),
    ).toEqual(['squeue', 'sacct'])
    expect(slurm.calls('scontrol')).toHaveLength(2)
  })

  test('another job that has the id of ours is a stranger', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    slurm.write('1', 'name', 'somebody-elses')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)).toMatchObject({ queue: null, accounting: null })
  })

  test('an attempt whose id we do not know is found by its name', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    expect((await cluster.observe([{ ...attempt, nativeId: null }])).seen.get(attempt.id)?.queue?.nativeId).toBe('1')
  })

  test('a cluster without accounting says so, and its queue and our files speak', async () => {
    writeFileSync(join(slurm.state, 'behave/no-accounting'), '')
    const cluster = service()
    const attempt = await start(cluster, job('exit 4'))
    await until('the end', () => stateOf('1') === 'FAILED')
    const round = await cluster.observe([attempt])
    expect(round.seen.get(attempt.id)).toMatchObject({
      queue: { verdict: 'exit' },
      accounting: 'off',
      exit: { code: 4 },
    })
    expect(round.commands).toBe(1)
    expect(slurm.calls('sacct')).toHaveLength(0)
  })

  test('accounting that knows nothing yet is no error, and no end', async () => {
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    await until('the end', () => stateOf('1') === 'COMPLETED')
    slurm.behave('sacct', 'empty')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)).toMatchObject({
      accounting: null,
      exit: { code: 0 },
    })
  })

  test('files that our wrapper did not write say nothing', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    slurm.write('1', 'name', 'gone')
    const directory = join(root, '42/runs', attempt.runId, 'jobs', attempt.jobId, attempt.id)
    for (const text of [
      '',
      'garbage\n',
      '1 0 0\n',
      '1 0 999999 1\n',
      '$(id) 0 0 1\n',
      '1 0 0 1 2\n',
      // What no row holds.
      '1 9999999999 0 1\n',
      '1 0 0 999999999999\n',
      '1 999999999999\n',
      'x'.repeat(100_000),
      '\nend 1\n\x1d\n',
    ]) {
      writeFileSync(join(directory, 'exit.0'), text)
      writeFileSync(join(directory, 'started.0'), text)
      const seen = (await cluster.observe([attempt])).seen.get(attempt.id)
      expect([text.slice(0, 20), seen?.exit, seen?.started]).toEqual([text.slice(0, 20), null, null])
    }
    rmSync(join(directory, 'exit.0'))
    mkdirSync(join(directory, 'exit.0'))
    expect((await cluster.observe([attempt])).seen.get(attempt.id)?.exit).toBeNull()
  })
})

test('what the user of one job puts into its directory does not hold up the round of the others', async () => {
  const cluster = service()
  const directories = new Map<string, string>()
  const attempts: WatchedAttempt[] = []
  for (const _ of [1, 2, 3]) {
    const attempt = await start(cluster, job('true'))
    attempts.push(attempt)
    directories.set(attempt.id, join(root, '42', 'runs', attempt.runId, 'jobs', attempt.jobId, attempt.id))
  }
  await until('the ends', () => slurm.jobs().every(one => one.state === 'COMPLETED'))
  const [pipe, huge, good] = attempts
  const inside = (attempt: WatchedAttempt | undefined, name: string) => join(directories.get(attempt!.id)!, name)
  rmSync(inside(pipe, 'exit.0'))
  execFileSync('mkfifo', [inside(pipe, 'exit.0')])
  writeFileSync(inside(huge, 'exit.0'), Buffer.alloc(20_000_000, 'x'))
  // In the name of the third, whose number the first could guess.
  rmSync(inside(good, 'exit.0'))
  writeFileSync(inside(pipe, 'exit.x\n2 exit.0 3 0 0 1795175269\n'), 'x\n')
  expect((await cluster.observe(attempts)).seen.get(good!.id)?.exit).toBeNull()
  writeFileSync(inside(good, 'exit.0'), '3 0 0 1795175269\n')
  const { seen } = await cluster.observe(attempts)
  expect(seen.get(pipe!.id)).toMatchObject({ exit: null, started: { nativeId: '1' } })
  expect(seen.get(huge!.id)).toMatchObject({ exit: null, started: { nativeId: '2' } })
  expect(seen.get(good!.id)).toMatchObject({ exit: { code: 0 }, started: { nativeId: '3' } })
})

describe('a round that is not whole throws', () => {
  test.each([
    [
      'squeue',
      'down',
      'falcon: the queue could not be read (exit code 1): slurm_load_jobs error: Unable to contact slurm controller (connect failure)',
    ],
    ['squeue', 'nothing', 'falcon: squeue answered without its head line'],
    ['squeue', 'banner', 'falcon: squeue began with something else than its list'],
    ['squeue', 'cut', 'falcon: the queue could not be read'],
  ])('%s: %s', async (command, how, message) => {
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    await until('the end', () => stateOf('1') === 'COMPLETED')
    await cluster.observe([attempt])
    slurm.behave(command, how)
    await expect(cluster.observe([attempt])).rejects.toThrow(message)
    slurm.behave(command, 'ok')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)?.exit?.code).toBe(0)
  })

  test.each(['down', 'disabled'])(
    'accounting that is %s says nothing, while exit files still speak and no job is missed',
    async how => {
      const cluster = service()
      const ended = await start(cluster, job('true'))
      await until('the end', () => stateOf('1') === 'COMPLETED')
      await cluster.observe([ended])
      const vanished = { ...ended, id: crypto.randomUUID(), nativeId: '4711' }
      slurm.behave('sacct', how)
      const { seen } = await cluster.observe([ended, vanished])
      expect(seen.get(ended.id)).toMatchObject({ accounting: null, exit: { code: 0 } })
      expect(seen.has(vanished.id)).toBe(false)
    },
  )

  test('an empty queue and a controller that is down', async () => {
    const cluster = service()
    await cluster.facts()
    slurm.behave('scontrol', 'down')
    const attempt = watched(job('true'), '7')
    await expect(cluster.observe([attempt])).rejects.toThrow(
      'the queue is empty and slurmctld does not say that it is up',
    )
    slurm.behave('scontrol', 'ok')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)).toMatchObject({ queue: null, accounting: null })
  })

  test('a root that is not mounted: files that are not seen say nothing', async () => {
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    await until('the end', () => stateOf('1') === 'COMPLETED')
    rmSync(root, { recursive: true })
    await expect(cluster.observe([attempt])).rejects.toThrow(`${root} is not there`)
  })

  test('Slurm’s own notices do not matter', async () => {
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    slurm.behave('squeue', 'notice')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)?.queue?.nativeId).toBe('1')
  })

  test('no answer is a RemoteError', async () => {
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    await cluster.facts()
    slurm.behave('squeue', 'die')
    await expect(cluster.observe([attempt])).rejects.toMatchObject({ name: 'RemoteError', kind: 'cut' })
  })
})

describe('ten thousand jobs', () => {
  const clock = '1795175269\n'
  const head =
    '\x1eJOBID\x1fSTATE\x1fREASON\x1fPARTITION\x1fSUBMIT_TIME\x1fSTART_TIME\x1fEND_TIME\x1fNODELIST\x1fNAME\n'
  const attempts: WatchedAttempt[] = Array.from({ length: 10_000 }, (_, i) => ({
    projectId: 1,
    runId: randomUUID(),
    jobId: randomUUID(),
    id: randomUUID(),
    nativeId: String(i + 1),
  }))

  /** A cluster that answers at once. */
  function answering(answers: readonly string[]): { remote: Remote; programs: string[] } {
    const programs: string[] = []
    const stats = {
      connects: 1,
      commands: 0,
      openChannels: 0,
      connectedSince: null,
      unreachableSince: null,
      lastError: null,
    }
    const remote: Remote = {
      description: 'canned',
      run: async ({ program }): Promise<RemoteAnswer> => {
        programs.push(program)
        return { rc: 0, stdout: answers[programs.length - 1] ?? '', stderr: '' }
      },
      stats: () => stats,
      close: async () => {},
    }
    return { remote, programs }
  }

  test('are two commands, read in many turns of the event loop', async () => {
    const config = 'slurm 22.05.8\nAccountingStorageType = accounting_storage/slurmdbd\nMinJobAge = 300 sec\n'
    const queue =
      clock +
      head +
      attempts
        .slice(0, 5_000)
        .map(
          a =>
            `\x1e${a.nativeId}\x1fRUNNING\x1fNone\x1fmain\x1f2026-11-20T12:27:45\x1f2026-11-20T12:27:47\x1fN/A\x1fn[1-4]\x1fcompops-${a.id}\n`,
        )
        .join('')
    const gone = attempts.slice(5_000)
    const past = `${gone
      .map(
        a =>
          `${a.nativeId}\x1fCOMPLETED\x1f0:0\x1fmain\x1fresearch\x1f2026-11-20T12:27:45\x1f2026-11-20T12:27:47\x1f2026-11-20T12:27:49\x1f2\x1fn1\x1f1\x1f00:01.000\x1f\x1fcpu=1\x1fcpu=1\x1fcompops-${a.id}\n`,
      )
      .join('')}\x1d\n${gone.map((a, n) => `${n} exit.0 ${a.nativeId} 0 0 1795175269\n`).join('')}end 5000\n`
    const { remote, programs } = answering([config, queue, past])
    const cluster = openCluster({ name: 'falcon', dialect: dialectOf('slurm'), remote, root: '/scratch' })

    let turns = 0
    let counting = true
    const count = () => {
      turns++
      if (counting) setImmediate(count)
    }
    setImmediate(count)
    const round = await cluster.observe(attempts)
    counting = false

    expect(programs).toHaveLength(3)
    expect(round.commands).toBe(2)
    expect(turns).toBeGreaterThanOrEqual(15)
    expect(round.seen.size).toBe(10_000)
    expect(round.seen.get(attempts[0]!.id)).toMatchObject({ queue: { state: 'running' }, exit: null })
    expect(round.seen.get(attempts[9_999]!.id)).toMatchObject({
      queue: null,
      accounting: { verdict: 'completed' },
      exit: { code: 0 },
    })
  })

  test.each([
    ['without its end', '\x1d\n'],
    ['with the end of another number', '\x1d\nend 1\n'],
    ['without the files', ''],
  ])('an answer about the past %s is not whole', async (_, past) => {
    const config = 'slurm 22.05.8\nAccountingStorageType = accounting_storage/slurmdbd\nMinJobAge = 300 sec\n'
    const { remote } = answering([config, `${clock}${head}\x1dSlurmctld(primary) at vm is UP\n`, past])
    const cluster = openCluster({ name: 'falcon', dialect: dialectOf('slurm'), remote, root: '/scratch' })
    await expect(cluster.observe(attempts)).rejects.toThrow('is not whole')
  })
})

describe('cancel', () => {
  test('waiting and running jobs are gone, asked again; others stay', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service()
    const [waiting, other] = [await start(cluster, job('true')), await start(cluster, job('true'))]
    slurm.behave('hold', 'ok')
    const running = await start(cluster, job('sleep 1000'))
    await until('the job to run', () => stateOf('3') === 'RUNNING')
    expect(await cluster.cancel([waiting, running])).toEqual(
      new Map([
        [waiting.id, 'gone'],
        [running.id, 'gone'],
      ]),
    )
    expect(slurm.jobs().map(one => one.state)).toEqual(['CANCELLED', 'PENDING', 'CANCELLED'])
    expect((await cluster.observe([other])).seen.get(other.id)?.queue?.state).toBe('queued')
  })

  test('is by the name: a job that has only the id is a stranger and stays', async () => {
    slurm.behave('hold', 'yes')
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    slurm.write('1', 'name', 'somebody-elses')
    expect(await cluster.cancel([attempt])).toEqual(new Map([[attempt.id, 'gone']]))
    expect(stateOf('1')).toBe('PENDING')
  })

  test('one whose submission nobody heard of is still there until the settle time has passed', async () => {
    const cluster = service()
    const request = job('true')
    slurm.behave('sbatch', 'timed-out-lost', 1)
    expect((await cluster.submit(request)).kind).toBe('unsure')
    const attempt = watched(request, null)
    expect(await cluster.cancel([attempt])).toEqual(new Map([[attempt.id, 'still there']]))
    expect(await cluster.submit(request)).toEqual({ kind: 'given up' })
  })

  test('a queue that cannot be read says nothing', async () => {
    const cluster = service()
    const attempt = await start(cluster, job('true'))
    slurm.behave('squeue', 'down')
    await expect(cluster.cancel([attempt])).rejects.toThrow('it cannot be said whether the jobs were cancelled')
  })

  test('nothing is nothing', async () => {
    expect(await service().cancel([])).toEqual(new Map())
    expect(slurm.calls()).toEqual([])
  })
})

test('what it costs is counted', async () => {
  const cluster = service()
  await start(cluster, job('true'))
  expect(cluster.stats()).toMatchObject({ schedulerCommands: 2, roundTrips: 1 })
  expect(slurm.calls().map(line => line.split(' ')[0])).toEqual(['squeue', 'sbatch'])
})
