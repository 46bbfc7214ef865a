import type { ChildProcess } from 'node:child_process'
import { startProxy } from '../support/proxy.ts'
import { startSshd } from '../support/sshd.ts'
import { until } from '../support/until.ts'
import { endChild, startChild } from './child.ts'
import { atMost, type Bench, type Figure, informs, median, round } from './figure.ts'
import { fireAt, type LoadResult } from './fire.ts'
import { loopFigure } from './loop.ts'
import { pushBody } from './push.ts'
import { noPostgres } from './stores.ts'
import { type BenchWorld, fileOf, secret, startBenchWorld } from './world.ts'

const rounds = 3
const seconds = 3
const rate = 200
/** GitLab's deadline for a hook. */
const deadline = 10_000

/**
 * The whole service at 200 deliveries a second, first with everything well, then with GitLab silent, one cluster's link frozen and the other's commands
 * hanging, by turns.
 */
export async function benchAck(bench: Bench): Promise<Figure[]> {
  const databaseUrl = await bench.freshDatabase()
  const figures = await onEngine(bench, 'PGlite', null)
  if (databaseUrl === null) return [...figures, informs('ack p99 on Postgres', `skipped: ${noPostgres}`)]
  return [...figures, ...(await onEngine(bench, 'Postgres', databaseUrl))]
}

async function onEngine(bench: Bench, engine: string, databaseUrl: string | null): Promise<Figure[]> {
  const sshd = await startSshd()
  const proxy = await startProxy(sshd)
  const knownHosts = await sshd.knownHostsFor(proxy.port)
  const ssh = `{ host: ${proxy.host}, port: ${proxy.port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${knownHosts} }`
  const world = await startBenchWorld({
    place: bench.place,
    name: `ack-${engine}`,
    databaseUrl,
    clusters: `  falcon: { scheduler: slurm, root: ROOT, path: SLURM, poll_interval: 5s, ssh: ${ssh} }
  owl: { scheduler: slurm, root: ROOT-owl, path: SLURM, poll_interval: 5s }`,
    rule: '    clusters: [falcon, owl]',
  })
  const load = startChild('load.ts')
  try {
    await world.hook()
    await world.start()
    await underWay(world)
    await fire(world, load)
    const well: LoadResult[] = []
    const frozen: LoadResult[] = []
    const loops: { p999: number; max: number }[] = []
    for (let n = 1; n <= rounds; n++) {
      await world.service.loop()
      well.push(await fire(world, load))
      loops.push(await world.service.loop())
      await freeze(true)
      frozen.push(await fire(world, load))
      loops.push(await world.service.loop())
      await freeze(false)
      const show = (results: LoadResult[]) =>
        `p99 ${round(results.at(-1)!.p99)} ms, p50 ${round(results.at(-1)!.p50)} ms`
      bench.progress(`round ${n}, ${engine}: well ${show(well)}; frozen ${show(frozen)}`)
    }
    const p99 = (results: LoadResult[]) => median(results.map(result => result.p99))
    const share = (results: LoadResult[]) => `1/${Math.round(deadline / p99(results))}`
    return [
      atMost(
        `ack p99 at ${rate}/s with GitLab and clusters frozen, to all well, ${engine}`,
        p99(frozen) / p99(well),
        1.5,
        `${round(p99(frozen))} to ${round(p99(well))} ms`,
      ),
      informs("  as a share of GitLab's 10 s", `${share(frozen)} frozen, ${share(well)} well`),
      loopFigure(`at ${rate} deliveries/s, ${engine}`, {
        p999: median(loops.map(one => one.p999)),
        max: Math.max(...loops.map(one => one.max)),
      }),
    ]
  } finally {
    await endChild(load)
    await world.close()
    await proxy.stop()
    await sshd.stop()
  }

  async function freeze(yes: boolean): Promise<void> {
    await world.gitlab.fault(yes ? { hang: true } : null)
    await world.slurm.hang(yes)
    if (yes) proxy.freeze()
    else proxy.thaw()
  }
}

/** Jobs that run on both clusters, so that there is something to ask of them. */
async function underWay({ gitlab }: BenchWorld): Promise<void> {
  const file = fileOf(10)['.compops.yml']
  const shas = [
    await gitlab.push('calc/falcon', { '.compops.yml': `cluster: falcon\n${file}` }),
    await gitlab.push('calc/owl', { '.compops.yml': `cluster: owl\n${file}` }),
  ]
  await until('the jobs to run', async () => ((await gitlab.states(shas)).running ?? 0) >= 20, 120)
}

/** Tags, which start nothing, and at every fiftieth delivery a push, whose branch is asked for in GitLab. */
function fire({ port, projectId }: BenchWorld, load: ChildProcess): Promise<LoadResult> {
  const push = JSON.parse(pushBody)
  push.project_id = push.project.id = projectId
  const tag = { ...push, object_kind: 'tag_push', event_name: 'tag_push', ref: 'refs/tags/v1.2.0' }
  const bodies = [JSON.stringify(push), ...Array.from({ length: 49 }, () => JSON.stringify(tag))]
  return fireAt(load, { port, seconds, connections: 16, rate, bodies, token: secret })
}
