import { randomBytes } from 'node:crypto'
import type { Context as HonoContext } from 'hono'
import { getCookie } from 'hono/cookie'
import { addressOf } from '../auth/address.ts'
import { adminsOf } from '../auth/admins.ts'
import { createCache, remembered } from '../auth/cache.ts'
import type { Seen } from '../auth/desk.ts'
import type { Door } from '../auth/door.ts'
import { Refusal } from '../auth/refusal.ts'
import type { Sessions } from '../auth/session.ts'
import type { Caller } from '../auth/sign-in.ts'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { allProjects } from '../store/projects.ts'
import { isLoopbackHost } from './safety.ts'

/** Who looks at a page. */
export interface Visitor {
  readonly caller: Caller
  /** Stands in each form that changes something. */
  readonly formToken: string
  /** Nobody signs in here: a demo. */
  readonly open: boolean
  /** May hold clusters back, and sees what is asked of them. */
  readonly admin: boolean
  /** The projects in which they are members and may see the runs. Asked of GitLab at most once a minute. */
  projects(): Promise<readonly Seen[]>
}

export interface Cookies {
  readonly session: string
  readonly departure: string
  readonly said: string
  readonly options: { readonly path: '/'; readonly httpOnly: true; readonly sameSite: 'Lax'; readonly secure: boolean }
}

/** `__Host-`: no other host, also none of the same domain, can set or read them. On loopback there is no encryption, and no prefix. */
export function cookiesFor(publicUrl: string): Cookies {
  const secure = publicUrl.startsWith('https://')
  const name = (word: string) => `${secure ? '__Host-' : ''}compops-${word}`
  return {
    ...{ session: name('session'), departure: name('sign-in'), said: name('said') },
    options: { path: '/', httpOnly: true, sameSite: 'Lax', secure },
  }
}

/** Throws Refusal 401 where nobody is signed in (any more). */
export type Recognise = (c: HonoContext) => Promise<Visitor>

const minute = 60_000
/** Projects of one person that are looked at side by side. */
const abreast = 6

export function createRecognise(
  context: Context,
  door: Door,
  { sessions, cookies }: { readonly sessions: Sessions | null; readonly cookies: Cookies },
): Recognise {
  const { config, clock, db } = context
  const now = () => clock.now().getTime()
  const lists = createCache<Promise<readonly Seen[]>>(now, 2_000)
  const isAdmin = adminsOf(config)
  const formToken = randomBytes(32).toString('base64url')

  function visitor(caller: Caller, token: string, open: boolean): Visitor {
    return {
      ...{ caller, formToken: token, open },
      admin: open || isAdmin(caller.person),
      projects: () => remembered(lists, caller.fingerprint, minute, () => projectsOf(caller, open)),
    }
  }

  /** Ours and theirs; the desk has the last word on each. */
  async function projectsOf(caller: Caller, open: boolean): Promise<readonly Seen[]> {
    const ours = (await allProjects(db)).filter(project => projectFor(config, project.path) !== null)
    const theirs = new Set<number>()
    if (!open && ours.length > 0)
      for await (const project of caller.gitlab().projects({ membership: true })) theirs.add(project.id)
    const wanted = ours.filter(project => open || theirs.has(project.id))
    const seen: Seen[] = []
    for (let from = 0; from < wanted.length; from += abreast) {
      const some = await Promise.all(wanted.slice(from, from + abreast).map(project => see(caller, project.id)))
      seen.push(...some.filter(one => one !== null))
    }
    return seen.sort((a, b) => (a.project.path < b.project.path ? -1 : 1))
  }

  async function see(caller: Caller, id: number): Promise<Seen | null> {
    try {
      return await door.desk.project(caller, String(id))
    } catch (error) {
      if (error instanceof Refusal && (error.status === 404 || error.status === 403)) return null
      throw error
    }
  }

  async function everybody(c: HonoContext): Promise<Visitor> {
    if (!isLoopbackHost(c.req.header('host') ?? new URL(c.req.url).host))
      throw new Refusal(403, 'These pages are open on this machine only: ask for them as 127.0.0.1 or localhost')
    const gitlab = context.gitlabOf('')
    const { id, username, name } = await gitlab.self()
    const caller: Caller = { person: { id, username, name }, mayWrite: true, fingerprint: 'open', gitlab: () => gitlab }
    return visitor(caller, formToken, true)
  }

  return async function recognise(c) {
    if (sessions === null) return everybody(c)
    const session = await sessions.open(getCookie(c, cookies.session) ?? '')
    if (session === null) throw new Refusal(401, 'Nobody is signed in')
    const headers = new Headers({ authorization: `Bearer ${session.token}` })
    const caller = await door.signIn(headers, addressOf(c))
    return visitor(caller, session.formToken, false)
  }
}
