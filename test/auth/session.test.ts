import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { GitLabSignIn, Tokens } from '../../src/auth/oauth.ts'
import { openSessions } from '../../src/auth/session.ts'
import { sessions as rowsOfSessions } from '../../src/store/schema.ts'
import { openRows } from '../support/rows.ts'

let rows: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  rows = await openRows()
})
afterAll(() => rows.close())

/** A GitLab that gives a refresh token's successor once, as the real one does. */
function world() {
  let now = Date.now()
  let given = 0
  const renewed: string[] = []
  const revoked: string[] = []
  const good = new Set(['refresh-0'])
  const gitlab: GitLabSignIn = {
    depart: () => Promise.reject(new Error('not asked')),
    arrive: () => Promise.reject(new Error('not asked')),
    async renew(refresh) {
      renewed.push(refresh)
      if (!good.delete(refresh)) return null
      given++
      good.add(`refresh-${given}`)
      return { access: `access-${given}`, refresh: `refresh-${given}`, until: now + 7_200_000 }
    },
    async revoke(token) {
      revoked.push(token)
    },
  }
  const first = (): Tokens => ({ access: 'access-0', refresh: 'refresh-0', until: now + 7_200_000 })
  return { gitlab, renewed, revoked, good, first, now: () => now, pass: (ms: number) => (now += ms) }
}

describe('a session', () => {
  it('is opened by its secret alone; the database holds nothing that could be used', async () => {
    const { gitlab, first, now, revoked } = world()
    const sessions = openSessions(rows.db, gitlab, now)
    const secret = await sessions.begin(7, first())
    expect(await sessions.open(secret)).toMatchObject({ personId: 7, token: 'access-0' })
    expect(await sessions.open(secret.replace(/.$/, letter => (letter === 'A' ? 'B' : 'A')))).toBeNull()
    expect(await sessions.open('')).toBeNull()
    const stored = JSON.stringify(await rows.db.select().from(rowsOfSessions))
    for (const kept of [secret, 'access-0', 'refresh-0', Buffer.from('access-0').toString('base64')])
      expect(stored).not.toContain(kept)
    await sessions.end(secret)
    expect(await sessions.open(secret)).toBeNull()
    expect(revoked).toEqual(['access-0'])
  })

  it('outlives its GitLab token: renewed once, however many ask at the same moment', async () => {
    const { gitlab, first, now, pass, renewed } = world()
    const sessions = openSessions(rows.db, gitlab, now)
    const secret = await sessions.begin(7, first())
    pass(7_200_000)
    const opened = await Promise.all([1, 2, 3].map(() => sessions.open(secret)))
    expect(opened.map(one => one?.token)).toEqual(['access-1', 'access-1', 'access-1'])
    expect(renewed).toEqual(['refresh-0'])
    expect((await sessions.open(secret))?.token).toBe('access-1')
  })

  it('of two replicas that renew, the second finds what the first was given', async () => {
    const { gitlab, first, now, pass } = world()
    const [one, other] = [openSessions(rows.db, gitlab, now), openSessions(rows.db, gitlab, now)]
    const secret = await one.begin(7, first())
    pass(7_200_000)
    const opened = await Promise.all([one.open(secret), other.open(secret)])
    expect(opened.map(session => session?.token)).toEqual(['access-1', 'access-1'])
  })

  it('ends when GitLab gives no more tokens for it', async () => {
    const { gitlab, first, now, pass, good } = world()
    const sessions = openSessions(rows.db, gitlab, now)
    const secret = await sessions.begin(7, first())
    good.clear()
    pass(7_200_000)
    expect(await sessions.open(secret)).toBeNull()
    pass(-7_200_000)
    expect(await sessions.open(secret)).toBeNull()
  })
})
