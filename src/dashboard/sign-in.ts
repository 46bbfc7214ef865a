import type { Hono } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { addressOf } from '../auth/address.ts'
import type { Departure, GitLabSignIn } from '../auth/oauth.ts'
import { Refusal } from '../auth/refusal.ts'
import type { Sessions } from '../auth/session.ts'
import type { SignIn } from '../auth/sign-in.ts'
import { CompopsError } from '../errors.ts'
import type { Way } from './dashboard.ts'
import { checkForm } from './safety.ts'

/** To GitLab and back, and out again. */
export function addSignIn(
  app: Hono,
  { site, cookies, visitorOf, refuse }: Way,
  parts: { readonly gitlab: GitLabSignIn | null; readonly sessions: Sessions | null; readonly signIn: SignIn },
): void {
  const { base, context } = site
  const { gitlab, sessions, signIn } = parts
  if (gitlab === null || sessions === null) {
    app.get('/sign-in', c => c.redirect(`${base}/`, 303))
    return
  }

  app.get('/sign-in', async c => {
    const { url, departure } = await gitlab.depart()
    const kept = { ...departure, to: ownPath(c.req.query('to')) }
    setCookie(c, cookies.departure, Buffer.from(JSON.stringify(kept)).toString('base64url'), {
      ...cookies.options,
      maxAge: 600,
    })
    return c.redirect(url, 303)
  })

  app.get('/sign-in/back', async c => {
    try {
      const kept = readDeparture(getCookie(c, cookies.departure))
      deleteCookie(c, cookies.departure, cookies.options)
      if (kept === null) throw new Refusal(400, 'This sign-in was begun elsewhere, or is too old: please begin again')
      const tokens = await gitlab.arrive(new URL(c.req.url), kept).catch(error => {
        if (!(error instanceof CompopsError)) throw error
        throw new Refusal(error.transient ? 503 : 403, error.message, { cause: error })
      })
      const caller = await signIn(new Headers({ authorization: `Bearer ${tokens.access}` }), addressOf(c))
      // A session that this browser had before is nobody's any more.
      const before = getCookie(c, cookies.session)
      if (before !== undefined) await sessions.end(before)
      setCookie(c, cookies.session, await sessions.begin(caller.person.id, tokens), {
        ...cookies.options,
        maxAge: 7 * 24 * 3_600,
      })
      context.audit.record({ act: 'sign in', by: caller.person.username, address: addressOf(c), result: 'done' })
      return c.redirect(`${base}${kept.to}`, 303)
    } catch (error) {
      // Begun anew by itself it would go round for ever.
      if (error instanceof Refusal && error.status === 401) return refuse(c, new Refusal(403, error.message), null)
      return refuse(c, error, null)
    }
  })

  app.post('/sign-out', async c => {
    try {
      const visitor = await visitorOf(c)
      const form = await c.req.parseBody()
      checkForm(c, context.config.publicUrl, visitor.formToken, form.form_token)
      await sessions.end(getCookie(c, cookies.session) ?? '')
      deleteCookie(c, cookies.session, cookies.options)
      context.audit.record({ act: 'sign out', by: visitor.caller.person.username, result: 'done' })
      return c.redirect(`${base}/`, 303)
    } catch (error) {
      return refuse(c, error, null)
    }
  })
}

function readDeparture(kept: string | undefined): (Departure & { readonly to: string }) | null {
  if (kept === undefined) return null
  try {
    const { state, verifier, to } = JSON.parse(Buffer.from(kept, 'base64url').toString()) as Record<string, unknown>
    return typeof state === 'string' && typeof verifier === 'string' ? { state, verifier, to: ownPath(to) } : null
  } catch {
    return null
  }
}

/** Only to a page of ours, whatever the address asks for: `//evil` and `/\evil` are other hosts to a browser. */
export function ownPath(to: unknown): string {
  if (typeof to !== 'string' || !/^\/(?![/\\])[\x21-\x7e]{0,2000}$/.test(to) || to.includes('\\')) return '/'
  const url = URL.parse(to, 'http://here')
  return url === null || url.host !== 'here' || url.pathname.startsWith('//') || url.pathname.startsWith('/sign-')
    ? '/'
    : `${url.pathname}${url.search}`
}
