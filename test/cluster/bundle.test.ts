import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Cluster, openCluster } from '../../src/cluster/cluster.ts'
import { createLocalRemote } from '../../src/remote/local.ts'
import type { Remote } from '../../src/remote/remote.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest, watched } from './requests.ts'

/** Packages that the service has fetched, on their way to a cluster. */

let place: string
let root: string
let bundles: string
let cluster: Cluster | null = null
const source = makeSource()
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'compops-bundle-'))
  root = join(place, 'root')
  bundles = join(root, '42/cache/bundles')
})
afterEach(async () => {
  await cluster?.close()
  cluster = null
  rmSync(place, { recursive: true, force: true, maxRetries: 5 })
})

function bundleOf(bytes: Buffer) {
  const path = join(place, 'bundle.tar')
  writeFileSync(path, bytes)
  return { path, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
}

const bundle = () => bundleOf(Buffer.alloc(300_000, 'packages '))

/** A line that carries so many bytes of each large stream, counts them, and then is cut. */
function open(carries = Number.POSITIVE_INFINITY) {
  const remote = createLocalRemote()
  const sent: number[] = []
  let left = carries
  const counting: Remote = {
    ...remote,
    async run(request) {
      const { input } = request
      if (input === undefined || typeof input === 'string' || input instanceof Uint8Array) return remote.run(request)
      const chunks: Uint8Array[] = []
      for await (const chunk of input) chunks.push(chunk as Uint8Array)
      const all = Buffer.concat(chunks)
      sent.push(all.length)
      const carried = all.subarray(0, left)
      left = Number.POSITIVE_INFINITY
      return remote.run({ ...request, input: carried })
    },
  }
  cluster = openCluster({ name: 'here', dialect: dialectOf('local'), remote: counting, root })
  return { cluster, sent }
}

test('are brought before the job is handed over, once, and the job knows where they are', async () => {
  const { cluster, sent } = open()
  const one = bundle()
  const request = submitRequest({
    source,
    bundle: one,
    spec: {
      script: ['cmp "$COMPOPS_BUNDLE" /dev/stdin <<<"$COMPOPS_BUNDLE_SHA256" || :', 'sha256sum <"$COMPOPS_BUNDLE"'],
    },
  })
  const outcome = await cluster.submit(request)
  expect(outcome.kind).toBe('accepted')
  expect(readFileSync(join(bundles, `${one.sha256}.tar`))).toEqual(readFileSync(one.path))
  expect(sent).toHaveLength(1)
  const nativeId = outcome.kind === 'accepted' ? outcome.nativeId : ''
  const collected = await until('the end of the job', async () => {
    const seen = (await cluster.observe([watched(request, nativeId)])).seen.get(request.attemptId)!
    return seen.exit === null || seen.exit === undefined ? null : cluster.collect(watched(request, nativeId))
  })
  expect(collected.logTail).toContain(one.sha256)
  // The evidence says what the job was given.
  expect(collected.environment.packages).toBe(`sha256:${one.sha256}`)
  const old = new Date(Date.now() - 40 * 86_400_000)
  utimesSync(join(bundles, `${one.sha256}.tar`), old, old)
  await cluster.submit(submitRequest({ source, bundle: one }))
  expect(sent).toHaveLength(1)
  // Asked for, they are young again.
  expect(statSync(join(bundles, `${one.sha256}.tar`)).mtimeMs).toBeGreaterThan(Date.now() - 3_600_000)
})

test('whose transfer was cut go on where it stopped, and no job is handed over without them', async () => {
  const { cluster, sent } = open(100_000)
  const one = bundle()
  const request = submitRequest({ source, bundle: one })
  await expect(cluster.submit(request)).rejects.toMatchObject({
    transient: true,
    message: expect.stringContaining('the packages arrived cut'),
  })
  expect(existsSync(join(root, '42/runs'))).toBe(false)
  const [part] = readdirSync(bundles)
  expect(part).toBe(`${one.sha256}.part`)
  const arrived = statSync(join(bundles, part!)).size
  expect(arrived).toBeGreaterThan(90_000)
  expect((await cluster.submit(request)).kind).toBe('accepted')
  expect(sent[0]! - sent[1]!).toBeGreaterThan(90_000)
  expect(readdirSync(bundles)).toEqual([`${one.sha256}.tar`])
  expect(readFileSync(join(bundles, `${one.sha256}.tar`))).toEqual(readFileSync(one.path))
})

test('of which more lies there than there is are brought anew', async () => {
  const one = bundle()
  mkdirSync(bundles, { recursive: true })
  writeFileSync(join(bundles, `${one.sha256}.part`), Buffer.alloc(400_000))
  expect((await open().cluster.submit(submitRequest({ source, bundle: one }))).kind).toBe('accepted')
  expect(readFileSync(join(bundles, `${one.sha256}.tar`))).toEqual(readFileSync(one.path))
})

test('that cannot be stored say so in the words of the machine', async () => {
  const { cluster } = open()
  mkdirSync(join(root, '42'), { recursive: true })
  writeFileSync(join(root, '42/cache'), 'a file in the way')
  await expect(cluster.submit(submitRequest({ source, bundle: bundle() }))).rejects.toMatchObject({
    transient: true,
    message: expect.stringMatching(/the packages could not be stored .*mkdir/),
  })
})

test('whose file has gone before the connection took it up are told so: the service goes on', async () => {
  const remote = createLocalRemote()
  const late: Remote = {
    ...remote,
    async run(request) {
      // As a connection that is opened first: the file cannot be opened long before anybody reads of it.
      if (typeof request.input === 'object') for (let turn = 0; turn < 50; turn++) await stat(place)
      return remote.run(request)
    },
  }
  cluster = openCluster({ name: 'here', dialect: dialectOf('local'), remote: late, root })
  const gone = { ...bundle(), path: join(place, 'gone.tar') }
  await expect(cluster.submit(submitRequest({ source, bundle: gone }))).rejects.toThrow('ENOENT')
  const input = { path: 'mesh', size: 5, sha256: gone.sha256 }
  await expect(cluster.inputs.bring(42, input, async () => gone.path)).rejects.toThrow('ENOENT')
  const sources = { ...source, path: gone.path }
  await expect(cluster.submit(submitRequest({ source: sources }))).rejects.toThrow('ENOENT')
})

test('inputs from another cluster come the same way: once, by digest, an empty file too, and go on where they stopped', async () => {
  const { cluster, sent } = open(100_000)
  const one = bundleOf(Buffer.alloc(300_000, 'a mesh '))
  const input = { path: 'mesh/heat.msh', size: one.size, sha256: one.sha256 }
  const local = async () => one.path
  await expect(cluster.inputs.bring(42, input, local)).rejects.toMatchObject({
    transient: true,
    message: expect.stringContaining('the input mesh/heat.msh arrived cut: '),
  })
  const there = cluster.inputs.pathOf(42, one.sha256)
  expect(there).toBe(join(root, '42/cache/inputs', one.sha256))
  expect(existsSync(there)).toBe(false)
  await cluster.inputs.bring(42, input, local)
  expect(readFileSync(there)).toEqual(readFileSync(one.path))
  expect(sent[0]! - sent[1]!).toBeGreaterThan(90_000)
  await cluster.inputs.bring(42, input, () => Promise.reject(new Error('it is there')))
  expect(sent).toHaveLength(2)
  const empty = bundleOf(Buffer.alloc(0))
  await cluster.inputs.bring(42, { path: 'empty', size: 0, sha256: empty.sha256 }, async () => empty.path)
  expect(statSync(cluster.inputs.pathOf(42, empty.sha256)).size).toBe(0)
  const old = new Date(Date.now() - 40 * 86_400_000)
  utimesSync(there, old, old)
  expect(await cluster.directories.removeSources(30)).toBe(1)
  expect(readdirSync(join(root, '42/cache/inputs'))).toEqual([empty.sha256])
})

test('that nobody has asked for are removed with old sources', async () => {
  const { cluster } = open()
  mkdirSync(bundles, { recursive: true })
  const old = new Date(Date.now() - 40 * 86_400_000)
  for (const name of ['a.tar', 'b.tar', 'c.part']) {
    writeFileSync(join(bundles, name), 'x')
    if (!name.startsWith('b')) utimesSync(join(bundles, name), old, old)
  }
  expect(await cluster.directories.removeSources(30)).toBe(2)
  expect(readdirSync(bundles)).toEqual(['b.tar'])
})
