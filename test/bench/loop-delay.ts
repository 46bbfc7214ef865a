import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { timed } from './figure.ts'

/** Runs `work`; says how long it took and the longest that a timer of 1 ms had to wait meanwhile, both in ms. */
export async function watchLoop(work: () => Promise<unknown>): Promise<{ ms: number; blocked: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  // A delay is known only at the next beat, and the first beat after a reset only begins to count: one before the work, one after it.
  await sleep(10)
  delay.reset()
  await sleep(10)
  const ms = await timed(work)
  await sleep(10)
  delay.disable()
  return { ms, blocked: delay.max / 1e6 }
}
