/** The whole service as a process of its own; says how large it is and how long its event loop was held up. Needs `--expose-gc`. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { loadConfig } from '../../src/config/index.ts'
import { type Service, startService } from '../../src/main.ts'
import { fastClock } from '../support/clock.ts'
import type { SharedClock } from './gitlab-child.ts'
import { answerParent } from './rpc.ts'

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
  /** Since it was asked last: what is told of starting and submitting. */
  told: () => logged.splice(0),
  stats: (connection: string) => {
    const { schedulerCommands, connects, roundTrips } = service.context.clusterOf(connection).stats()
    return { schedulerCommands, connects, roundTrips }
  },
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
