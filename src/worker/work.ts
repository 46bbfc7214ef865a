import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { isGitLabError } from '../gitlab/gitlab.ts'
import { duties } from './duties.ts'
import { createLeases } from './leases.ts'
import { createLoadCount } from './load.ts'
import { honour } from './loop.ts'

export interface Worker {
  /** Lets every loop finish what it is doing. */
  stop(): Promise<void>
  /** Writes down our use of clusters as far as it has been counted. */
  countLoad(): Promise<void>
}

/** Starts every duty. Rows left by a former process are work like any other: nothing special happens at the start. */
export async function startWorker(context: Context): Promise<Worker> {
  const stopping = new AbortController()
  const leases = createLeases(context)
  await leases.renew()
  const renewal = (async () => {
    while (!stopping.signal.aborted) {
      await context.clock.sleep(leases.renewEvery, stopping.signal)
      if (!stopping.signal.aborted) await leases.renew()
    }
  })()
  const introduction = introduce(context, stopping.signal)
  const load = createLoadCount(context)
  const loops = duties(context, leases, load).map(duty => honour(context, duty, stopping.signal))
  return {
    countLoad: () => load.count(),
    async stop() {
      stopping.abort()
      await Promise.allSettled([renewal, introduction, ...loops])
      await load.count().catch(() => {})
      await leases.release().catch(() => {})
    },
  }
}

/** Until GitLab has told who we are, our own events cannot be told by author; asked again when a token was replaced, and hourly. */
async function introduce(context: Context, signal: AbortSignal): Promise<void> {
  let wait = 1_000
  while (!signal.aborted) {
    const mark = context.wake.mark('introduce')
    try {
      await context.learnBots()
      context.troubles.delete('gitlab')
      await warnOfExpiry(context)
      wait = 3_600_000
    } catch (error) {
      const refused = isGitLabError(error, 'unauthorized')
      const said = refused
        ? 'GitLab refuses the token (401 Unauthorized): replace it where gitlab.token or token_file says'
        : describeError(error)
      context.troubles.set('gitlab', {
        since: context.troubles.get('gitlab')?.since ?? context.clock.now(),
        error: said,
      })
      context.log.warn(
        { step: 'gitlab', err: describeError(error) },
        refused ? said : 'GitLab did not say who this service is',
      )
      wait = Math.min(300_000, wait * 2)
    }
    await context.wake.wait('introduce', mark, wait, signal)
  }
}

/** Says it two weeks before a token expires: what then stops is what people look at. */
async function warnOfExpiry(context: Context): Promise<void> {
  for (const [index, client] of context.gitlabs().entries()) {
    const info = await client.tokenInfo()
    if (info?.expiresAt == null) continue
    const seconds = (Date.parse(info.expiresAt) - context.clock.now().getTime()) / 1000
    context.metrics.tokenExpires.set({ token: String(index) }, Date.parse(info.expiresAt) / 1000)
    if (seconds < 14 * 86_400) {
      context.log.warn(
        { step: 'gitlab', token: info.name, expiresAt: info.expiresAt },
        `the GitLab token ${info.name} expires on ${info.expiresAt}: replace it`,
      )
    }
  }
}
