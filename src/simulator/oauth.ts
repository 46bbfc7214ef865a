import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { HttpBindings } from '@hono/node-server'
import type { Context, Hono } from 'hono'
import { html } from './pages/html.ts'
import { renderPage } from './pages/layout.ts'
import type { SimApplication, SimToken, SimUser } from './types.ts'
import type { World } from './world.ts'

/** As doorkeeper has it in GitLab: codes live ten minutes and are taken once, access tokens two hours, a refresh token is taken once. */
const CODE_MS = 600_000
const TOKEN_SECONDS = 7_200

export interface Grant {
  readonly applicationId: string
  readonly userId: number
  readonly redirectUri: string
  readonly scopes: string[]
  readonly challenge: string | null
  readonly at: number
  used: boolean
}

export interface Refresh {
  readonly applicationId: string
  readonly userId: number
  readonly scopes: string[]
  readonly access: string
}

/** `/oauth/authorize`, `/oauth/token`, `/oauth/revoke`: authorization code with PKCE, and refresh. */
export function addOauthRoutes(app: Hono<{ Bindings: HttpBindings }>, world: World): void {
  app.get('/oauth/authorize', c => {
    const asked = readAsked(world, new URL(c.req.url).searchParams)
    return 'problem' in asked ? refusePage(c, asked.problem) : signInPage(c, asked, null)
  })

  app.post('/oauth/authorize', async c => {
    const form = await c.req.formData()
    const asked = readAsked(world, new URL(c.req.url).searchParams)
    if ('problem' in asked) return refusePage(c, asked.problem)
    const back = new URL(asked.redirectUri)
    back.searchParams.set('state', asked.state)
    if (form.get('deny') !== null) {
      back.searchParams.set('error', 'access_denied')
      back.searchParams.set('error_description', 'The resource owner or authorization server denied the request.')
      return c.redirect(back.href, 302)
    }
    const user = [...world.users.values()].find(one => one.username === form.get('username'))
    const known = user !== undefined && !user.bot && world.passwords.get(user.id) === form.get('password')
    if (!known || user.blocked) return signInPage(c, asked, 'Invalid login or password.')
    const code = randomBytes(32).toString('hex')
    const { application, redirectUri, scopes, challenge } = asked
    world.grants.set(code, {
      ...{ applicationId: application.id, userId: user.id, redirectUri, scopes, challenge },
      ...{ at: world.now().getTime(), used: false },
    })
    back.searchParams.set('code', code)
    return c.redirect(back.href, 302)
  })

  app.post('/oauth/token', async c => {
    const form = await c.req.formData()
    const text = (name: string) => String(form.get(name) ?? '')
    const application = world.applications.get(text('client_id'))
    if (application === undefined || !same(application.secret, text('client_secret')))
      return problem(c, 'invalid_client', 'Client authentication failed', 401)
    if (text('grant_type') === 'refresh_token') {
      const refresh = world.refreshTokens.get(text('refresh_token'))
      if (refresh === undefined || refresh.applicationId !== application.id) return invalidGrant(c)
      const user = world.users.get(refresh.userId)
      if (user === undefined || user.blocked) return invalidGrant(c)
      world.refreshTokens.delete(text('refresh_token'))
      const old = world.tokens.get(refresh.access)
      if (old !== undefined) old.revoked = true
      return give(c, world, { application, user, scopes: refresh.scopes })
    }
    if (text('grant_type') !== 'authorization_code') return problem(c, 'unsupported_grant_type', 'unsupported', 400)
    const grant = world.grants.get(text('code'))
    const fresh = grant !== undefined && !grant.used && world.now().getTime() - grant.at < CODE_MS
    const right = grant?.applicationId === application.id && grant.redirectUri === text('redirect_uri')
    const proof = createHash('sha256').update(text('code_verifier')).digest('base64url')
    if (grant === undefined || !fresh || !right || (grant.challenge !== null && grant.challenge !== proof))
      return invalidGrant(c)
    grant.used = true
    return give(c, world, { application, user: world.users.get(grant.userId)!, scopes: grant.scopes })
  })

  app.post('/oauth/revoke', async c => {
    const form = await c.req.formData()
    const application = world.applications.get(String(form.get('client_id') ?? ''))
    if (application === undefined || !same(application.secret, String(form.get('client_secret') ?? '')))
      return problem(c, 'unauthorized_client', 'You are not authorized to revoke this token', 403)
    const secret = String(form.get('token') ?? '')
    const token = world.tokens.get(secret)
    if (token?.oauth === true) token.revoked = true
    // Its refresh token goes with it: both are one row in GitLab.
    for (const [refresh, row] of world.refreshTokens) if (row.access === secret) world.refreshTokens.delete(refresh)
    return c.json({})
  })
}

interface Asked {
  readonly application: SimApplication
  readonly redirectUri: string
  readonly scopes: string[]
  readonly state: string
  readonly challenge: string | null
}

function readAsked(world: World, query: URLSearchParams): Asked | { problem: string } {
  const application = world.applications.get(query.get('client_id') ?? '')
  if (application === undefined)
    return {
      problem:
        'Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.',
    }
  const redirectUri = query.get('redirect_uri') ?? ''
  if (!application.redirectUris.includes(redirectUri)) return { problem: 'The redirect URI included is not valid.' }
  if (query.get('response_type') !== 'code')
    return { problem: 'The authorization server does not support this response type.' }
  const scopes = (query.get('scope') ?? '').split(' ').filter(scope => scope !== '')
  if (scopes.length === 0 || scopes.some(scope => !application.scopes.includes(scope)))
    return { problem: 'The requested scope is invalid, unknown, or malformed.' }
  const challenge = query.get('code_challenge')
  if (challenge !== null && query.get('code_challenge_method') !== 'S256')
    return { problem: 'The code challenge method must be S256.' }
  return { application, redirectUri, scopes, state: query.get('state') ?? '', challenge }
}

function give(c: Context, world: World, o: { application: SimApplication; user: SimUser; scopes: string[] }): Response {
  const access: SimToken = {
    id: world.nextId('token'),
    token: randomBytes(32).toString('hex'),
    userId: o.user.id,
    name: o.application.name,
    scopes: o.scopes,
    createdAt: world.now(),
    expiresAt: null,
    revoked: false,
    expired: false,
    lastUsedAt: null,
    oauth: true,
  }
  world.tokens.set(access.token, access)
  const refresh = randomBytes(32).toString('hex')
  world.refreshTokens.set(refresh, {
    ...{ applicationId: o.application.id, userId: o.user.id, scopes: o.scopes, access: access.token },
  })
  return c.json({
    access_token: access.token,
    token_type: 'Bearer',
    expires_in: TOKEN_SECONDS,
    refresh_token: refresh,
    scope: o.scopes.join(' '),
    created_at: Math.floor(world.now().getTime() / 1_000),
  })
}

function signInPage(c: Context, asked: Asked, wrong: string | null): Response | Promise<Response> {
  const page = renderPage({
    title: 'Sign in',
    crumbs: [],
    body: html`<main class="shell"><h1>Sign in</h1>
<p><b>${asked.application.name}</b> would like to know who you are, and to read what you may read (<code>${asked.scopes.join(' ')}</code>).</p>
${wrong === null ? '' : html`<p role="alert"><b>${wrong}</b></p>`}
<form method="post"><p><label>Username <input name="username" autocomplete="username" required></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Sign in and authorize</button> <button name="deny" value="yes" formnovalidate>Deny</button></p></form></main>`,
  })
  // A browser counts the redirect after a form as its target.
  const policy = page.policy.replace("form-action 'self'", `form-action 'self' ${new URL(asked.redirectUri).origin}`)
  return c.html(page.markup, wrong === null ? 200 : 422, { 'Content-Security-Policy': policy })
}

function refusePage(c: Context, message: string): Response | Promise<Response> {
  const page = renderPage({
    title: 'An error has occurred',
    crumbs: [],
    body: html`<main class="shell"><h1>An error has occurred</h1><p>${message}</p></main>`,
  })
  return c.html(page.markup, 401, { 'Content-Security-Policy': page.policy })
}

function problem(c: Context, error: string, description: string, status: 400 | 401 | 403): Response {
  return c.json({ error, error_description: description }, status)
}

function invalidGrant(c: Context): Response {
  return problem(
    c,
    'invalid_grant',
    'The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.',
    400,
  )
}

function same(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}
