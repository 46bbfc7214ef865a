import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'

let simulator: Simulator
let place: string
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'compops-oauth-'))
  simulator = await startSimulator({ dataDir: place })
})
afterAll(async () => {
  await simulator.close()
  await rm(place, { recursive: true, force: true })
})

const back = 'https://compops.example.org/sign-in/back'
const verifier = 'v'.repeat(43)

describe('sign-in with OAuth 2 at the simulated GitLab', () => {
  it('gives a code once, for the right verifier, address and secret; and a refresh token once', async () => {
    simulator.createUser({ username: 'alice', name: 'Alice', password: 'demo' })
    const application = simulator.createApplication({ name: 'compops', redirectUris: [back] })
    const address = (more: Record<string, string> = {}) =>
      `${simulator.url}/oauth/authorize?${new URLSearchParams({
        ...{ client_id: application.id, redirect_uri: back, response_type: 'code', scope: 'read_api', state: 's' },
        ...{ code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256' },
        ...more,
      })}`
    const enter = async (fields: Record<string, string>) => {
      const answer = await fetch(address(), { method: 'POST', redirect: 'manual', body: new URLSearchParams(fields) })
      return new URL(answer.headers.get('location') ?? 'none:')
    }
    expect((await fetch(address({ redirect_uri: 'https://evil.example' }))).status).toBe(401)
    expect((await fetch(address({ scope: 'api' }))).status).toBe(401)
    expect((await fetch(address({ code_challenge_method: 'plain' }))).status).toBe(401)
    expect((await enter({ username: 'alice', password: 'wrong' })).href).toBe('none:')
    expect((await enter({ deny: 'yes' })).searchParams.get('error')).toBe('access_denied')

    const token = async (fields: Record<string, string>) => {
      const answer = await fetch(`${simulator.url}/oauth/token`, {
        method: 'POST',
        body: new URLSearchParams({ client_id: application.id, client_secret: application.secret, ...fields }),
      })
      return [answer.status, (await answer.json()) as Record<string, string>] as const
    }
    const code = (await enter({ username: 'alice', password: 'demo' })).searchParams.get('code')!
    const grant = { grant_type: 'authorization_code', code, redirect_uri: back, code_verifier: verifier }
    expect((await token({ ...grant, code_verifier: 'w'.repeat(43) }))[1].error).toBe('invalid_grant')
    expect((await token({ ...grant, redirect_uri: 'https://evil.example' }))[1].error).toBe('invalid_grant')
    expect((await token({ ...grant, client_secret: 'wrong' }))[0]).toBe(401)
    const [status, given] = await token(grant)
    expect([status, given.token_type, given.scope]).toEqual([200, 'Bearer', 'read_api'])
    expect((await token(grant))[1].error).toBe('invalid_grant')
    const me = (access: string) =>
      fetch(`${simulator.url}/api/v4/user`, { headers: { authorization: `Bearer ${access}` } })
    expect((await me(given.access_token!)).status).toBe(200)

    const refresh = { grant_type: 'refresh_token', refresh_token: given.refresh_token! }
    const [, next] = await token(refresh)
    expect((await me(next.access_token!)).status).toBe(200)
    expect((await me(given.access_token!)).status).toBe(401)
    expect((await token(refresh))[1].error).toBe('invalid_grant')
  })
})
