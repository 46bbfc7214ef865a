import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Db } from '../store/open.ts'
import { deleteSession, findSession, insertSession, resealSession } from '../store/sessions.ts'
import type { GitLabSignIn, Tokens } from './oauth.ts'

/** One who is signed in, with a GitLab token of theirs that only reads. */
export interface Session {
  readonly personId: number
  readonly token: string
  /** Stands in every form that changes something; of this session alone. */
  readonly formToken: string
}

export interface Sessions {
  /** The secret that opens it, for the cookie and nowhere else. */
  begin(personId: number, tokens: Tokens): Promise<string>
  /** null where there is none (any more): it ended, or GitLab gives no more tokens for it. */
  open(secret: string): Promise<Session | null>
  end(secret: string): Promise<void>
}

/** Renewed this long before it ends, so that none ends under way. */
const ahead = 60_000

/**
 * Sessions are rows, so that each replica knows them and a restart signs nobody out. The row alone opens nothing: it is found by the digest of the secret that only
 * the browser has, and the tokens in it are sealed with a key made from that secret.
 */
export function openSessions(db: Db, gitlab: GitLabSignIn, now: () => number): Sessions {
  const renewing = new Map<string, Promise<Tokens | null>>()

  /** GitLab takes a refresh token once: whoever comes second, in another replica, finds what the first was given in the row. */
  async function renewed(id: string, secret: string, before: string): Promise<Tokens | null> {
    const refresh = unseal(before, secret)?.refresh ?? null
    const tokens = refresh === null ? null : await gitlab.renew(refresh)
    if (tokens !== null) {
      await resealSession(db, id, before, seal(tokens, secret))
      return tokens
    }
    for (let look = 0; look < 6; look++) {
      const row = await findSession(db, id)
      if (row === null) return null
      if (row.sealed !== before) return unseal(row.sealed, secret)
      await pause(500)
    }
    await deleteSession(db, id)
    return null
  }

  return {
    async begin(personId, tokens) {
      const secret = randomBytes(32).toString('base64url')
      await insertSession(db, { id: idOf(secret), personId, sealed: seal(tokens, secret) })
      return secret
    },
    async open(secret) {
      if (!/^[\w-]{43}$/.test(secret)) return null
      const id = idOf(secret)
      const row = await findSession(db, id)
      if (row === null) return null
      let tokens = unseal(row.sealed, secret)
      if (tokens !== null && tokens.until - ahead <= now()) {
        const work = renewing.get(id) ?? renewed(id, secret, row.sealed).finally(() => renewing.delete(id))
        renewing.set(id, work)
        tokens = await work
      }
      if (tokens === null) return null
      return { personId: row.personId, token: tokens.access, formToken: formTokenOf(secret) }
    },
    async end(secret) {
      const id = idOf(secret)
      const row = await findSession(db, id)
      await deleteSession(db, id)
      const tokens = row === null ? null : unseal(row.sealed, secret)
      if (tokens !== null) await gitlab.revoke(tokens.access)
    },
  }
}

const idOf = (secret: string) => createHash('sha256').update(secret).digest('base64url')
const keyOf = (secret: string) => Buffer.from(hkdfSync('sha256', secret, '', 'compops session tokens', 32))

export function formTokenOf(secret: string): string {
  return createHmac('sha256', secret).update('compops form').digest('base64url')
}

function seal(tokens: Tokens, secret: string): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', keyOf(secret), iv)
  const text = Buffer.concat([cipher.update(JSON.stringify(tokens), 'utf8'), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64')
}

/** null where it was not sealed with this secret. */
function unseal(sealed: string, secret: string): Tokens | null {
  const bytes = Buffer.from(sealed, 'base64')
  try {
    const cipher = createDecipheriv('aes-256-gcm', keyOf(secret), bytes.subarray(0, 12), { authTagLength: 16 })
    cipher.setAuthTag(bytes.subarray(12, 28))
    return JSON.parse(Buffer.concat([cipher.update(bytes.subarray(28)), cipher.final()]).toString('utf8')) as Tokens
  } catch {
    return null
  }
}
