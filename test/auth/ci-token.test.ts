import { createLocalJWKSet, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { type CiSignIn, createCiSignIn, holderHeader, readClaims } from '../../src/auth/ci-token.ts'

const now = new Date('2026-03-04T05:06:07Z')
const seconds = Math.floor(now.getTime() / 1_000)
const [audience, issuer] = ['https://compops.example.org', 'https://gitlab.example.org']
const holder = 'a-secret-of-the-job-itself'

/** As GitLab writes them: values are strings. */
const good: JWTPayload = {
  ...{ iss: issuer, aud: audience, jti: 'one', iat: seconds, nbf: seconds - 5, exp: seconds + 3_600 },
  ...{ project_id: '7', project_path: 'physics/heat', job_project_id: '7', job_project_path: 'physics/heat' },
  ...{ job_id: '4711', pipeline_id: '12', pipeline_source: 'push', ref: 'calc/a', ref_type: 'branch' },
  ...{ ref_protected: 'false', sha: 'a'.repeat(40), user_id: '3', user_login: 'alice' },
}

async function gate() {
  const own = await generateKeyPair('RS256')
  const foreign = await generateKeyPair('RS256')
  const keys = createLocalJWKSet({
    keys: [{ ...(await exportJWK(own.publicKey)), kid: 'k', alg: 'RS256', use: 'sig' }],
  })
  const bound = new Map<string, string>()
  const signIn = createCiSignIn({
    ...{ audience, issuer, keys, now: () => now },
    bind: async (caller, who) => (bound.get(caller.jti) ?? bound.set(caller.jti, who).get(caller.jti)) === who,
  })
  const sign = (claims: JWTPayload, key = own.privateKey) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k' }).sign(key)
  return { signIn, sign, foreign: foreign.privateKey }
}

const ask = (signIn: CiSignIn, token: string, who = holder) =>
  signIn(new Headers({ authorization: `Bearer ${token}`, [holderHeader]: who })).then(
    caller => caller.jobId,
    (error: { status?: number; message: string }) => `${error.status}: ${error.message}`,
  )

describe('a CI job signs in with its id_token', () => {
  it('and is known by the project that it runs in, its pipeline, commit and person', async () => {
    const { signIn, sign } = await gate()
    const caller = await signIn(new Headers({ authorization: `Bearer ${await sign(good)}`, [holderHeader]: holder }))
    expect(caller).toEqual({
      ...{ projectId: 7, projectPath: 'physics/heat', sourceProjectId: 7, jobId: 4711, pipelineId: 12 },
      ...{ ref: 'calc/a', refType: 'branch', refProtected: false, sha: 'a'.repeat(40), event: 'push' },
      ...{
        person: { id: 3, username: 'alice', name: 'alice' },
        jti: 'one',
        expiresAt: new Date((seconds + 3_600) * 1_000),
      },
    })
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['expired', { exp: seconds - 60 }, '401: This id_token has expired'],
    [
      'for somebody else',
      { aud: 'https://other.example.org' },
      '401: This id_token is for somebody else: write `aud: https://compops.example.org`',
    ],
    ['of another GitLab', { iss: 'https://gitlab.com' }, '401: This id_token is of another GitLab'],
    ['not valid yet', { nbf: seconds + 600 }, '401: This id_token does not hold'],
    ['without an id of its own', { jti: undefined }, '401: This id_token does not hold'],
    ['without a job', { job_id: undefined }, '403: This is no id_token of a CI job: job_id of it cannot be read'],
    ['with a sha that is none', { sha: '--upload-pack=x' }, '403: This is no id_token of a CI job: sha'],
    [
      'of a fork, by a GitLab that does not say where the job runs',
      { job_project_id: undefined, pipeline_source: 'merge_request_event' },
      '403: This GitLab does not say in which project',
    ],
  ])('is refused with a token that is %s', async (_, claims, answer) => {
    const { signIn, sign } = await gate()
    expect(await ask(signIn, await sign(JSON.parse(JSON.stringify({ ...good, ...claims }))))).toContain(answer)
  })

  it('is refused with a token that somebody else signed, that nobody signed, or that is none', async () => {
    const { signIn, sign, foreign } = await gate()
    expect(await ask(signIn, await sign(good, foreign))).toBe(`401: This id_token was not signed by ${issuer}`)
    const [, payload] = (await sign(good)).split('.')
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`
    expect(await ask(signIn, none)).toMatch(/^401: This is no id_token/)
    expect(await ask(signIn, 'glpat-something')).toMatch(/^401: This is no id_token/)
    await expect(signIn(new Headers())).rejects.toMatchObject({ status: 401 })
    expect(await ask(signIn, await sign(good), 'short')).toMatch(/^401: `compops-holder` is missing/)
  })

  it('may ask as often as it likes; who found its token in a log may not', async () => {
    const { signIn, sign } = await gate()
    const token = await sign(good)
    expect([await ask(signIn, token), await ask(signIn, token)]).toEqual([4711, 4711])
    expect(await ask(signIn, token, 'somebody-elses-secret')).toMatch(/^403: This id_token was shown by somebody else/)
  })

  it('waits while the keys of GitLab cannot be had', async () => {
    const { sign } = await gate()
    const signIn = createCiSignIn({
      ...{ audience, issuer, now: () => now, bind: async () => true },
      keys: () => Promise.reject(new Error('fetch failed')),
    })
    expect(await ask(signIn, await sign(good))).toMatch(/^503: The keys of GitLab/)
  })

  it('of a fork is told apart by the project that the job runs in', () => {
    const caller = readClaims({
      ...good,
      project_id: '99',
      project_path: 'mallory/heat',
      pipeline_source: 'merge_request_event',
    })
    expect([caller.projectId, caller.sourceProjectId]).toEqual([7, 99])
  })
})
