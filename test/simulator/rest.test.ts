import { Gitlab } from '@gitbeaker/rest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROUTES } from '../../src/simulator/simulator.ts'
import type { Call, Stage } from './stage.ts'
import { setStage } from './stage.ts'

let stage: Stage
let bot: Call
let project: string

beforeAll(async () => {
  stage = await setStage()
  bot = stage.as(stage.tokens.bot)
  project = `/projects/${stage.projectId}`
})
afterAll(() => stage[Symbol.asyncDispose]())

describe('tokens', () => {
  it.each<[name: string, make: () => string | null, method: string, path: string, status: number, body: object]>([
    ['none', () => null, 'GET', '/user', 401, { message: '401 Unauthorized' }],
    ['unknown', () => 'glpat-nonsense', 'GET', '/projects/1', 401, { message: '401 Unauthorized' }],
    [
      'revoked',
      () => {
        const { token } = stage.sim.createToken(stage.ids.bot)
        stage.sim.revokeToken(token)
        return token
      },
      'GET',
      '/user',
      401,
      { error: 'invalid_token', error_description: 'Token was revoked. You have to re-authorize from the user.' },
    ],
    [
      'expired',
      () => stage.sim.createToken(stage.ids.bot, { expiresAt: '2020-01-01' }).token,
      'GET',
      '/user',
      401,
      {
        error: 'invalid_token',
        error_description: 'Token is expired. You can either do re-authorization or token refresh.',
      },
    ],
    [
      'read_api reads',
      () => stage.sim.createToken(stage.ids.bot, { scopes: ['read_api'] }).token,
      'GET',
      '/projects/1',
      200,
      {},
    ],
    [
      'read_api writes',
      () => stage.sim.createToken(stage.ids.bot, { scopes: ['read_api'] }).token,
      'POST',
      '/projects/1/statuses/main',
      403,
      { error: 'insufficient_scope' },
    ],
    ['read_user', () => stage.sim.createToken(stage.ids.bot, { scopes: ['read_user'] }).token, 'GET', '/user', 200, {}],
    [
      'read_user elsewhere',
      () => stage.sim.createToken(stage.ids.bot, { scopes: ['read_user'] }).token,
      'GET',
      '/projects/1',
      403,
      { error: 'insufficient_scope' },
    ],
  ])('%s', async (_name, make, method, path, status, body) => {
    expect(await stage.as(make())(method, path)).toMatchObject({ status, body })
  })

  it('come as PRIVATE-TOKEN or as Bearer, and know themselves', async () => {
    const response = await fetch(`${stage.sim.url}/api/v4/personal_access_tokens/self`, {
      headers: { Authorization: `Bearer ${stage.tokens.bot}` },
    })
    expect(await response.json()).toMatchObject({
      user_id: stage.ids.bot,
      scopes: ['api'],
      active: true,
      revoked: false,
    })
    expect((await bot('GET', '/user')).body).toMatchObject({ username: 'project_1_bot_1', bot: true })
  })
})

describe('who sees what', () => {
  it.each([
    ['stranger', '', 404, '404 Project Not Found'],
    ['guest', '', 200, undefined],
    ['guest', '/repository/branches', 403, '403 Forbidden'],
    ['guest', '/merge_requests', 403, '403 Forbidden'],
    ['reporter', '/repository/branches', 200, undefined],
    ['bot', '/hooks', 403, '403 Forbidden'],
    ['alice', '/hooks', 200, undefined],
  ] as const)('%s GET %s', async (who, path, status, message) => {
    const answer = await stage.as(stage.tokens[who])('GET', `${project}${path}`)
    expect(answer.status).toBe(status)
    if (message !== undefined) expect(answer.body).toEqual({ message })
  })

  it('a project by its path, a member by its id, a person by the name', async () => {
    const found = await bot('GET', `/projects/${encodeURIComponent('physics/sub/heat')}`)
    expect(found.body).toMatchObject({
      id: stage.projectId,
      default_branch: 'main',
      permissions: { project_access: { access_level: 30 } },
    })
    expect((await bot('GET', `${project}/members/all/${stage.ids.guest}`)).body).toMatchObject({ access_level: 10 })
    expect(await bot('GET', `${project}/members/all/${stage.ids.stranger}`)).toMatchObject({
      status: 404,
      body: { message: '404 Not found' },
    })
    expect((await bot('GET', '/users?username=ALICE')).body).toMatchObject([{ id: stage.ids.alice }])
  })

  it('the open world is open to anybody', async () => {
    const open = stage.sim.createProject({ path: 'open/world', visibility: 'public' })
    expect((await stage.as(null)('GET', `/projects/${open.id}`)).status).toBe(200)
    expect((await stage.as(null)('GET', `/projects/${stage.projectId}`)).status).toBe(404)
    expect((await stage.as(null)('GET', '/nothing')).body).toEqual({ error: '404 Not Found' })
  })
})

describe('pages of a list', () => {
  beforeAll(async () => {
    for (let n = 0; n < 23; n += 1) {
      await stage.sim.createBranch(stage.projectId, `b/${String(n).padStart(2, '0')}`, 'main', stage.ids.alice)
    }
  })

  it('are 20 long, 100 at most, and say what follows', async () => {
    const first = await bot<{ name: string }[]>('GET', `${project}/repository/branches`)
    expect(first.body).toHaveLength(20)
    expect(first.headers.get('x-next-page')).toBe('2')
    expect(first.headers.get('link')).toContain('rel="next"')
    expect(first.headers.get('x-total')).toBeNull()
    const last = await bot<{ name: string }[]>('GET', `${project}/repository/branches?page=2`)
    expect(last.body).toHaveLength(4)
    expect(last.headers.get('x-next-page')).toBe('')
    const all = await bot<unknown[]>('GET', `${project}/repository/branches?per_page=1000`)
    expect(all.headers.get('x-per-page')).toBe('100')
    expect((await bot<unknown[]>('GET', `${project}/repository/branches?search=^b/0`)).body).toHaveLength(10)
  })

  it('by key', async () => {
    const token = stage.sim.createToken(stage.ids.alice).token
    for (const name of ['a', 'b', 'c'])
      stage.sim.addMember(stage.sim.createProject({ path: `keys/${name}` }).id, stage.ids.alice, 30)
    const call = stage.as(token)
    const first = await call<{ id: number }[]>(
      'GET',
      '/projects?membership=true&pagination=keyset&order_by=id&sort=asc&per_page=2',
    )
    const next = /<([^>]+)>; rel="next"/.exec(first.headers.get('link') ?? '')?.[1] ?? ''
    const second = await call<{ id: number }[]>('GET', next.slice(next.indexOf('/api/v4') + 7))
    expect([...first.body, ...second.body].map(p => p.id)).toEqual(
      stage.sim
        .projects()
        .filter(p => p.members.has(stage.ids.alice))
        .map(p => p.id),
    )
  })
})

describe('gitbeaker, a client that is not ours', () => {
  it('finds branches, files and commits whatever they are called', async () => {
    const client = new Gitlab({ host: stage.sim.url, token: stage.tokens.bot })
    const path = 'a b/c+d/ü%2F#?.txt'
    const sha = await stage.sim.commit({
      projectId: stage.projectId,
      branch: 'calc/heat#4d',
      files: { [path]: 'hello\n' },
      message: 'A name\n\nwith a body\n\nCompops-Run: 7\n',
      authorId: stage.ids.alice,
    })
    const file = await client.RepositoryFiles.show('physics/sub/heat', path, 'calc/heat#4d')
    expect(Buffer.from(file.content, 'base64').toString()).toBe('hello\n')
    expect(await client.RepositoryFiles.showRaw(stage.projectId, path, 'calc/heat#4d')).toBe('hello\n')
    expect(await client.Branches.show(stage.projectId, 'calc/heat#4d')).toMatchObject({ commit: { id: sha } })
    expect((await client.Branches.all(stage.projectId)).length).toBeGreaterThan(23)
    expect(await client.Commits.show(stage.projectId, sha)).toMatchObject({
      title: 'A name',
      trailers: { 'Compops-Run': '7' },
      stats: { additions: 1, deletions: 0 },
    })
    const compared = await client.Repositories.compare(stage.projectId, 'main', 'calc/heat#4d')
    expect(compared.diffs).toMatchObject([{ new_path: path, new_file: true, diff: '@@ -0,0 +1 @@\n+hello\n' }])
    const tree = await client.Repositories.allRepositoryTrees(stage.projectId, { ref: 'calc/heat#4d', recursive: true })
    expect(tree.map(entry => entry.path)).toContain(path)
    const status = await client.Commits.editStatus(stage.projectId, sha, 'running', { name: 'compops/x' })
    expect(status).toMatchObject({ status: 'running', name: 'compops/x' })
    await expect(
      client.Commits.editStatus(stage.projectId, sha, 'running', { name: 'compops/x' }),
    ).rejects.toMatchObject({
      cause: { response: { status: 400 } },
    })
  })
})

describe('uploads', () => {
  it('come back as Markdown and are served', async () => {
    const form = new FormData()
    form.set('file', new Blob([new Uint8Array([137, 80, 78, 71])], { type: 'image/png' }), 'a plot<b>.png')
    const response = await fetch(`${stage.sim.url}/api/v4${project}/uploads`, {
      method: 'POST',
      headers: { 'PRIVATE-TOKEN': stage.tokens.bot },
      body: form,
    })
    expect(response.status).toBe(201)
    const upload = (await response.json()) as { markdown: string; full_path: string; url: string }
    expect(upload.markdown).toBe(`![a_plot_b_](${upload.url})`)
    expect(upload.url).toMatch(/^\/uploads\/[0-9a-f]{32}\/a_plot_b_\.png$/)
    const served = await fetch(`${stage.sim.url}${upload.full_path}`)
    expect([served.headers.get('content-type'), (await served.arrayBuffer()).byteLength]).toEqual(['image/png', 4])
  })
})

describe('limits', () => {
  it('of Rack::Attack have headers and plain text', async () => {
    stage.sim.settings.requestsPerMinute = 0
    const answer = await bot('GET', '/user')
    stage.sim.settings.requestsPerMinute = null
    expect(answer.status).toBe(429)
    expect(answer.body).toBe('Retry later\n')
    for (const name of ['RateLimit-Name', 'RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset', 'Retry-After']) {
      expect(answer.headers.get(name), name).not.toBeNull()
    }
  })

  it('of the application have none', async () => {
    stage.sim.settings.notesPerMinute = 0
    const answer = await bot('POST', `${project}/merge_requests/1/notes`, { body: 'x' })
    stage.sim.settings.notesPerMinute = null
    expect(answer).toMatchObject({
      status: 429,
      body: { message: { error: 'This endpoint has been requested too many times. Try again later.' } },
    })
    expect(answer.headers.get('Retry-After')).toBeNull()
  })
})

describe('faults', () => {
  const branch = (name: string) => stage.sim.branches(stage.projectId).then(all => all.some(b => b.name === name))
  const create = (name: string) => bot('POST', `${project}/repository/branches`, { branch: name, ref: 'main' })

  it('answers what is ordered, as often as ordered, and only where it matches', async () => {
    stage.sim.faults.respond({ method: 'post', path: /branches/g, times: 2 }, { status: 502, body: 'bad gateway' })
    expect(await create('f1')).toMatchObject({ status: 502, body: 'bad gateway' })
    expect((await bot('GET', `${project}/repository/branches`)).status).toBe(200)
    expect((await create('f1')).status).toBe(502)
    expect(await branch('f1')).toBe(false)
    expect((await create('f1')).status).toBe(201)
  })

  it.each(['resetAfterDoing', 'half'] as const)('%s: the work is done, the answer is lost', async effect => {
    const end = stage.sim.faults.respond({ method: 'POST' }, { [effect]: true })
    await expect(create(`f-${effect}`)).rejects.toThrow()
    end()
    expect(await branch(`f-${effect}`)).toBe(true)
  })

  it('reset: nothing is done', async () => {
    stage.sim.faults.respond({ method: 'POST', times: 1 }, { reset: true })
    await expect(create('f-reset')).rejects.toThrow()
    expect(await branch('f-reset')).toBe(false)
  })

  it('hang: no answer, and closing does not wait for one', async () => {
    await using other = await setStage()
    other.sim.faults.respond({}, { hang: true })
    const waiting = other
      .as(null)('GET', '/version')
      .catch((error: unknown) => error)
    await other.sim.close()
    expect(await waiting).toBeInstanceOf(Error)
  })

  it('reaches git too: the push arrives, the pusher does not know', async () => {
    await stage.git('clone', '-q', `${stage.sim.url.replace('//', '//alice:secret@')}/physics/sub/heat.git`, 'heat')
    const end = stage.sim.faults.respond({ path: /git-receive-pack$/, method: 'POST' }, { resetAfterDoing: true })
    await expect(stage.git('-C', 'heat', 'push', 'origin', 'HEAD:refs/heads/f-git')).rejects.toThrow()
    end()
    expect(await branch('f-git')).toBe(true)
  })

  it('half an answer of git: the listing is cut, the client knows', async () => {
    const heal = stage.sim.faults.respond(ROUTES.heads, { half: true })
    const url = `${stage.sim.url.replace('//', '//alice:secret@')}/physics/sub/heat.git`
    await expect(stage.git('ls-remote', url)).rejects.toThrow()
    heal()
    expect(await stage.git('ls-remote', url)).toContain('refs/heads/main')
  })

  it('the first ones go through, then with a chance that the seed decides, and it says how many were met', async () => {
    const draw = async () => {
      const heal = stage.sim.faults.respond(
        { path: /version/, after: 2, chance: 0.5, seed: 7 },
        { status: 429, retryAfter: 3 },
      )
      const answers = []
      for (let n = 0; n < 12; n++) answers.push(await bot('GET', '/version'))
      heal()
      const statuses = answers.map(answer => answer.status)
      expect(heal.met).toBe(statuses.filter(status => status === 429).length)
      expect(answers.find(answer => answer.status === 429)?.headers.get('retry-after')).toBe('3')
      return statuses
    }
    const first = await draw()
    expect(first.slice(0, 2)).toEqual([200, 200])
    expect(new Set(first)).toEqual(new Set([200, 429]))
    expect(await draw()).toEqual(first)
  })

  it('what met a fault is counted among what arrived', async () => {
    const before = stage.sim.arrivals().length
    stage.sim.faults.respond({ ...ROUTES.api, times: 1 }, { status: 500 })
    await bot('GET', '/user')
    await bot('GET', '/user')
    expect(stage.sim.arrivals().slice(before)).toMatchObject([{ spoiled: true }, { spoiled: false }])
  })

  it('calls are counted', async () => {
    stage.sim.resetRequests()
    await bot('GET', '/user?x=1')
    await stage.as(null)('GET', '/user')
    expect(stage.sim.requests()).toEqual([
      { method: 'GET', path: '/api/v4/user?x=1', status: 200, userId: stage.ids.bot },
      { method: 'GET', path: '/api/v4/user', status: 401, userId: null },
    ])
  })
})

describe('what becomes of a project', () => {
  it('moved: its id stays, git is served at both addresses, the API redirects from the old one', async () => {
    await using other = await setStage()
    const call = other.as(other.tokens.bot)
    other.sim.moveProject(other.projectId, 'physics/cold')
    expect((await call('GET', `/projects/${other.projectId}`)).body).toMatchObject({
      path_with_namespace: 'physics/cold',
    })
    for (const path of ['physics/cold', 'physics/sub/heat'])
      expect(await other.git('ls-remote', `${other.sim.url.replace('//', '//alice:secret@')}/${path}.git`)).toContain(
        'refs/heads/main',
      )
    const old = await fetch(`${other.sim.url}/api/v4/projects/physics%2Fsub%2Fheat`, {
      redirect: 'manual',
      headers: { 'private-token': other.tokens.bot },
    })
    expect([old.status, old.headers.get('location')]).toEqual([
      301,
      `${other.sim.url}/api/v4/projects/${other.projectId}`,
    ])
  })

  it('archived: it can be read and not written; deleted: it is as if it had never been', async () => {
    await using other = await setStage()
    const call = other.as(other.tokens.alice)
    const sha = (await other.sim.branches(other.projectId))[0]!.sha
    const status = () => call('POST', `/projects/${other.projectId}/statuses/${sha}`, { state: 'pending' })
    other.sim.archiveProject(other.projectId)
    expect((await call('GET', `/projects/${other.projectId}`)).body).toMatchObject({ archived: true })
    expect((await status()).status).toBe(403)
    other.sim.archiveProject(other.projectId, false)
    expect((await status()).status).toBe(201)
    other.sim.deleteProject(other.projectId)
    expect((await status()).status).toBe(404)
  })
})
