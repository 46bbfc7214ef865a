import type { Hono } from 'hono'
import { isExpired } from '../credentials.ts'
import { GITLAB_VERSION } from '../limits.ts'
import { forbidden, notFound, unauthorized } from '../refusal.ts'
import type { SimToken } from '../types.ts'
import type { World } from '../world.ts'
import { newToken } from '../world.ts'
import { showCurrentUser, showToken, showUser } from './entities.ts'
import type { RestEnv } from './request.ts'
import { paginate, pathInteger, requireUser, text } from './request.ts'

/** Who is there and who is asking: version, users, the token itself. */
export function addUserRoutes(api: Hono<RestEnv>, world: World): void {
  api.get('/version', c => {
    requireUser(c)
    return c.json({ version: GITLAB_VERSION, revision: 'simulator' })
  })

  api.get('/metadata', c => {
    requireUser(c)
    const kas = { enabled: false, externalUrl: null, externalK8sProxyUrl: null, version: null }
    return c.json({ version: GITLAB_VERSION, revision: 'simulator', kas, enterprise: true })
  })

  api.get('/user', c => c.json(showCurrentUser(world, requireUser(c))))

  api.get('/users', c => {
    requireUser(c)
    const username = text(c.get('params'), 'username')?.toLowerCase()
    const search = text(c.get('params'), 'search')?.toLowerCase()
    const users = [...world.users.values()].filter(
      user =>
        (username === undefined || user.username.toLowerCase() === username) &&
        (search === undefined || `${user.name} ${user.username}`.toLowerCase().includes(search)),
    )
    return c.json(paginate(c, users.toReversed()).map(user => showUser(world, user)))
  })

  api.get('/users/:user_id', c => {
    requireUser(c)
    const user = world.users.get(pathInteger(c, 'user_id'))
    if (!user) throw notFound('User')
    return c.json({ ...showUser(world, user), bot: user.bot, created_at: user.createdAt.toISOString() })
  })

  api.get('/personal_access_tokens/self', c => {
    const token = c.get('credentials')?.token
    if (!token) throw unauthorized()
    if (token.oauth) throw notFound()
    return c.json(showToken(token, isExpired(world, token)))
  })

  api.post('/personal_access_tokens/self/rotate', c => {
    const token = c.get('credentials')?.token
    if (!token) throw unauthorized()
    if (!token.scopes.some(scope => scope === 'api' || scope === 'self_rotate')) throw forbidden()
    token.revoked = true
    const expiry = text(c.get('params'), 'expires_at')
    const week = new Date(world.now().getTime() + 7 * 24 * 3_600_000).toISOString().slice(0, 10)
    const fresh: SimToken = {
      ...token,
      id: world.nextId('token'),
      token: newToken(),
      createdAt: world.now(),
      expiresAt: expiry ?? week,
      revoked: false,
      lastUsedAt: null,
    }
    world.tokens.set(fresh.token, fresh)
    return c.json({ ...showToken(fresh, false), token: fresh.token })
  })
}
