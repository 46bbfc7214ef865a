import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { duties } from './duties.ts'
import { createLeases, renewEvery } from './leases.ts'
import { honour } from './loop.ts'

export interface Worker {
  /** Lets every loop finish what it is doing. */
  stop(): Promise<void>
}

/** Starts every duty. Rows left by a former process are work like any other: nothing special happens at the start. */
export async function startWorker(context: Context): Promise<Worker> {
  const stopping = new AbortController()
  const leases = createLeases(context)
  await leases.renew()
  const renewal = (async () => {
    while (!stopping.signal.aborted) {
      await context.clock.sleep(renewEvery, stopping.signal)
      if (!stopping.signal.aborted) await leases.renew()
    }
  })()
  const introduction = introduce(context, stopping.signal)
  const loops = duties(context, leases).map(duty => honour(context, duty, stopping.signal))
  return {
    async stop() {
      stopping.abort()
      await Promise.allSettled([renewal, introduction, ...loops])
      await leases.release().catch(() => {})
    },
  }
}

/** Until GitLab has told who we are, our own events cannot be told by author; asked again hourly, since a replaced token is a new bot. */
async function introduce(context: Context, signal: AbortSignal): Promise<void> {
  let wait = 1_000
  while (!signal.aborted) {
    try {
      await context.learnBots()
      context.metrics.unreachable.set({ peer: 'gitlab' }, 0)
      wait = 3_600_000
    } catch (error) {
      context.metrics.unreachable.set({ peer: 'gitlab' }, 1)
      context.log.warn({ step: 'gitlab', err: describeError(error) }, 'GitLab did not say who this service is')
      wait = Math.min(300_000, wait * 2)
    }
    await context.clock.sleep(wait, signal)
  }
}
