import { HttpResponse, http } from 'msw'
import { describe, expect, test } from 'vitest'
import { describeError } from '../../src/errors.ts'
import { fixedToken, type GitLabCall, GitLabError } from '../../src/gitlab/gitlab.ts'
import { routeOf, routes } from '../../src/gitlab/route.ts'
import type { TokenSource } from '../../src/gitlab/token.ts'
import { api, createTime, gitlabAt, host, interceptGitLab, thrownBy, token } from './support.ts'

const server = interceptGitLab()
const user = { id: 7, username: 'compops', name: 'ComputationalOps', bot: true }

async function failure(promise: Promise<unknown>): Promise<GitLabError> {
  const error = await thrownBy(promise)
  expect(error).toBeInstanceOf(GitLabError)
  return error as GitLabError
}

describe('a call', () => {
  test('carries the token as GitLab wants it and our name', async () => {
    const seen: Headers[] = []
    server.use(
      http.get(`${api}/user`, ({ request }) => {
        seen.push(request.headers)
        return HttpResponse.json(user)
      }),
    )
    await gitlabAt(createTime(), { userAgent: 'compops/1' }).me()
    await gitlabAt(createTime(), { token: fixedToken(token, 'oauth') }).me()
    expect(seen[0]!.get('private-token')).toBe(token)
    expect(seen[0]!.get('authorization')).toBeNull()
    expect(seen[0]!.get('user-agent')).toBe('compops/1')
    expect(seen[1]!.get('authorization')).toBe(`Bearer ${token}`)
    expect(seen[1]!.get('private-token')).toBeNull()
  })

  test.each([
    [`${host}/`, `${host}/api/v4/user`],
    [`${host}/gitlab//`, `${host}/gitlab/api/v4/user`],
  ])('finds the API below %s', async (url, expected) => {
    server.use(http.get(expected, () => HttpResponse.json(user)))
    expect((await gitlabAt(createTime(), { url }).me()).id).toBe(7)
  })

  test('is counted by method, route and status, never by id', async () => {
    server.use(
      http.get(`${api}/projects/:id/repository/branches/:branch`, ({ params }) =>
        params.branch === 'notes'
          ? HttpResponse.json({ name: 'notes', commit: { id: 'abc' } })
          : HttpResponse.json({ message: '404 Branch Not Found' }, { status: 404 }),
      ),
    )
    const calls: GitLabCall[] = []
    const gitlab = gitlabAt(createTime(), { onCall: call => calls.push(call) })
    await gitlab.branch(1, 'notes')
    await gitlab.branch(2, 'calc/$(id)')
    await gitlab.branch(3, '-rf')
    const route = 'projects/:id/repository/branches/:branch'
    expect(calls).toEqual([
      { method: 'GET', route, status: 200, ms: 0 },
      { method: 'GET', route, status: 404, ms: 0 },
      { method: 'GET', route, status: 404, ms: 0 },
    ])
    expect(gitlab.counts()).toEqual([
      { method: 'GET', route, status: 200, count: 1, ms: 0 },
      { method: 'GET', route, status: 404, count: 2, ms: 0 },
    ])
  })

  test('has a route', () => {
    expect(routeOf('projects/1/merge_requests/2/notes')).toBe('projects/:id/merge_requests/:iid/notes')
    expect(routeOf('projects/1/members/all/2')).toBe('projects/:id/members/all/:user_id')
    expect(routeOf('projects/1/triggers')).toBe('other')
    expect(routes.every(route => routeOf(route) === route)).toBe(true)
  })

  test.each(['..', '.', ''])('for a branch named %j is not made', async name => {
    expect((await failure(gitlabAt(createTime()).branch(1, name))).kind).toBe('invalid')
  })

  test('waits its turn: never more at once than allowed', async () => {
    let inFlight = 0
    let most = 0
    const waiting: (() => void)[] = []
    server.use(
      http.get(`${api}/users/:id`, async () => {
        inFlight += 1
        most = Math.max(most, inFlight)
        await new Promise<void>(resolve => {
          waiting.push(resolve)
          if (waiting.length % 3 === 0) for (const go of waiting.splice(0)) go()
        })
        inFlight -= 1
        return HttpResponse.json(user)
      }),
    )
    const gitlab = gitlabAt(createTime(), { concurrency: 3 })
    await Promise.all(Array.from({ length: 12 }, (_, id) => gitlab.user(id)))
    expect(most).toBe(3)
  })
})

describe('a refusal', () => {
  test.each([
    [400, { message: 'bad' }, 'invalid', 'GET user: 400 bad'],
    [403, { message: '403 Forbidden' }, 'forbidden', 'GET user: 403 Forbidden'],
    [403, { error: 'insufficient_scope' }, 'forbidden', 'GET user: 403 insufficient_scope'],
    [404, { message: '404 User Not Found' }, 'not found', 'GET user: 404 User Not Found'],
    [409, { message: 'busy' }, 'conflict', 'GET user: 409 busy'],
    [422, { message: { base: ['full'] } }, 'invalid', 'GET user: 422 full'],
  ])('of %i %j is %s', async (status, body, kind, message) => {
    server.use(http.get(`${api}/user`, () => HttpResponse.json(body, { status })))
    const error = await failure(gitlabAt(createTime()).me())
    expect(error).toMatchObject({ status, kind, message, maybeDone: false })
  })

  test('of a call GitLab does not know points at the proxy', async () => {
    server.use(http.get(`${api}/user`, () => HttpResponse.json({ error: '404 Not Found' }, { status: 404 })))
    const error = await failure(gitlabAt(createTime()).me())
    expect(error).toMatchObject({ kind: 'invalid', status: 404 })
    expect(error.message).toContain('%2F')
  })

  test('that is a page of a proxy says nothing about what is there', async () => {
    server.use(
      http.get(`${api}/projects/1/repository/branches/main`, () =>
        HttpResponse.html('<title>404 Not Found</title>', { status: 404 }),
      ),
    )
    expect(await failure(gitlabAt(createTime()).branch(1, 'main'))).toMatchObject({ kind: 'unreachable', status: 404 })
  })
})

describe('a 401', () => {
  const refused = { error: 'invalid_token', error_description: 'Token was revoked.' }

  function guarded(good: string) {
    const tokens: (string | null)[] = []
    server.use(
      http.post(`${api}/projects/1/merge_requests/2/notes`, ({ request }) => {
        tokens.push(request.headers.get('private-token'))
        return tokens.at(-1) === good
          ? HttpResponse.json({ id: 5, body: 'x' }, { status: 201 })
          : HttpResponse.json(refused, { status: 401 })
      }),
    )
    return tokens
  }

  function rotating(next: () => Promise<string>): TokenSource & { renewals: number } {
    let current = 'old-token'
    return {
      renewals: 0,
      current: () => current,
      async renew() {
        this.renewals += 1
        const before = current
        current = await next()
        return current !== before
      },
    }
  }

  test('renews the token and repeats the call once, POST too: a 401 was not done', async () => {
    const tokens = guarded('new-token')
    const note = await gitlabAt(createTime(), { token: rotating(async () => 'new-token') }).createNote(1, 2, 'hello')
    expect(note.id).toBe(5)
    expect(tokens).toEqual(['old-token', 'new-token'])
  })

  test('of many calls reads the token once', async () => {
    const tokens = guarded('new-token')
    let give: (token: string) => void = () => {}
    const source = rotating(() => new Promise(resolve => (give = resolve)))
    const gitlab = gitlabAt(createTime(), { token: source })
    const notes = Promise.all([1, 2, 3].map(() => gitlab.createNote(1, 2, 'hello')))
    await expect.poll(() => tokens.length).toBe(3)
    give('new-token')
    await notes
    expect(source.renewals).toBe(1)
    expect(tokens.slice(3)).toEqual(['new-token', 'new-token', 'new-token'])
  })

  test.each([
    ['has not changed', async () => 'old-token'],
    ['cannot be read', () => Promise.reject(new Error('ENOENT: no such file'))],
    ['is as bad', async () => 'worse-token'],
  ])('is an error when the token %s', async (problem, next) => {
    const tokens = guarded('new-token')
    const error = await failure(gitlabAt(createTime(), { token: rotating(next) }).createNote(1, 2, 'hello'))
    expect(error).toMatchObject({ kind: 'unauthorized', status: 401, transient: false })
    expect(error.said).toBe('invalid_token: Token was revoked.')
    expect(error.message.includes('could not be read again: ENOENT')).toBe(problem === 'cannot be read')
    expect(tokens.length).toBeLessThanOrEqual(2)
  })
})

describe('the token stands in no error', () => {
  test.each([
    ['body', () => HttpResponse.json({ message: `token ${token} is bad` }, { status: 403 })],
    ['encoded body', () => HttpResponse.json({ message: encodeURIComponent(token) }, { status: 400 })],
    ['body, where it is cut', () => HttpResponse.json({ message: `${'x'.repeat(290)}${token}` }, { status: 403 })],
    ['page, where it is cut', () => HttpResponse.html(`<title>${'x'.repeat(290)}${token}</title>`, { status: 502 })],
    ['page', () => HttpResponse.html(`<title>${token}</title>`, { status: 502 })],
    ['429', () => new HttpResponse(`${token}`, { status: 429 })],
    [
      'location',
      () =>
        new HttpResponse(null, { status: 302, headers: { location: `https://x:${token}@e.org/${token}?t=${token}` } }),
    ],
    ['type', () => new HttpResponse('x', { headers: { 'content-type': `text/${token}` } })],
  ])('when GitLab repeats it in its %s', async (_, answer) => {
    server.use(http.get(`${api}/user`, answer))
    const gitlab = gitlabAt(createTime())
    const error = await failure(gitlab.me())
    const everything = `${error.stack} ${describeError(error)} ${JSON.stringify(error)} ${JSON.stringify(gitlab.reachability())}`
    expect(everything).not.toContain(token)
    expect(everything).not.toContain(encodeURIComponent(token))
    expect(everything).not.toContain(token.slice(0, 8))
  })

  test('when fetch repeats it', async () => {
    const bad = async () => {
      throw new TypeError('fetch failed', { cause: new Error(`header ${token} is odd`) })
    }
    const error = await failure(gitlabAt(createTime(), { fetch: bad }).me())
    expect(`${error.stack} ${describeError(error)}`).not.toContain(token)
    expect(error.message).toContain('header [token] is odd')
  })

  test('when it cannot be sent at all', async () => {
    const error = await failure(gitlabAt(createTime(), { token: fixedToken('glpat-with\nnewline') }).me())
    expect(error.kind).toBe('unauthorized')
    expect(`${error.stack} ${describeError(error)}`).not.toContain('glpat-with')
  })
})

describe('a 429', () => {
  test('with Retry-After stops every call until then, without asking GitLab again', async () => {
    const time = createTime()
    let calls = 0
    server.use(
      http.get(`${api}/user`, () => {
        calls += 1
        return calls === 1
          ? new HttpResponse('Retry later\n', {
              status: 429,
              headers: { 'content-type': 'text/plain', 'retry-after': '30' },
            })
          : HttpResponse.json(user)
      }),
    )
    const gitlab = gitlabAt(time)
    expect(await failure(gitlab.me())).toMatchObject({
      kind: 'rate limited',
      status: 429,
      retryAfter: 30_000,
      transient: true,
      message: 'GET user: 429 Retry later, again in 30 s',
    })
    time.pass(10_000)
    expect(await failure(gitlab.branch(1, 'main'))).toMatchObject({
      kind: 'rate limited',
      status: null,
      retryAfter: 20_000,
      maybeDone: false,
    })
    time.pass(20_000)
    expect((await gitlab.me()).id).toBe(7)
    expect(gitlab.reachability().reachable).toBe(true)
  })

  test("without headers (GitLab's own limit on notes) stops only that call", async () => {
    const time = createTime()
    server.use(
      http.get(`${api}/user`, () => HttpResponse.json(user)),
      http.post(`${api}/projects/1/merge_requests/2/notes`, () =>
        HttpResponse.json(
          { message: { error: 'This endpoint has been requested too many times. Try again later.' } },
          { status: 429 },
        ),
      ),
    )
    const gitlab = gitlabAt(time)
    const error = await failure(gitlab.createNote(1, 2, 'hello'))
    expect(error).toMatchObject({ kind: 'rate limited', retryAfter: 11_250, maybeDone: false })
    expect(error.said).toContain('requested too many times')
    expect((await failure(gitlab.createNote(1, 2, 'hello'))).status).toBeNull()
    expect((await gitlab.me()).id).toBe(7)
  })

  test('is not waited for: the last answer that was free said so', async () => {
    const time = createTime()
    server.use(
      http.get(`${api}/user`, () =>
        HttpResponse.json(user, {
          headers: { 'ratelimit-remaining': '0', 'ratelimit-reset': `${time.now() / 1000 + 5}` },
        }),
      ),
    )
    const gitlab = gitlabAt(time)
    await gitlab.me()
    expect(await failure(gitlab.me())).toMatchObject({ kind: 'rate limited', retryAfter: 5_000 })
  })
})

describe('trouble', () => {
  test.each([500, 502, 503, 504])('%i on a POST is not repeated and says that it may be done', async status => {
    let posts = 0
    server.use(
      http.post(`${api}/projects/1/merge_requests/2/notes`, () => {
        posts += 1
        return HttpResponse.html('<title>Bad Gateway</title>', { status })
      }),
    )
    const error = await failure(gitlabAt(createTime()).createNote(1, 2, 'hello'))
    expect(error).toMatchObject({ kind: 'unreachable', status, maybeDone: true, transient: true })
    expect(posts).toBe(1)
  })

  test('holds back further calls, then lets one through', async () => {
    const time = createTime()
    let up = false
    let calls = 0
    server.use(
      http.get(`${api}/user`, () => {
        calls += 1
        return up ? HttpResponse.json(user) : new HttpResponse(null, { status: 503 })
      }),
    )
    const gitlab = gitlabAt(time)
    const since = new Date(time.now())
    expect(await failure(gitlab.me())).toMatchObject({ status: 503, retryAfter: 875 })
    const held = await failure(gitlab.createNote(1, 2, 'hello'))
    expect(held).toMatchObject({ kind: 'unreachable', status: null, maybeDone: false, retryAfter: 875 })
    expect(held.message).toContain('not sent')
    expect(gitlab.reachability()).toMatchObject({ reachable: false, since })
    expect(calls).toBe(1)
    up = true
    time.pass(875)
    expect((await gitlab.me()).id).toBe(7)
    expect(gitlab.reachability()).toEqual({ reachable: true, since: new Date(time.now()), lastError: null })
  })

  test('a redirect is refused: the token is sent nowhere else', async () => {
    let elsewhere = 0
    server.use(
      http.get('https://evil.example.com/*', () => {
        elsewhere += 1
        return HttpResponse.json(user)
      }),
      http.get(
        `${api}/user`,
        () =>
          new HttpResponse(null, { status: 301, headers: { location: 'https://evil.example.com/api/v4/user?x=1' } }),
      ),
    )
    const error = await failure(gitlabAt(createTime()).me())
    expect(error).toMatchObject({ kind: 'redirected', status: 301, transient: false })
    expect(error.message).toContain('https://evil.example.com/api/v4/user;')
    expect(elsewhere).toBe(0)
  })

  test.each([
    ['a page', 'text/html', '<html>Sign in</html>'],
    ['JSON cut in half', 'application/json', '{"id": 5, "bo'],
    ['nothing at all', 'application/json', ''],
    ['other JSON', 'application/json', '{"hello": "world"}'],
    ['a list', 'application/json', '[1]'],
  ])('%s in answer to a POST may mean that it was done', async (_, type, body) => {
    server.use(
      http.post(
        `${api}/projects/1/merge_requests/2/notes`,
        () => new HttpResponse(body, { status: 201, headers: { 'content-type': type } }),
      ),
    )
    const error = await failure(gitlabAt(createTime()).createNote(1, 2, 'hello'))
    expect(error).toMatchObject({ kind: 'unreachable', maybeDone: true, transient: true })
  })
})
