/** The whole service as a process of its own; says how large it is and how long its event loop was held up. Needs `--expose-gc`. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { sql } from 'drizzle-orm'
import { loadConfig } from '../../src/config/index.ts'
import { type Service, startService } from '../../src/main.ts'
import { rows } from '../../src/store/open.ts'
import { fastClock } from '../support/clock.ts'
import type { SharedClock } from './gitlab-child.ts'
import { answerParent } from './rpc.ts'
import { type RunToSeed, seedRuns } from './seed-runs.ts'

const resolution = 1
const delay = monitorEventLoopDelay({ resolution })
const logged: { time: number; step: string; message: string; run: string; roundTrips: number }[] = []
let service: Service

const methods = {
  async start(configFile: string, env: Record<string, string>, clock: SharedClock | null) {
    const config = await loadConfig(configFile, { ...process.env, ...env })
    service = await startService(config, {
      logTo: {
        write(line: string) {
          const { time, step = '', msg = '', run = '', roundTrips = 0 } = JSON.parse(line)
          if (step === 'start' || step === 'submit')
            logged.push({ time: Date.parse(time), step, message: msg, run, roundTrips })
          return true
        },
      },
      ...(clock === null ? {} : { clock: fastClock(clock.factor, new Date(clock.start), new Date(clock.startedAt)) }),
    })
    delay.enable()
    return service.url
  },
  seed: (runs: readonly RunToSeed[], jobs: number, root: string) => seedRuns(service.context, runs, jobs, root),
  /** Since it was asked last: what is told of starting and submitting. */
  told: () => logged.splice(0),
  stats: (connection: string) => {
    const { schedulerCommands, connects, roundTrips } = service.context.clusterOf(connection).stats()
    return { schedulerCommands, connects, roundTrips }
  },
  /** Runs that have not ended, or whose end is not written for GitLab yet. */
  async unfinished(): Promise<number> {
    const [row] = await rows<{ n: string }>(
      service.context.db,
      sql`select count(*) as n from runs where ended_at is null or version > reported_version`,
    )
    return Number(row!.n)
  },
  /** Calls that were sent to GitLab so far, whatever came of them. */
  asked: () =>
    service.context.gitlabs().reduce((all, one) => all + one.counts().reduce((sum, { count }) => sum + count, 0), 0),
  memory() {
    // Twice: what a first collection lets go of may hold more.
    for (let n = 0; n < 2; n++) (globalThis as { gc?: () => void }).gc?.()
    const { heapUsed, rss, external } = process.memoryUsage()
    return { heap: heapUsed / 2 ** 20, rss: rss / 2 ** 20, external: external / 2 ** 20 }
  },
  /** Delay beyond the beat, ms, since it was asked last. */
  loop() {
    const beat = resolution
    const held = {
      p999: Math.max(0, delay.percentile(99.9) / 1e6 - beat),
      max: Math.max(0, delay.max / 1e6 - beat),
    }
    delay.reset()
    return held
  },
  stop: () => service.stop(),
}

export type ServiceChild = typeof methods
answerParent(methods)
