import { createSsh2Remote } from '../../src/remote/ssh2.ts'
import { unshared } from '../../src/store/leases.ts'
import { duties } from '../../src/worker/duties.ts'
import { honour } from '../../src/worker/loop.ts'
import { handClock } from '../support/clock.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'
import { until } from '../support/until.ts'
import { type Bench, counted, type Figure, round, thousands } from './figure.ts'
import { contextFor } from './poll-context.ts'
import { openRecordedSlurm } from './queue.ts'
import { seedJobs } from './seed-jobs.ts'
import type { Engine } from './stores.ts'

const hour = 3_600_000

/** What the worker asks of a scheduler, and how often it signs in, in an hour of a clock that is moved by hand: the polls take their real time, the pauses none. */
export async function benchLoad(bench: Bench): Promise<Figure[]> {
  const engine = (await bench.engines()).at(-1)!
  const sshd = await startSshd()
  try {
    return [
      ...(await anHour(bench, engine, sshd, { jobs: 1_000, running: true, busy: false, ms: hour })),
      // Where every poll finds something all are alike: some minutes tell of the hour.
      ...(await anHour(bench, engine, sshd, { jobs: 1_000, busy: true, ms: hour / 4 })),
      ...(await anHour(bench, engine, sshd, { jobs: 10_000, busy: true, ms: hour / 12 })),
      ...(await anHour(bench, engine, sshd, { jobs: 10_000, busy: false, ms: hour })),
    ]
  } finally {
    await sshd.stop()
  }
}

interface Situation {
  readonly jobs: number
  /** All of them run; left out: every second one. */
  readonly running?: boolean
  /** At every poll some job has begun to run: the interval stays the shortest. */
  readonly busy: boolean
  readonly ms: number
}

async function anHour(
  bench: Bench,
  { store }: Engine,
  sshd: Sshd,
  { jobs, running = false, busy, ms }: Situation,
): Promise<Figure[]> {
  const name = `${running ? 'running' : busy ? 'busy' : 'quiet'}-${jobs}`
  const slurm = await openRecordedSlurm(bench.place, name, createSsh2Remote(sshd))
  const clock = handClock(new Date())
  const context = contextFor(slurm.cluster, store, clock)
  const seeded = await seedJobs(store.db, name, jobs, running ? 1 : 2)
  const now = new Map(seeded.map(job => [job.id, job]))
  const waiting = seeded.filter(job => !job.running).map(job => job.id)
  await slurm.show(seeded)
  const owned = {
    of: () => unshared,
    process: unshared,
    renewEvery: 1_000,
    renew: async () => {},
    release: async () => {},
  }
  const poll = duties(context, owned, { count: async () => {} }).find(duty => duty.name === `poll ${name}`)!
  const before = sshd.connections()
  const stop = new AbortController()
  const loop = honour(context, poll, stop.signal)
  try {
    for (let passed = 0; passed < ms; ) {
      await until('a poll to be over', () => clock.sleepers() > 0, 60)
      const pause = clock.untilNext()!
      if (busy) {
        const id = waiting.pop()!
        now.set(id, { ...now.get(id)!, running: true })
        await slurm.show([...now.values()])
      }
      passed += pause
      await clock.advance(pause)
    }
    await until('the last poll to be over', () => clock.sleepers() > 0, 60)
  } finally {
    stop.abort()
    await loop
    await slurm.cluster.close()
  }
  const perHour = (count: number) => (count * hour) / ms
  // The version and settings, asked once a connection, are among them.
  const commands = perHour(slurm.cluster.stats().schedulerCommands)
  const connections = sshd.connections() - before
  const what = `${thousands(jobs)} ${running ? 'running jobs' : 'jobs'}, ${busy ? 'one begins at each poll' : 'nothing changes'}`
  bench.progress(`${what}: ${commands} commands an hour, ${connections} connections`)
  return [
    running
      ? counted(`calls to the scheduler an hour for ${what}`, commands, 720, 'at most 0.2 a second')
      : counted(`scheduler commands a second, ${what}`, commands / 3600, 0.2, `${round(commands)} commands an hour`),
    counted('  SSH connections an hour', connections, 1, 'counted by sshd'),
  ]
}
