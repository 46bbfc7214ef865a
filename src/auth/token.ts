import { createHmac, randomBytes } from 'node:crypto'
import { Refusal } from './refusal.ts'

/** As GitLab makes them (access tokens, OAuth tokens), and no longer than a header should be. */
const form = /^[\x21-\x7e]{8,1024}$/

/** The GitLab token that a request brings: `Authorization: Bearer …`, or `PRIVATE-TOKEN` as GitLab's own API takes it. Throws Refusal 401 where there is none. */
export function tokenOf(headers: Headers): string {
  const own = headers.get('private-token')?.trim()
  const authorization = headers.get('authorization')?.trim() ?? ''
  const bearer = /^Bearer[ \t]+(\S+)$/i.exec(authorization)?.[1]
  const token = own !== undefined && own !== '' ? own : bearer
  if (token === undefined)
    throw new Refusal(
      401,
      authorization === ''
        ? 'Who is asking? Send a GitLab token: `Authorization: Bearer …`, or `PRIVATE-TOKEN`'
        : 'Only `Authorization: Bearer …` with a GitLab token is understood here',
    )
  if (!form.test(token)) throw new Refusal(401, 'This is no GitLab token')
  return token
}

/** What is remembered of a token: nothing that could be used, guessed from, or recognised by another process. */
export function createFingerprint(): (token: string) => string {
  const key = randomBytes(32)
  return token => createHmac('sha256', key).update(token).digest('base64')
}
