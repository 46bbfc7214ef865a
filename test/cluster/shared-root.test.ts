import { randomUUID } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, openCluster } from '../../src/cluster/cluster.ts'
import { openPlaces } from '../../src/cluster/shared-root.ts'
import { createLocalRemote } from '../../src/remote/local.ts'
import type { Remote } from '../../src/remote/remote.ts'
import { createSsh2Remote } from '../../src/remote/ssh2.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { openStore, type Store } from '../../src/store/open.ts'
import { rootMarkOf } from '../../src/store/root-mark.ts'
import { emptyDatabase } from '../support/empty-database.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest } from './requests.ts'

/** Three tiers: data through the file server (a real sshd), commands on the login node. */

const large = makeSource({ 'data.bin': 'x'.repeat(3_000_000) })
const small = makeSource()
let files: Sshd
let slurm: FakeSlurm
let root: string
let cluster: Cluster | null = null

beforeAll(async () => {
  files = await startSshd()
})
afterAll(() => files?.stop())
beforeEach(() => {
  slurm = startFakeSlurm()
  root = mkdtempSync(join(tmpdir(), 'compops-root-'))
})
afterEach(async () => {
  await cluster?.close()
  slurm.stop()
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
})

/** A machine that has another file system below the same path. */
function elsewhere(remote: Remote): Remote {
  const other = join(root, 'elsewhere')
  return { ...remote, run: request => remote.run({ ...request, input: String(request.input).replace(root, other) }) }
}

function reach(transfer: Remote): Cluster {
  cluster = openCluster({
    ...{ name: 'falcon', dialect: dialectOf('slurm'), remote: slurm.remote(), root, shellPath: slurm.bin },
    transfer,
  })
  return cluster
}

test('large sources go through the file server, everything else through the login node', async () => {
  const transfer = createSsh2Remote(files)
  const far = reach(transfer)
  expect(await far.submit(submitRequest({ source: small }))).toMatchObject({ kind: 'accepted' })
  expect(transfer.stats().connects).toBe(0)
  const outcome = await far.submit(submitRequest({ source: large, spec: { script: ['wc -c < data.bin > size'] } }))
  expect(outcome).toMatchObject({ kind: 'accepted' })
  // The mark, then the sources.
  expect(transfer.stats()).toMatchObject({ connects: 1, commands: 2 })
  await until('their end', () => slurm.jobs().every(one => one.state === 'COMPLETED'))
  expect(readdirSync(root)).toContain('.compops-root')
})

test('a file server that has another root is told of, and no job is submitted', async () => {
  const transfer = createSsh2Remote(files)
  const far = reach(elsewhere(transfer))
  const outcome = await far.submit(submitRequest({ source: large }))
  expect(outcome).toMatchObject({ kind: 'transient' })
  expect(outcome).toHaveProperty(
    'message',
    expect.stringMatching(/ does not share \S+ with the login node: no mark stands in it/),
  )
  expect(slurm.calls('sbatch')).toEqual([])
})

const ask = (remote: Remote) => remote.run({ program: 'read -r line; echo "$line"', input: 'asked\n' })

test('a login node that has another root than the one before is not asked', async () => {
  const here = createLocalRemote()
  const there = elsewhere(here)
  let node = here
  let connects = 1
  const remote: Remote = {
    ...here,
    run: request => node.run(request),
    stats: () => ({ ...here.stats(), connects }),
    passOver: reason => passedOver.push(reason.message),
  }
  const passedOver: string[] = []
  const { login } = openPlaces({ name: 'falcon', root, login: remote, transfer: null, nodes: 2 })
  expect((await ask(login)).stdout).toBe('asked\n')
  node = there
  connects++
  await expect(ask(login)).rejects.toThrow(
    `the login node in use, ${hostname()}, sees another ${root} than was used before: no mark stands in it`,
  )
  expect(existsSync(join(root, 'elsewhere'))).toBe(false)
  expect(passedOver).toEqual([expect.stringContaining('no mark stands in it')])
  node = here
  connects++
  expect((await ask(login)).stdout).toBe('asked\n')
  await here.close()
})

describe('after a restart', () => {
  let store: Store
  const dataDir = mkdtempSync(join(tmpdir(), 'compops-mark-'))
  beforeAll(async () => {
    cpSync(await emptyDatabase(), dataDir, { recursive: true })
    store = await openStore({ databaseUrl: null, dataDir })
  })
  afterAll(async () => {
    await store?.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const local = createLocalRemote()
  const here: Remote = { ...local, stats: () => ({ ...local.stats(), connects: 1 }) }
  // Each test has a root of its own, so that the row of the one before says nothing to it.
  const restarted = (login: Remote, of = root) =>
    openPlaces({
      ...{ name: 'falcon', root: of, login, transfer: null, nodes: 2 },
      mark: rootMarkOf(store.db, 'falcon'),
    }).login
  const markIn = (folder: string) => readFileSync(join(folder, '.compops-root'), 'utf8').trim()

  test('the machine that is reached first does not define the root', async () => {
    await ask(restarted(here))
    const other = join(root, 'elsewhere')
    await expect(ask(restarted(elsewhere(here)))).rejects.toThrow('no mark stands in it')
    expect(existsSync(other)).toBe(false)
    mkdirSync(other)
    writeFileSync(join(other, '.compops-root'), `${'0'.repeat(32)}\n`)
    await expect(ask(restarted(elsewhere(here)))).rejects.toThrow('another mark stands in it')
    expect((await ask(restarted(here))).stdout).toBe('asked\n')
    // The remedy of the sentence: it was emptied, and is the right one.
    const word = markIn(root)
    writeFileSync(join(root, '.compops-root'), '')
    await expect(ask(restarted(here))).rejects.toThrow(`echo ${word} >${root}/.compops-root`)
  })

  test('a row that knows none takes what stands there; another root has its own', async () => {
    const word = 'a'.repeat(32)
    writeFileSync(join(root, '.compops-root'), `${word}\n`)
    await ask(restarted(here))
    expect(await rootMarkOf(store.db, 'falcon').known(root)).toBe(word)
    await ask(restarted(here, join(root, 'next')))
    expect(markIn(join(root, 'next'))).not.toBe(word)
    expect(await rootMarkOf(store.db, 'falcon').known(root)).toBe(null)
  })

  test('of two replicas at two roots at once the second is refused', async () => {
    const mark = rootMarkOf(store.db, 'falcon')
    expect(await mark.keep(root, '1'.repeat(32))).toBe('1'.repeat(32))
    expect(await mark.keep(root, '2'.repeat(32))).toBe('1'.repeat(32))
    const late = openPlaces({
      ...{ name: 'falcon', root, login: here, transfer: null, nodes: 2 },
      mark: { ...mark, known: async () => null },
    })
    await expect(ask(late.login)).rejects.toThrow('another mark stands in it')
  })
})

test('a check changes nothing, and says of a root that it is not there, or cannot be', async () => {
  const look = async (at: string) => {
    const { examine, close } = openCluster({
      ...{ name: 'falcon', dialect: dialectOf('slurm'), remote: slurm.remote(), shellPath: slurm.bin },
      ...{ root: at, nodes: 2, lookOnly: true },
    })
    const seen = await examine({ defaults: submitRequest().spec.resources, sessions: true })
    await close()
    return seen
  }
  expect(await look(join(root, 'later'))).toMatchObject({
    unreachable: null,
    place: { root: { state: 'absent', said: root } },
  })
  expect((await look(root)).place?.root).toEqual({ state: 'written' })
  expect(readdirSync(root)).toEqual([])
  writeFileSync(join(root, 'file'), '')
  expect(await look(join(root, 'file'))).toMatchObject({ unreachable: null, place: { root: { state: 'refused' } } })
})

describe('large results', () => {
  const ids = { projectId: 42, runId: randomUUID(), jobId: randomUUID(), id: randomUUID(), nativeId: null }
  const size = 2_000_000
  const write = () => {
    const work = join(root, '42', 'runs', ids.runId, 'work')
    mkdirSync(work, { recursive: true })
    writeFileSync(join(work, 'large.bin'), 'x'.repeat(size))
  }
  const fetch = async (far: Cluster, bytes = size) => {
    const [piece] = await far.files.read(ids, [{ in: 'checkout', path: 'large.bin', offset: 0, bytes }])
    return 'bytes' in piece! ? piece.bytes.length : piece!.problem
  }

  test('come through the file server, small ones and what it does not have through the login node', async () => {
    write()
    const transfer = createSsh2Remote(files)
    const far = reach(transfer)
    expect(await fetch(far, 1_000)).toBe(1_000)
    expect(transfer.stats().connects).toBe(0)
    expect(await fetch(far)).toBe(size)
    // The mark, then the file.
    expect(transfer.stats()).toMatchObject({ connects: 1, commands: 2 })
  })

  test('a file server that does not know of them yet, has another root or is away costs nothing but a question', async () => {
    write()
    const here = createSsh2Remote(files)
    const blind: Remote = {
      ...here,
      run: async request => {
        const answer = await here.run(request)
        return answer.stdout.startsWith('piece ') ? { ...answer, stdout: 'gone\n' } : answer
      },
    }
    const blindly = reach(blind)
    expect(await fetch(blindly)).toBe(size)
    expect(here.stats().commands).toBe(2)
    await blindly.close()
    expect(await fetch(reach(elsewhere(createSsh2Remote(files))))).toBe(size)
    await cluster?.close()
    expect(await fetch(reach(createSsh2Remote({ ...files, port: 1 })))).toBe(size)
  })
})
