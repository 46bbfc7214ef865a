import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { ConfigError, toError } from '../errors.ts'
import type { Client } from './client.ts'
import { isGitLabError } from './errors.ts'
import { read } from './read.ts'

export interface TokenSource {
  current(): string
  /** Reads it again (token_file) after a 401; true if it changed. */
  renew(): Promise<boolean>
  /** An OAuth token (somebody signed in) travels as `Authorization: Bearer`; access tokens, the default, as `PRIVATE-TOKEN`. */
  readonly kind?: 'access token' | 'oauth'
}

/** A token that stays as it is. */
export function fixedToken(token: string, kind: 'access token' | 'oauth' = 'access token'): TokenSource {
  return { current: () => token, renew: async () => false, kind }
}

/** A token in a file, which something else rotates. Throws ConfigError if it cannot be read at the start. */
export async function tokenFromFile(path: string): Promise<TokenSource> {
  let token: string
  try {
    token = await readToken(path)
  } catch (error) {
    throw new ConfigError(path, [`the GitLab token cannot be read: ${toError(error).message}`])
  }
  return {
    current: () => token,
    async renew() {
      const next = await readToken(path)
      const changed = next !== token
      token = next
      return changed
    },
  }
}

async function readToken(path: string): Promise<string> {
  const token = (await readFile(path, 'utf8')).trim()
  if (token === '') throw new Error('the file is empty')
  return token
}

/** The token itself, in GitLab's words. */
export interface TokenInfo {
  readonly id: number
  readonly name: string
  readonly scopes: readonly string[]
  /** A date, `2026-12-31`; null for one that does not expire. */
  readonly expiresAt: string | null
  readonly active: boolean
}

const tokenInfo = z
  .object({
    id: z.number(),
    name: z.string().nullish(),
    scopes: z.array(z.string()).nullish(),
    expires_at: z.string().nullish(),
    active: z.boolean().nullish(),
  })
  .transform(
    (token): TokenInfo => ({
      id: token.id,
      name: token.name ?? '',
      scopes: token.scopes ?? [],
      expiresAt: token.expires_at ?? null,
      active: token.active ?? true,
    }),
  )

export function tokenCalls(client: Client) {
  return {
    /** null for a token that cannot look at itself (OAuth tokens, GitLab before 15.5). */
    async tokenInfo(): Promise<TokenInfo | null> {
      try {
        return read(tokenInfo, await client.personalAccessTokens.show(), 'the token')
      } catch (error) {
        if (isGitLabError(error) && [400, 403, 404].includes(error.status ?? 0)) return null
        throw error
      }
    },
  }
}
