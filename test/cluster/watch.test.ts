import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, type ClusterEvent, openCluster } from '../../src/cluster/cluster.ts'
import type { JobSpec } from '../../src/model/job-spec.ts'
import { createLocalRemote } from '../../src/remote/local.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { startFakeSlurm } from '../support/fake-slurm.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest, watched } from './requests.ts'

/** Jobs that are ended because of what they write, or because they write nothing: by themselves, whoever looks. */

let root: string
const source = makeSource()
const open: Cluster[] = []
const slurm = startFakeSlurm()

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'compops-watch-'))
})
afterAll(async () => {
  await Promise.all(open.map(cluster => cluster.close()))
  slurm.stop()
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
})

const schedulers = {
  // Where commands have a process group of their own, and where they share that of the wrapper.
  local: () =>
    openCluster({ name: 'here', dialect: dialectOf('local'), remote: createLocalRemote(), root, events: true }),
  slurm: () => openCluster({ name: 'falcon', dialect: dialectOf('slurm'), remote: slurm.remote(), root, events: true }),
}

/** Runs a job to its end. A look every second, since nothing is so silent. */
async function run(scheduler: keyof typeof schedulers, spec: Partial<JobSpec>, before?: { readonly log: string }) {
  const cluster = schedulers[scheduler]()
  open.push(cluster)
  const request = submitRequest({ source, spec: { stall_timeout: 4, ...spec } })
  const place = join(root, '42/runs', request.runId, 'jobs', request.jobId, request.attemptId)
  if (before !== undefined) {
    mkdirSync(place, { recursive: true })
    writeFileSync(join(place, 'log.0'), before.log)
  }
  const outcome = await cluster.submit(request)
  if (outcome.kind !== 'accepted') throw new Error(JSON.stringify(outcome))
  const attempt = watched(request, outcome.nativeId)
  const seen = await until(
    'its end',
    async () => {
      const one = (await cluster.observe([attempt])).seen.get(request.attemptId)
      return one?.exit != null && one
    },
    60,
  )
  const directory = join(root, '42/runs', request.runId, 'jobs', request.jobId, request.attemptId)
  const { logTail } = await cluster.collect(attempt)
  return { cluster, request, exit: seen.exit!, log: logTail, file: readFileSync(join(directory, 'exit.0'), 'utf8') }
}

/** Of all processes of this machine. */
const commandLines = () =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(pid => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      } catch {
        return ''
      }
    })

const alive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
const pidsIn = (log: string) => [...log.matchAll(/^pid (\d+)$/gm)].map(found => Number(found[1]))

describe.concurrent.each(['local', 'slurm'] as const)('on %s', scheduler => {
  test('a line that fail_on names ends the job with all that it has started', async () => {
    const { exit, log } = await run(scheduler, {
      fail_on: ['^nothing like it$', 'ERROR: .*NaN'],
      script: [
        'sh -c \'trap "" TERM; echo "pid $$"; while :; do sleep 0.2; done\' & sleep 0.2',
        'sh -c \'echo "pid $$"; echo "step 3 ERROR: residual is NaN $(id) |"; while :; do sleep 0.2; done\'',
        'echo never',
      ],
    })
    expect(exit).toMatchObject({
      ended: {
        kind: 'matched',
        pattern: 'ERROR: .*NaN',
        line: expect.stringMatching(/^step 3 ERROR: residual is NaN uid/),
      },
    })
    expect(exit.code).toBeGreaterThan(128)
    expect(log).not.toContain('never\n')
    expect(log).toContain('compops: ended, because of a line that `fail_on` names (ERROR: .*NaN): step 3')
    const pids = pidsIn(log)
    expect(pids).toHaveLength(2)
    await until('the commands to be gone', () => !pids.some(alive))
  })

  test('a line of an earlier start, which the scheduler ended, is not of this one', async () => {
    const { exit } = await run(
      scheduler,
      { fail_on: ['FATAL'], script: ['echo fine', 'sleep 2'] },
      { log: 'FATAL: preempted\n' },
    )
    expect(exit).toMatchObject({ code: 0 })
    expect(exit.ended ?? null).toBeNull()
  })

  test('a job that writes nothing is ended as stalled; one that only tells how far it is is not', async () => {
    const stalled = await run(scheduler, { script: ['echo begun', 'sleep 100'] })
    expect(stalled.exit).toMatchObject({ ended: { kind: 'stalled', seconds: 4 } })
    const telling = await run(scheduler, {
      script: ['for i in 1 2 3 4 5 6 7; do compops_progress $i; sleep 1; done', 'sleep 0'],
    })
    expect(telling.exit).toMatchObject({ code: 0 })
    expect(telling.exit).not.toHaveProperty('ended')
  })
})

test.concurrent('a time limit of this machine holds beside it, and leaves nothing behind', async () => {
  const { exit } = await run('local', {
    resources: { time: 3 },
    fail_on: ['FATAL'],
    script: ['while :; do echo tick; sleep 0.2; done'],
  })
  expect(exit.code).toBe(143)
  expect(exit).not.toHaveProperty('ended')
  const early = await run('local', {
    resources: { time: 3600 },
    fail_on: ['FATAL'],
    script: ['echo FATAL', 'sleep 100'],
  })
  expect(early.exit).toMatchObject({ ended: { kind: 'matched' } })
  await until(
    'the watcher of its time to be gone',
    () => !commandLines().some(line => line.includes(early.request.attemptId)),
  )
})

test.concurrent('a line of the last moment counts as well: what fail_on names is never a success', async () => {
  const { exit, log } = await run('local', {
    fail_on: ['FATAL'],
    script: ['printf "all is well\\nFATAL, no line end"'],
  })
  expect(exit).toMatchObject({ code: 1, ended: { kind: 'matched', pattern: 'FATAL', line: 'FATAL, no line end' } })
  expect(log).toContain('compops: failed, because of a line')
})

test.concurrent('the commands themselves are not their output', async () => {
  const { exit } = await run('local', { fail_on: ['FATAL'], script: ['grep FATAL README.md || true', 'echo fine'] })
  expect(exit).toEqual({ nativeId: exit.nativeId, restarts: 0, code: 0, at: exit.at })
})

test.concurrent('a pattern is data; what grep does not understand is said, and runs nothing', async () => {
  const { exit, log } = await run('local', { fail_on: ["'; touch /tmp/owned; '$(id)", '('], script: ['echo never'] })
  expect(exit.code).toBe(78)
  expect(log).toContain('does not understand the pattern (')
  expect(log).not.toContain('never')
})

test.concurrent('however long or strange the line, the exit file is one short line', async () => {
  const { exit, file } = await run('local', {
    fail_on: ['x{20}'],
    script: [`printf '\\0\\001\\tx%.0s' $(seq 2000); head -c 100000 /dev/zero | tr '\\0' x`],
  })
  expect(exit).toMatchObject({ ended: { kind: 'matched', pattern: 'x{20}' } })
  expect(Buffer.byteLength(file)).toBeLessThanOrEqual(512)
  expect(file.trimEnd().split('\n')).toHaveLength(1)
})

test.concurrent('lines that tell how far it is become news, a bar that is drawn over and over too', async () => {
  const cluster = schedulers.local()
  open.push(cluster)
  const heard: ClusterEvent[] = []
  const stop = new AbortController()
  const listening = cluster.listen({ signal: stop.signal, onEvents: some => heard.push(...some) })
  try {
    const { exit, request } = await run('local', {
      progress: 'iteration [0-9]+ of',
      script: ['printf "iteration 1 of 8\\niteration 2 of 8\\nother\\riteration 4 of 8\\r"', 'sleep 3'],
    })
    expect(exit.code).toBe(0)
    const news = () => heard.filter(({ kind, attemptId }) => kind === 'progress' && attemptId === request.attemptId)
    await until('the news', () => news().length > 0)
    expect(news().at(-1)?.text).toBe('- iteration 4 of 8')
  } finally {
    stop.abort()
    await listening
  }
})
