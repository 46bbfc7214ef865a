import { forbidden, Refusal, unauthorized } from './refusal.ts'
import type { SimToken, SimUser } from './types.ts'
import type { World } from './world.ts'

export interface Credentials {
  user: SimUser
  /** Null for a password. */
  token: SimToken | null
}

export function isExpired(world: World, token: SimToken): boolean {
  if (token.expired) return true
  return token.expiresAt !== null && world.now() >= new Date(`${token.expiresAt}T00:00:00Z`)
}

/** @throws Refusal 401: unknown, revoked (`lib/api/api_guard.rb`) or expired; 403 for whom an administrator has blocked (`lib/gitlab/auth/user_access_denied_reason.rb`). */
export function checkToken(world: World, secret: string): Credentials {
  const token = world.tokens.get(secret)
  const user = token && world.users.get(token.userId)
  if (!token || !user) throw unauthorized()
  if (token.revoked) {
    throw new Refusal(401, {
      error: 'invalid_token',
      error_description: 'Token was revoked. You have to re-authorize from the user.',
    })
  }
  if (isExpired(world, token)) {
    throw new Refusal(401, {
      error: 'invalid_token',
      error_description: 'Token is expired. You can either do re-authorization or token refresh.',
    })
  }
  if (user.blocked) throw forbidden('Your account has been blocked.')
  token.lastUsedAt = world.now()
  return { user, token }
}

export function hasScope(credentials: Credentials, accepted: string[]): boolean {
  return credentials.token === null || credentials.token.scopes.some(scope => accepted.includes(scope))
}

/** HTTP basic, as git sends it: a person's password, or any token as the password of any user name. Null when it does not fit. */
export function checkBasic(world: World, header: string | undefined): Credentials | null {
  const encoded = /^Basic\s+(\S+)$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return null
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  const [name, secret] = [text.slice(0, colon), text.slice(colon + 1)]
  if (colon === -1 || secret === '') return null
  if (world.tokens.has(secret)) {
    try {
      return checkToken(world, secret)
    } catch {
      return null
    }
  }
  const user = [...world.users.values()].find(u => u.username === name)
  return user && world.passwords.get(user.id) === secret ? { user, token: null } : null
}
