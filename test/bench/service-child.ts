/** The whole service as a process of its own; says how large it is and how long its event loop was held up. Needs `--expose-gc`. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { loadConfig } from '../../src/config/index.ts'
import { type Service, startService } from '../../src/main.ts'
import { setHold } from '../../src/store/holds.ts'
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
  /** So that no round takes the seeded jobs for lost, or costs what a page does not. */
  holdBack: (cluster: string) =>
    setHold(service.context.db, { cluster, mode: 'pause', reason: null, by: 'bench', until: null }),
  /** The branches there are become one tree, ten below each. */
  async growTree() {
    const { db } = service.context
    await db.execute(sql`update branches set parent_by = 'file', parent_why = 'written in .compops.yml',
      parent_branch = 'calc/b' || (substr(ref, 18)::integer / 10) where ref ~ '^refs/heads/calc/b[0-9]+$' and ref <> 'refs/heads/calc/b0'`)
    // Telling GitLab of all of them is another bench's.
    await db.execute(sql`update runs set reported_version = version`)
    await db.execute(sql`analyze`)
  },
  /** Share of one processor that was used over so many ms. */
  async cpuAtRest(ms: number): Promise<number> {
    const before = process.cpuUsage()
    await sleep(ms)
    return total(process.cpuUsage(before)) / ms
  },
  /** Asked from within: what a browser's own work costs is another's, what serving it costs is ours. */
  async page(path: string): Promise<{ ms: number; text: string }> {
    const atRest = process.cpuUsage()
    await sleep(1_000)
    const rest = total(process.cpuUsage(atRest)) / 1_000
    const before = process.cpuUsage()
    const began = performance.now()
    const answer = await fetch(`${service.url}${path}`)
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text.slice(0, 300)}`)
    const ms = total(process.cpuUsage(before)) - rest * (performance.now() - began)
    return { ms: Math.max(0, ms), text }
  },
  stop: () => service.stop(),
}

function total({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1_000
}

export type ServiceChild = typeof methods
answerParent(methods)
