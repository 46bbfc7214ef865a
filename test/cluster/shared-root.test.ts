import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Cluster, openCluster } from '../../src/cluster/cluster.ts'
import { openPlaces } from '../../src/cluster/shared-root.ts'
import { createLocalRemote } from '../../src/remote/local.ts'
import type { Remote } from '../../src/remote/remote.ts'
import { createSsh2Remote } from '../../src/remote/ssh2.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
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
    expect.stringContaining(`does not share ${root} with the login node: it cannot read the mark in it`),
  )
  expect(slurm.calls('sbatch')).toEqual([])
})

test('a login node that has another root than the one before is not asked', async () => {
  const here = createLocalRemote()
  const there = elsewhere(here)
  let node = here
  let connects = 1
  const remote: Remote = {
    ...here,
    run: request => node.run(request),
    stats: () => ({ ...here.stats(), connects }),
  }
  const { login } = openPlaces({ name: 'falcon', root, login: remote, transfer: null, nodes: 2 })
  const ask = () => login.run({ program: 'read -r line; echo "$line"', input: 'asked\n' })
  expect((await ask()).stdout).toBe('asked\n')
  node = there
  connects++
  await expect(ask()).rejects.toThrow(`the login node in use now sees another ${root} than the one before`)
  node = here
  connects++
  expect((await ask()).stdout).toBe('asked\n')
  await here.close()
})
