import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { branchFile } from '../../src/model/branch-file.ts'
import { rows } from '../../src/store/open.ts'
import { type FakeSlurm, startFakeSlurm } from '../support/fake-slurm.ts'
import { hostileRefs } from '../support/hostile-refs.ts'
import { patience } from '../support/patience.ts'
import { startProxy, type TcpProxy } from '../support/proxy.ts'
import { type Sshd, type SshdOptions, startSshd } from '../support/sshd.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from '../support/world.ts'

// The way to a cluster on the whole path: a link that freezes, a host that shows another key, accounts with other shells, names that are shell code.
const toStop: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop()
})

async function serve(options?: SshdOptions): Promise<Sshd> {
  const sshd = await startSshd(options)
  toStop.push(() => sshd.stop())
  return sshd
}

function openSlurm(): FakeSlurm {
  const slurm = startFakeSlurm()
  toStop.push(() => slurm.stop())
  return slurm
}

interface Way {
  readonly name: string
  readonly slurm: FakeSlurm
  readonly sshd: Sshd
  readonly port: number
  readonly knownHostsFile: string
}

async function begin(ways: readonly Way[]): Promise<World> {
  const clusters = ways.map(
    ({ name, slurm, sshd, port, knownHostsFile }) => `  ${name}:
    scheduler: slurm
    path: ${slurm.bin}
    ssh: { host: 127.0.0.1, port: ${port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${knownHostsFile} }
    root: ROOT-${name}
    poll_interval: 300ms
    max_poll_interval: 1s`,
  )
  const world = await startWorld({
    database: 'postgres',
    clusters: clusters.join('\n'),
    rule: `    clusters: [${ways.map(way => way.name).join(', ')}]`,
    more: 'intervals: { note: 200ms, accounting: 4s, settle: 3s, shortest_poll: 200ms }',
  })
  toStop.push(() => world.close())
  return world
}

async function throughProxy(): Promise<{ world: World; slurm: FakeSlurm; sshd: Sshd; proxy: TcpProxy; way: Way }> {
  const sshd = await serve()
  const slurm = openSlurm()
  const proxy = await startProxy(sshd)
  toStop.push(() => proxy.stop())
  const way = {
    name: 'falcon',
    slurm,
    sshd,
    port: proxy.port,
    knownHostsFile: await sshd.knownHostsFor(proxy.port),
  }
  return { world: await begin([way]), slurm, sshd, proxy, way }
}

const trouble = async (world: World) =>
  (await rows<{ last_error: string | null }>(world.service.context.db, sql`select last_error from connections`))[0]
    ?.last_error ?? ''

const file = (script: readonly string[]) => ({
  '.compops.yml': `jobs:\n  heat:\n    script: ${JSON.stringify(script)}\n`,
})

describe('a link that freezes without a word', () => {
  it('while one job runs and another is being submitted: found out, made anew, and nothing is doubled or believed', async () => {
    const { world, slurm, proxy } = await throughProxy()
    const gate = join(slurm.state, 'gate')
    const runs = await world.push('calc/runs', file([`until [ -e ${gate} ]; do sleep 0.05; done`]))
    await until('the job to run', () => world.statuses(runs)['compops/heat'] === 'running')
    slurm.behave('sbatch', 'wait-accepted')
    const late = await world.push('calc/late', file(['echo late']))
    await until('sbatch', () => slurm.calls('sbatch').length === 2)
    proxy.freeze()
    slurm.behave('sbatch', 'ok')
    writeFileSync(gate, '')
    await until('both jobs to end', () => slurm.jobs().every(job => job.state === 'COMPLETED'))
    await until('the trouble', () => trouble(world), 60)
    expect(world.statuses(runs)).toMatchObject({ 'compops/heat': 'running' })
    expect(world.statuses(late)).toMatchObject({ 'compops/heat': 'pending' })
    proxy.thaw()
    expect(await world.treeEnds(runs)).toMatchObject({ 'compops/heat': 'success' })
    expect(await world.treeEnds(late)).toMatchObject({ 'compops/heat': 'success' })
    expect(slurm.calls('sbatch')).toHaveLength(2)
    expect(await trouble(world)).toBe('')
  })
})

describe('a host that comes back with another key', () => {
  it('is refused with words that say what to do, and nothing is lost until a person has decided', async () => {
    const { world, slurm, sshd, way } = await throughProxy()
    const gate = join(slurm.state, 'gate')
    const sha = await world.push('calc/heat', file([`until [ -e ${gate} ]; do sleep 0.05; done`]))
    const { iid } = await world.openMergeRequest('calc/heat')
    await until('the job to run', () => world.statuses(sha)['compops/heat'] === 'running')
    await sshd.halt()
    await sshd.start({ newHostKeys: true })
    writeFileSync(gate, '')
    await until('the trouble', async () => /has changed: it shows .*Refused/.test(await trouble(world)))
    await until('the note to say it', () => world.note(iid)?.body.includes('falcon has not answered since'))
    const waiting = await world.push('calc/waits', file(['echo waited']))
    await until('its status', () => world.statuses(waiting)['compops/heat'])
    expect(world.statuses(sha)).toMatchObject({ 'compops/heat': 'running' })
    expect(slurm.jobs()).toHaveLength(1)

    const [type, key] = readFileSync(join(sshd.dir, 'host_ed25519.pub'), 'utf8').split(' ')
    writeFileSync(way.knownHostsFile, `[127.0.0.1]:${way.port} ${type} ${key}\n`)
    expect(await world.treeEnds(sha)).toMatchObject({ 'compops/heat': 'success' })
    expect(await world.treeEnds(waiting)).toMatchObject({ 'compops/heat': 'success' })
    expect(slurm.jobs()).toHaveLength(2)
  })
})

describe('names that are shell code', () => {
  it('of branches, messages, authors and files are names, whatever the login shell', {
    timeout: 180_000 * patience,
  }, async () => {
    const slurm = openSlurm()
    const shells = [
      ['sh', '/bin/sh'],
      ['bash', '/bin/bash'],
      ['tcsh', '/usr/bin/tcsh'],
    ] as const
    const ways: Way[] = []
    for (const [name, shell] of shells) {
      const start = join(slurm.state, `start-${name}`)
      writeFileSync(start, 'echo Welcome\neval "$SSH_ORIGINAL_COMMAND"\n')
      const sshd = await serve({ forceCommand: `${shell} ${start}` })
      ways.push({ name, slurm, sshd, port: sshd.port, knownHostsFile: sshd.knownHostsFile })
    }
    const world = await begin(ways)
    const { simulator, project } = world
    const mallory = simulator.createUser({ username: 'mallory', name: '$(touch pwn)`touch pwn`"\'; rm -rf ~' })
    simulator.addMember(project.id, mallory.id, 30)
    const written = '$(touch pwn);`touch pwn`\'"|&>'
    // Each name behind one of the shells; test/cluster/link.test.ts asks each name of each.
    const shellOf = (ref: string) => shells[hostileRefs.indexOf(ref) % shells.length]![0]
    const pushed = new Map<string, string>()
    for (const ref of hostileRefs) {
      const job = {
        cluster: shellOf(ref),
        env: { NAME: written },
        script: [`printf %s "$COMPOPS_BRANCH" > "$NAME"$'\\n''!{a,b}*'`],
        outputs: ['*pwn*'],
      }
      const sha = await simulator.commit({
        projectId: project.id,
        branch: ref,
        files: { '.compops.yml': stringify({ jobs: { heat: job } }), 'branch.txt': ref },
        message: `$(touch pwn)\`touch pwn\`; touch pwn "'\n\n#SBATCH --uid=0\n`,
        authorId: mallory.id,
      })
      pushed.set(ref, sha)
    }
    for (const [ref, sha] of pushed) {
      expect(await world.treeEnds(sha), `${ref}: ${world.description(sha, 'compops/tree')}`).toMatchObject({
        'compops/heat': 'success',
      })
      const record = parse(await until(`the evidence of ${ref}`, () => world.evidenceOf(branchFile(ref), sha)))
      expect(record).toMatchObject({ branch: ref, state: 'completed', jobs: { heat: { cluster: shellOf(ref) } } })
      expect(record.jobs.heat.outputs).toMatchObject([{ path: `${written}\n!{a,b}*`, size: Buffer.byteLength(ref) }])
    }
    expect(slurm.jobs()).toHaveLength(hostileRefs.length)
    const left = [...shells.map(([name]) => join(world.place, `cluster-${name}`)), slurm.state].flatMap(place =>
      readdirSync(place, { recursive: true, encoding: 'utf8' }),
    )
    expect(left.filter(path => /(^|\/)(pwn|pwned)$/.test(path))).toEqual([])
    for (const place of [process.cwd(), process.env.HOME ?? '/root']) expect(existsSync(join(place, 'pwn'))).toBe(false)
  })
})
