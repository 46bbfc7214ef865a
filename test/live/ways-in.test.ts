import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openCluster } from '../../src/cluster/cluster.ts'
import { openRemote, type WayIn } from '../../src/remote/open.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { makeSource, submitRequest, watched } from '../cluster/requests.ts'
import { type Lab, labUp } from '../support/lab.ts'
import { until } from '../support/until.ts'

/** The lab has two tiers: a file server, and behind it the cluster's login node. */

let lab: Lab
let dir: string

beforeAll(async () => {
  lab = await labUp()
  dir = await mkdtemp(join(tmpdir(), 'ways-live-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const login = () => ({
  ...{ host: lab.host, user: lab.user, identityFile: lab.identityFile, knownHostsFile: lab.knownHostsFile },
})
const openssh = (host: string) => ({
  ...{ by: 'openssh' as const, host, configFile: lab.sshConfig, controlDir: join(dir, 'ssh') },
  ...{ cluster: 'lab', renew: '`compops connect lab`' },
})

test.each<[string, () => { login: WayIn; transfer: WayIn }]>([
  [
    'through the jump host, data by the file server',
    () => ({
      login: { by: 'ssh2', ...login(), port: lab.port, jump: [{ ...login(), port: lab.jumpPort }] },
      transfer: { by: 'ssh2', ...login(), port: lab.jumpPort },
    }),
  ],
  [
    'with transport: openssh, by an alias of ssh_config that has a ProxyJump',
    () => ({ login: openssh('cluster-via-fileserver'), transfer: openssh('fileserver') }),
  ],
])('%s: a job is submitted, runs, and is collected', async (_way, waysIn) => {
  const ways = waysIn()
  const remote = openRemote(ways.login)
  const transfer = openRemote(ways.transfer)
  const cluster = openCluster({ name: 'lab', dialect: dialectOf('slurm'), remote, transfer, root: lab.root })
  try {
    expect((await cluster.facts()).version).toBe(`slurm ${lab.slurmVersion}`)
    expect((await remote.run({ program: 'echo "$LAB_TIER"' })).stdout).toBe('b\n')
    const job = submitRequest({
      // Other bytes than anybody has brought before.
      source: makeSource({ 'data.bin': randomBytes(1_000_000).toString('hex') }),
      spec: {
        resources: { partition: 'main', time: 300, mem: 100 },
        script: ['wc -c < data.bin > size.csv'],
        outputs: ['*.csv'],
      },
    })
    const outcome = await cluster.submit(job)
    expect(outcome).toMatchObject({ kind: 'accepted' })
    const attempt = watched(job, outcome.kind === 'accepted' ? outcome.nativeId : '')
    await until('its end', async () => (await cluster.observe([attempt])).seen.get(attempt.id)?.exit?.code === 0, 90)
    expect((await cluster.collect(attempt)).outputs).toMatchObject([{ path: 'size.csv' }])
    expect([remote.stats().connects, transfer.stats().connects]).toEqual([1, 1])
  } finally {
    await cluster.close()
  }
})
