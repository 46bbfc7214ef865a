import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, openCluster, type SubmitRequest, type WatchedAttempt } from '../../src/cluster/cluster.ts'
import { createSsh2Remote } from '../../src/remote/ssh2.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { hostileRefs } from '../support/hostile-refs.ts'
import { patience } from '../support/patience.ts'
import { startProxy, type TcpProxy } from '../support/proxy.ts'
import { type Sshd, type SshdOptions, startSshd } from '../support/sshd.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest, watched } from './requests.ts'

/** A cluster behind a bad link: a real sshd behind a proxy that cuts, freezes and delays. Every question ends, can be asked again, and doubles nothing. */

const source = makeSource()
let sshd: Sshd
let slurm: FakeSlurm
let proxy: TcpProxy
let root: string
const open: { close(): Promise<void> }[] = []

beforeAll(async () => {
  sshd = await startSshd()
})
afterAll(() => sshd?.stop())
beforeEach(async () => {
  slurm = startFakeSlurm()
  root = mkdtempSync(join(tmpdir(), 'compops-link-'))
  proxy = await startProxy(sshd)
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(one => one.close()))
  await proxy.stop()
  slurm.stop()
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
})

async function service(server: Sshd = sshd, port = proxy.port): Promise<Cluster> {
  const remote = createSsh2Remote({
    host: server.host,
    port,
    user: server.user,
    identityFile: server.identityFile,
    knownHostsFile: await server.knownHostsFor(port),
    backOff: { first: 50, max: 200 },
    keepalive: { interval: 150, count: 2 },
  })
  const cluster = openCluster({ name: 'falcon', dialect: dialectOf('slurm'), remote, root, shellPath: slurm.bin })
  open.push(cluster)
  return cluster
}

async function start(cluster: Cluster, request: SubmitRequest): Promise<WatchedAttempt> {
  const outcome = await cluster.submit(request)
  if (outcome.kind !== 'accepted') throw new Error(JSON.stringify(outcome))
  return watched(request, outcome.nativeId)
}

/** A job that has ended and left a log of some megabytes. */
async function ended(cluster: Cluster): Promise<WatchedAttempt> {
  const job = submitRequest({ source, spec: { script: ['seq 1 400000', 'echo 1 > a.csv'], outputs: ['*.csv'] } })
  const attempt = await start(cluster, job)
  await until('its end', () => slurm.jobs().every(one => one.state === 'COMPLETED'))
  return attempt
}

interface Question {
  /** What it needs, before the link breaks. */
  prepare?(cluster: Cluster): Promise<WatchedAttempt>
  ask(cluster: Cluster, attempt: WatchedAttempt): Promise<unknown>
  /** The command of the scheduler that is running when the link breaks; else so many bytes have passed in a direction. */
  during: string | readonly ['up' | 'down', number]
  answer: unknown
}

const large = makeSource({ 'data.bin': 'x'.repeat(3_000_000) })
const submit = (from = source) => {
  const request = submitRequest({ source: from })
  return (cluster: Cluster) => cluster.submit(request)
}
const accepted = { kind: 'accepted', nativeId: '1' }
const questions: [string, () => Question][] = [
  ['the look-up before a submission', () => ({ ask: submit(), during: 'squeue wait', answer: accepted })],
  ['sbatch, which accepts', () => ({ ask: submit(), during: 'sbatch wait-accepted', answer: accepted })],
  ['the upload of the sources', () => ({ ask: submit(large), during: ['up', 1_000_000], answer: accepted })],
  [
    'a round, asking the queue',
    () => ({
      prepare: ended,
      ask: async (cluster, attempt) => (await cluster.observe([attempt])).seen.get(attempt.id),
      during: 'squeue wait',
      answer: { exit: { code: 0 } },
    }),
  ],
  [
    'a round, asking accounting',
    () => ({
      prepare: ended,
      ask: async (cluster, attempt) => (await cluster.observe([attempt])).seen.get(attempt.id),
      during: 'sacct wait',
      answer: { accounting: { verdict: 'completed' } },
    }),
  ],
  [
    'what a job left behind',
    () => ({
      prepare: ended,
      ask: (cluster, attempt) => cluster.collect(attempt, { logBytes: 5_000_000 }),
      during: ['down', 500_000],
      answer: { outputs: [{ path: 'a.csv' }], logTail: expect.stringMatching(/^399999\n400000\n/m) },
    }),
  ],
  [
    'a cancellation',
    () => ({
      prepare: cluster => start(cluster, submitRequest({ source, spec: { script: ['sleep 300'] } })),
      ask: async (cluster, attempt) => [...(await cluster.cancel([attempt])).values()],
      during: 'scancel wait',
      answer: ['gone'],
    }),
  ],
]

describe.each(['is cut', 'freezes'])('a link that %s in the middle of', how => {
  const breakIt = () => (how === 'is cut' ? proxy.cut() : proxy.freeze())

  test.each(questions)('%s', async (_, make) => {
    const { prepare, ask, during, answer } = make()
    const cluster = await service()
    await cluster.facts()
    const attempt = (await prepare?.(cluster)) as WatchedAttempt
    if (typeof during === 'string') {
      const [command = '', mode = ''] = during.split(' ')
      const before = slurm.calls(command).length
      slurm.behave(command, mode)
      const asked = ask(cluster, attempt).catch(error => error)
      await until(`${command} to run`, () => slurm.calls(command).length > before)
      breakIt()
      expect(await asked).toMatchObject({ name: 'RemoteError', transient: true })
      slurm.behave(command, 'ok')
    } else {
      proxy.after(during[1], during[0], breakIt)
      await expect(ask(cluster, attempt)).rejects.toMatchObject({ name: 'RemoteError', transient: true })
    }
    proxy.thaw()
    const again = await until('the answer', async () => {
      const now = await ask(cluster, attempt).catch(error => {
        if (error.name !== 'RemoteError') throw error
      })
      return (now as { kind?: string } | undefined)?.kind === 'unsure' ? null : now
    })
    expect(again).toMatchObject(answer as object)
    expect(slurm.calls('sbatch')).toHaveLength(1)
    expect(slurm.jobs()).toHaveLength(1)
    expect(cluster.stats().connects).toBe(2)
  })
})

describe('a link', () => {
  test('with a round trip of 40 ms: one question a submission, sources included', async () => {
    const cluster = await service()
    await cluster.facts()
    proxy.delay(20)
    expect(await cluster.submit(submitRequest({ source }))).toMatchObject({ kind: 'accepted', roundTrips: 1 })
    const request = submitRequest({ source, spec: { script: ['echo 1 > a.csv'], outputs: ['*.csv'] } })
    expect(await cluster.submit(request)).toMatchObject({ kind: 'accepted', nativeId: '2', roundTrips: 1 })
    await until('the end', () => slurm.jobs().every(one => one.state === 'COMPLETED'))
    const before = cluster.stats().roundTrips
    expect((await cluster.observe([watched(request, '2')])).seen.get(request.attemptId)?.exit?.code).toBe(0)
    expect((await cluster.collect(watched(request, '2'))).outputs).toHaveLength(1)
    expect(cluster.stats().roundTrips - before).toBe(3)
    expect(cluster.stats().connects).toBe(1)
  })

  test('to a server that allows one session a connection: questions asked at once are all answered', async () => {
    const narrow = await serve({ maxSessions: 1 })
    const cluster = await service(narrow, narrow.port)
    const attempts = await Promise.all(Array.from({ length: 4 }, () => start(cluster, submitRequest({ source }))))
    const [round, ...collected] = await Promise.all([
      cluster.observe(attempts),
      ...attempts.map(attempt => cluster.collect(attempt)),
    ])
    expect(round.seen.size).toBe(4)
    expect(collected).toHaveLength(4)
    expect(slurm.jobs()).toHaveLength(4)
  })
})

// What sshd starts is the account's shell; the forced command stands for one whose start files talk.
describe.each([
  ['sh', '/bin/sh', 'echo Welcome; echo "*** maintenance on Friday ***" >&2'],
  ['bash', '/bin/bash', 'echo Welcome; printf "no newline"'],
  ['tcsh', '/usr/bin/tcsh', 'echo Welcome; setenv n x'],
  ['fish', '/usr/bin/fish', 'echo Welcome; set -x p x'],
])('an account whose login shell is %s and whose start files talk', (_, shell, noise) => {
  test('submits, observes, cancels and collects like any other, hostile names and all', {
    timeout: 60_000 * patience,
  }, async () => {
    const startFile = join(root, 'start')
    writeFileSync(startFile, `${noise}\neval "$SSH_ORIGINAL_COMMAND"\n`)
    const own = await serve({ forceCommand: `${shell} ${startFile}` })
    const cluster = await service(own, own.port)
    const name = '$(touch pwned)\'"`id`;{a,b}!x\\n\n#SBATCH --uid=0'
    const request = submitRequest({
      source,
      branch: 'calc/$(id)`id`;touch${IFS}pwn|b&c',
      person: "o'neil; rm -rf ~",
      spec: {
        env: { NAME: name },
        script: ['mkdir out', 'echo 1 > "out/$NAME.csv" || echo 1 > out/plain.csv', 'echo "$COMPOPS_BRANCH"'],
        outputs: ['out/*.csv'],
      },
    })
    const attempt = await start(cluster, request)
    await until('the end', () => slurm.jobs()[0]?.state === 'COMPLETED')
    expect((await cluster.observe([attempt])).seen.get(attempt.id)).toMatchObject({ exit: { code: 0 } })
    const { outputs, logTail } = await cluster.collect(attempt)
    expect(outputs.map(({ path }) => path)).toEqual([`out/${name}.csv`])
    expect(logTail).toContain(request.branch)
    const endless = await start(cluster, submitRequest({ source, spec: { script: ['sleep 300'] } }))
    expect([...(await cluster.cancel([endless])).values()]).toEqual(['gone'])
    expect(slurm.jobs()).toHaveLength(2)
    slurm.behave('hold', 'yes')
    for (const branch of hostileRefs) {
      const { nativeId } = await start(cluster, submitRequest({ source, branch }))
      expect(slurm.read(nativeId!, 'arguments')).toContain(`\n--comment=physics/ising ${branch} simulate by ada\n`)
    }
  })
})

async function serve(options: SshdOptions): Promise<Sshd> {
  const own = await startSshd(options)
  open.push({ close: () => own.stop() })
  return own
}
