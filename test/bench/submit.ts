import { execFile } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startProxy } from '../support/proxy.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'
import { until } from '../support/until.ts'
import { atLeastEach, atMost, type Bench, counted, type Figure, informs, median, round, timed } from './figure.ts'
import { type BenchWorld, fileOf, startBenchWorld } from './world.ts'

const rounds = 7
const many = 100
const roundTrip = 40
const run = promisify(execFile)

/**
 * From the moment that a run is committed until its job is accepted, to what a person would type: `ssh host sbatch`. Both through the same sshd to the same
 * sbatch, which costs nothing.
 */
export async function benchSubmit(bench: Bench): Promise<Figure[]> {
  const sshd = await startSshd()
  const proxy = await startProxy(sshd)
  const knownHosts = await sshd.knownHostsFor(proxy.port)
  const world = await startBenchWorld({
    place: bench.place,
    name: 'submit',
    databaseUrl: await bench.freshDatabase(),
    clusters: `  falcon:
    scheduler: slurm
    root: ROOT
    path: SLURM
    poll_interval: 5s
    max_submitted: 5000
    ssh: { host: ${proxy.host}, port: ${proxy.port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${knownHosts} }`,
  })
  try {
    await world.slurm.instant(true)
    await world.hook()
    await world.start()
    await submitted(world, 'warm', 1)

    const bare: number[] = []
    const ours: number[] = []
    for (let n = 0; n < rounds; n++) {
      bare.push(await timed(() => sshSbatch(world, sshd)))
      ours.push((await submitted(world, `near-${n}`, 1)).first)
      bench.progress(`ssh host sbatch ${round(bare.at(-1)!)} ms, ours ${round(ours.at(-1)!)} ms`)
    }
    proxy.delay(roundTrip / 2)
    const firsts: number[] = []
    const nexts: number[] = []
    let trips = 0
    for (let n = 0; n < 3; n++) {
      const { first, next, roundTrips } = await submitted(world, `far-${n}`, 2)
      firsts.push(first)
      nexts.push(next)
      trips = roundTrips
    }
    proxy.delay(0)
    bench.progress(
      `over a link of ${roundTrip} ms: ${round(median(firsts))} ms, the next job ${round(median(nexts))} ms`,
    )
    const bulk = await submitted(world, 'many', many)
    const perSecond = ((many - 1) * 1000) / bulk.last
    bench.progress(`${many} jobs: ${round(perSecond)} a second`)
    return [
      atMost(
        'run committed to job accepted, to `ssh host sbatch`',
        median(ours.map((ms, n) => ms / bare[n]!)),
        1.5,
        `${round(median(ours))} to ${round(median(bare))} ms, sources sent first`,
      ),
      counted(
        `  round trips of a warm submission, by the time over a link of ${roundTrip} ms`,
        median(nexts) / roundTrip,
        4,
        `${round(median(nexts))} ms`,
      ),
      informs(
        '  of the first job of a run, whose sources are sent',
        `${round(median(firsts) / roundTrip)} (${round(median(firsts))} ms, ${trips} programs on the cluster)`,
      ),
      atLeastEach('submissions a second, the scheduler costs nothing', perSecond, 20, `${many} jobs of a run`),
    ]
  } finally {
    await world.close()
    await proxy.stop()
    await sshd.stop()
  }
}

/** ms from the commit of a run to its first job's acceptance, from that to the second's, and from the first to the last. */
async function submitted({ gitlab, service }: BenchWorld, name: string, jobs: number) {
  await service.told()
  await gitlab.push(`calc/${name}`, fileOf(jobs, name))
  const told: Awaited<ReturnType<typeof service.told>> = []
  await until(`the jobs of ${name} to be accepted`, async () => {
    told.push(...(await service.told()))
    return told.filter(one => one.message.startsWith('submitted ')).length >= jobs
  })
  const start = told.find(one => one.step === 'start')!
  const accepted = told.filter(one => one.message.startsWith('submitted '))
  // Nothing else of this run may be under way when the next begins.
  await gitlab.idle()
  return {
    first: accepted[0]!.time - start.time,
    next: (accepted[1]?.time ?? accepted[0]!.time) - accepted[0]!.time,
    last: accepted.at(-1)!.time - accepted[0]!.time,
    roundTrips: accepted[0]!.roundTrips,
  }
}

async function sshSbatch({ slurm, place }: BenchWorld, sshd: Sshd): Promise<void> {
  const script = join(place, 'bare.sh')
  await writeFile(script, '#!/bin/sh\ntrue\n')
  const options = ['-F', 'none', '-i', sshd.identityFile, '-p', String(sshd.port), '-o', 'BatchMode=yes']
  const host = ['-o', `UserKnownHostsFile=${sshd.knownHostsFile}`, `${sshd.user}@${sshd.host}`]
  await run('ssh', [...options, ...host, join(slurm.path, 'sbatch'), script])
  await rm(script)
}
