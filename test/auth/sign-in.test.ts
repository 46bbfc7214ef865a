import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createProjectAccess } from '../../src/auth/access.ts'
import { createSignIn, type SignInOptions } from '../../src/auth/sign-in.ts'
import { tokenOf } from '../../src/auth/token.ts'
import { createGitLab, fixedToken } from '../../src/gitlab/gitlab.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'

let folder: string
let gitlab: Simulator
let now = Date.parse('2026-11-20T12:00:00Z')

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'compops-auth-'))
  gitlab = await startSimulator({ dataDir: folder })
})
afterEach(async () => {
  await gitlab.close()
  await rm(folder, { recursive: true })
})

const gitlabAs = (token: string) => createGitLab({ url: gitlab.url, token: fixedToken(token, 'oauth') })

function openDoor(more: Partial<SignInOptions> = {}) {
  const failures: string[] = []
  const signIn = createSignIn({
    gitlabAs,
    now: () => now,
    onFailure: (address, why) => failures.push(`${address}: ${why}`),
    ...more,
  })
  const bearer = (token: string, address = '192.0.2.1') =>
    signIn(new Headers({ authorization: `Bearer ${token}` }), address)
  return { signIn, bearer, failures }
}

function alice() {
  return gitlab.createUser({ username: 'alice', name: 'Alice Archer' })
}

const calls = () => gitlab.requests().length

describe('whoever asks is who GitLab says that their token is', () => {
  test('in either header, with personal, project and OAuth tokens alike', async () => {
    const { signIn, bearer } = openDoor()
    const user = alice()
    const bot = gitlab.createUser({ username: 'project_1_bot_a1', name: 'A script', bot: true })
    const personal = gitlab.createToken(user.id).token
    expect((await bearer(personal)).person).toEqual({ id: user.id, username: 'alice', name: 'Alice Archer' })
    expect((await signIn(new Headers({ 'private-token': personal }), '')).person.username).toBe('alice')
    expect((await bearer(gitlab.createToken(bot.id).token)).person.username).toBe('project_1_bot_a1')
    const signedIn = gitlab.createToken(user.id, { oauth: true, scopes: ['openid', 'read_api'] }).token
    expect(await bearer(signedIn)).toMatchObject({ person: { username: 'alice' }, mayWrite: false })
  })

  test('a token that may only read may only read, and one that may do neither is told so', async () => {
    const { bearer } = openDoor()
    const { id } = alice()
    expect(await bearer(gitlab.createToken(id, { scopes: ['api'] }).token)).toMatchObject({ mayWrite: true })
    expect(await bearer(gitlab.createToken(id, { scopes: ['read_api'] }).token)).toMatchObject({ mayWrite: false })
    for (const scopes of [['read_user'], ['read_repository'], ['read_user', 'write_repository']])
      await expect(bearer(gitlab.createToken(id, { scopes }).token)).rejects.toMatchObject({
        status: 403,
        message: 'The token has neither the scope `api` nor `read_api`',
      })
  })

  test('a token that is wrong, revoked or expired, and a person who is blocked, each with the reason', async () => {
    const { bearer } = openDoor()
    const user = alice()
    await expect(bearer('glpat-nobody-knows-this')).rejects.toMatchObject({
      status: 401,
      message: 'GitLab does not take this token: it is wrong, revoked or expired',
    })
    const revoked = gitlab.createToken(user.id).token
    gitlab.revokeToken(revoked)
    await expect(bearer(revoked)).rejects.toMatchObject({ status: 401, message: /Token was revoked/ })
    const expired = gitlab.createToken(user.id).token
    gitlab.expireToken(expired)
    await expect(bearer(expired)).rejects.toMatchObject({ status: 401, message: /Token is expired/ })
    const token = gitlab.createToken(user.id).token
    gitlab.blockUser(user.id)
    await expect(bearer(token)).rejects.toMatchObject({ status: 403, message: /Your account has been blocked/ })
  })

  test('what is no token never reaches GitLab', async () => {
    const { signIn } = openDoor()
    for (const headers of [
      {},
      { authorization: 'Basic YTpi' },
      { authorization: 'Bearer ' },
      { authorization: 'Bearer short' },
      { 'private-token': 'x'.repeat(2_000) },
    ])
      await expect(signIn(new Headers(headers as Record<string, string>), '')).rejects.toMatchObject({ status: 401 })
    expect(calls()).toBe(0)
    expect(() => tokenOf(new Headers())).toThrow('Who is asking? Send a GitLab token')
  })
})

describe('what GitLab said holds for a minute', () => {
  test('and no longer: a token that is revoked ends then', async () => {
    const { bearer } = openDoor()
    const { token } = gitlab.createToken(alice().id)
    await Promise.all([bearer(token), bearer(token), bearer(token)])
    const once = calls()
    await bearer(token)
    expect(calls()).toBe(once)
    gitlab.revokeToken(token)
    await bearer(token)
    now += 60_001
    await expect(bearer(token)).rejects.toMatchObject({ status: 401 })
  })

  test('a wrong token that is repeated costs GitLab one call', async () => {
    const { bearer, failures } = openDoor()
    for (let i = 0; i < 20; i++) await expect(bearer('glpat-wrong-wrong')).rejects.toMatchObject({ status: 401 })
    expect(calls()).toBe(1)
    expect(failures).toHaveLength(1)
    expect(failures[0]).not.toContain('glpat')
  })

  test('while GitLab is away nobody is let in, nobody is called wrong, and nothing is remembered', async () => {
    const { bearer, failures } = openDoor({
      gitlabAs: token => createGitLab({ url: gitlab.url, token: fixedToken(token, 'oauth'), deadline: 2_000 }),
    })
    const { token } = gitlab.createToken(alice().id)
    const heal = gitlab.faults.respond({ path: /\/user$/ }, { status: 502 })
    await expect(bearer(token)).rejects.toMatchObject({ status: 503, retryAfter: expect.any(Number) })
    heal()
    await bearer(token)
    expect(failures).toEqual([])
  })
})

describe('nobody tries tokens here faster than at GitLab', () => {
  const wrong = (n: number) => `glpat-wrong-${n}-wrong`

  test('ten wrong ones a minute from one address, then it waits; others do not', async () => {
    const { bearer } = openDoor()
    const { token } = gitlab.createToken(alice().id)
    for (let i = 0; i < 10; i++) await expect(bearer(wrong(i))).rejects.toMatchObject({ status: 401 })
    await expect(bearer(wrong(10))).rejects.toMatchObject({ status: 429, retryAfter: 60 })
    // Not even a right one tells itself apart then.
    await expect(bearer(token)).rejects.toMatchObject({ status: 429 })
    await bearer(token, '192.0.2.2')
    now += 60_001
    await expect(bearer(wrong(11))).rejects.toMatchObject({ status: 401 })
  })

  test('sixty of all together; whoever had been let in before stays', async () => {
    const { bearer } = openDoor()
    const user = alice()
    const { token } = gitlab.createToken(user.id)
    await bearer(token)
    now += 60_001
    for (let i = 0; i < 60; i++) await expect(bearer(wrong(i), `192.0.2.${i}`)).rejects.toMatchObject({ status: 401 })
    await expect(bearer(wrong(60), '198.51.100.1')).rejects.toMatchObject({ status: 429 })
    await expect(bearer(gitlab.createToken(user.id).token, '198.51.100.2')).rejects.toMatchObject({ status: 429 })
    await bearer(token)
  })
})

describe('in a project one sees what GitLab shows', () => {
  async function stage() {
    const door = openDoor()
    const bot = gitlab.createUser({ username: 'compops', name: 'ComputationalOps', bot: true })
    const heat = gitlab.createProject({ path: 'physics/heat' })
    gitlab.addMember(heat.id, bot.id, 30)
    const owner = gitlab.createUser({ username: 'owner', name: 'Owner' })
    gitlab.addMember(heat.id, owner.id, 50)
    await gitlab.commit({
      ...{ projectId: heat.id, branch: 'main', files: { 'README.md': '#' }, message: 'first', authorId: owner.id },
      from: null,
    })
    const own = gitlabAs(gitlab.createToken(bot.id).token)
    const access = createProjectAccess({
      now: () => now,
      memberAccess: (project, userId) => own.memberAccess(project.id, userId),
    })
    const user = alice()
    const caller = await door.bearer(gitlab.createToken(user.id).token)
    return { heat, user, caller, look: (anew?: boolean) => access(caller, { id: heat.id, path: 'physics/heat' }, anew) }
  }

  test('a stranger no private project, a guest not its runs, a reporter all of it', async () => {
    const { heat, user, look } = await stage()
    await expect(look()).rejects.toMatchObject({
      status: 404,
      message: 'There is no such project here, or GitLab does not show it to you',
    })
    gitlab.addMember(heat.id, user.id, 10)
    await expect(look(true)).rejects.toMatchObject({ status: 403, message: /does not let you read the code/ })
    gitlab.addMember(heat.id, user.id, 20)
    expect(await look(true)).toEqual({ level: 20 })
  })

  test('everybody a public one, with no role in it', async () => {
    const { heat, look } = await stage()
    heat.visibility = 'public'
    expect(await look()).toEqual({ level: 0 })
  })

  test('what changes something is asked anew: a role that was taken away counts at once', async () => {
    const { heat, user, look } = await stage()
    gitlab.addMember(heat.id, user.id, 40)
    expect(await look()).toEqual({ level: 40 })
    gitlab.removeMember(heat.id, user.id)
    expect(await look()).toEqual({ level: 40 })
    await expect(look(true)).rejects.toMatchObject({ status: 404 })
    await expect(look()).rejects.toMatchObject({ status: 404 })
  })
})
