import { sql } from 'drizzle-orm'
import type { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { Refusal } from '../auth/refusal.ts'
import { describeError, toError } from '../errors.ts'
import { first } from '../store/open.ts'
import type { Way } from './dashboard.ts'
import { changeOf, type Held, hold, type Page, stamp } from './page.ts'
import { ownPath } from './sign-in.ts'
import type { Visitor } from './visitor.ts'

/** ms: between two looks whether anything has changed, for all who look together; and until a page is told that it is up to date. */
const pause = 1_000
const assurance = 10_000
const mostOpen = 1_000
/** Of one person: many windows, and yet nobody takes everybody else's place. */
const mostOfOne = 50
/** Until GitLab is asked again after it, or something else, did not answer. */
const patience = 15_000

/** `/live?at=/jobs`: what changes on that page, as server-sent events, and at least every ten seconds that it is up to date. */
export function addLive(app: Hono, way: Way): void {
  const { site, visitorOf, refuse } = way
  const { context } = site
  const { clock } = context
  const pulse = createPulse(way)
  const renew = createRenewal(way)
  let open = 0
  const openOf = new Map<string, number>()

  app.get('/live', async c => {
    const url = new URL(ownPath(c.req.query('at')), 'http://here')
    let visitor: Awaited<ReturnType<typeof visitorOf>>
    try {
      visitor = await visitorOf(c)
    } catch (error) {
      if (error instanceof Refusal && error.status === 401) return c.text('Nobody is signed in', 401)
      return refuse(c, error, null)
    }
    if (open >= mostOpen || context.stopping.aborted)
      return c.text('Too many pages are open', 503, { connection: 'close' })
    // Where nobody signs in, all are one.
    const person = visitor.open ? null : String(visitor.caller.person.id)
    if (person !== null && (openOf.get(person) ?? 0) >= mostOfOne)
      return c.text('You have too many pages open', 503, { connection: 'close' })
    const had = c.req.header('last-event-id') ?? c.req.query('stamp') ?? null
    c.header('x-accel-buffering', 'no')
    // A connection that is kept would be asked again at once when the service stops, and hold it up.
    c.header('connection', 'close')
    return streamSSE(c, async stream => {
      open++
      context.metrics.pagesOpen.set(open)
      if (person !== null) openOf.set(person, (openOf.get(person) ?? 0) + 1)
      const gone = new AbortController()
      const leave = () => gone.abort()
      stream.onAbort(leave)
      context.stopping.addEventListener('abort', leave, { once: true })
      if (context.stopping.aborted) leave()
      try {
        let held: Map<string, Held> | null = null
        let seen: string | null = null
        let told = 0
        let notBefore = 0
        let again = Number.POSITIVE_INFINITY
        while (!gone.signal.aborted) {
          const at = await pulse.now().catch(() => null)
          if (at === null) {
            await stream.writeSSE({ event: 'trouble', data: 'The database does not answer at present' })
            held = null
            seen = null
          } else if ((at !== seen || clock.now().getTime() >= again) && clock.now().getTime() >= notBefore) {
            // Whoever was signed out, or may see the page no longer, is asked to load it, and is told there. The token of an hour ago is no token any more: each look has its own.
            const page = await visitorOf(c).then(
              visitor => renew.page(url, visitor, at).catch(error => (isGone(error) ? null : toError(error))),
              error => (isNobody(error) ? null : toError(error)),
            )
            if (page === null) {
              await stream.writeSSE({ event: 'reload', data: '' })
              return
            }
            if (page instanceof Error) {
              notBefore = clock.now().getTime() + patience
              if (!(page instanceof Refusal))
                context.log.warn({ step: 'live', err: describeError(page) }, 'a page cannot be renewed')
            } else {
              const mark = stamp(page.regions)
              // Who comes back with the mark of what stands there now has missed nothing.
              const next = new Map(page.regions.map(one => [one.id, hold(one)]))
              const before: ReadonlyMap<string, Held> = held ?? (had === mark ? next : new Map())
              const changes = page.regions.flatMap(one => changeOf(before.get(one.id), one, next.get(one.id)) ?? [])
              held = next
              seen = at
              told = clock.now().getTime()
              again = page.again === undefined ? Number.POSITIVE_INFINITY : told + page.again
              const data = context.secrets.redact(JSON.stringify({ changes, at: clock.now().toISOString() }))
              await stream.writeSSE({ event: 'changes', id: mark, data })
            }
          }
          // Only what shows everything that there is.
          if (at !== null && at === seen && clock.now().getTime() - told >= assurance) {
            told = clock.now().getTime()
            await stream.writeSSE({ event: 'fresh', data: clock.now().toISOString() })
          }
          await clock.sleep(pause, gone.signal)
        }
      } finally {
        context.stopping.removeEventListener('abort', leave)
        open--
        context.metrics.pagesOpen.set(open)
        if (open === 0) renew.forget()
        const others = person === null ? 0 : (openOf.get(person) ?? 1) - 1
        if (person !== null && others > 0) openOf.set(person, others)
        else if (person !== null) openOf.delete(person)
      }
    })
  })
}

const isGone = (error: unknown) => error instanceof Refusal && error.status < 429
const isNobody = (error: unknown) => error instanceof Refusal && [401, 403].includes(error.status)

/** One small question for all open pages together: whether anything that pages show has changed since. */
function createPulse({ site }: Way): { now(): Promise<string> } {
  const { db, clock } = site.context
  let last: { readonly at: number; readonly answer: Promise<string> } | null = null
  return {
    now() {
      const at = clock.now().getTime()
      if (last !== null && at - last.at < pause * 0.8 && at >= last.at) return last.answer
      const answer = first<{ mark: string }>(
        db,
        sql`select concat_ws(' ',
          (select concat(count(*), ' ', sum(version)) from runs where ended_at is null),
          (select id from runs order by id desc limit 1),
          (select sum(version) from (select version from runs order by id desc limit 200) recent),
          (select concat(extract(epoch from max(received_at)), ' ', count(*) filter (where done_at is null))
            from (select received_at, done_at from deliveries order by received_at desc limit 100) d),
          (select string_agg(concat(name, unreachable_since, last_error), ' ') from connections),
          (select string_agg(concat(cluster, mode, until), ' ') from holds),
          (select string_agg(concat(cluster, told_at, troubled_since), ' ') from capacities),
          (select max(id::text) from acts)) as mark`,
      ).then(found => found?.mark ?? '')
      // Once for all who look: a thousand lines a second would say no more.
      answer.catch(error =>
        site.context.log.warn({ step: 'live', err: describeError(error) }, 'pages cannot be renewed'),
      )
      last = { at, answer }
      return answer
    },
  }
}

/** So many pages are made anew side by side, whoever has them open. */
const lanes = 2
/** ms: what takes less is not worth a pause. */
const little = 5
/** ms: who waits longer, for GitLab perhaps, holds up nobody else. */
const longest = 500
/** ms for which a page that was made for one window stands for others of the same session. */
const alike = 5_000
const mostShared = 200

/**
 * A page of one session that is open several times is made once for a change. And however many are open: each lane rests as long as its page took, so that all
 * of them together hold up the rest of the service no more than half of the time; they come later instead, and say of when they are.
 */
function createRenewal({ site, pageAt }: Way): {
  page(url: URL, visitor: Visitor, mark: string): Promise<Page | null>
  forget(): void
} {
  const now = () => site.context.clock.now().getTime()
  const shared = new Map<string, { readonly mark: string; readonly at: number; readonly made: Promise<Page | null> }>()
  const waiting: (() => void)[] = []
  let busy = 0

  async function inTurn<T>(make: () => Promise<T>): Promise<T> {
    if (busy < lanes) busy++
    else await new Promise<void>(go => waiting.push(go))
    const began = performance.now()
    const done = Promise.resolve().then(make)
    void settled(done).then(() => {
      const ms = performance.now() - began
      if (ms < little || ms >= longest) leave()
      else setTimeout(leave, ms)
    })
    return done
  }

  function leave(): void {
    const go = waiting.shift()
    if (go === undefined) busy--
    else go()
  }

  return {
    page(url, visitor, mark) {
      const key = `${visitor.caller.fingerprint} ${url.pathname}${url.search}`
      const known = shared.get(key)
      if (known?.mark === mark && now() - known.at < alike) return known.made
      const made = inTurn(() => pageAt(url, visitor))
      shared.delete(key)
      shared.set(key, { mark, at: now(), made })
      made.catch(() => {
        if (shared.get(key)?.made === made) shared.delete(key)
      })
      if (shared.size > mostShared) shared.delete(shared.keys().next().value!)
      return made
    },
    forget: () => shared.clear(),
  }
}

/** When it is done or has failed, and at the latest after a while. */
function settled(done: Promise<unknown>): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, longest)
    const over = () => {
      clearTimeout(timer)
      resolve()
    }
    done.then(over, over)
  })
}
