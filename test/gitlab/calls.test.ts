import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HttpResponse, http } from 'msw'
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/errors.ts'
import { coversBranch, type GitLabError, letsPush, tokenFromFile } from '../../src/gitlab/gitlab.ts'
import { api, createTime, gitlabAt, interceptGitLab, thrownBy } from './support.ts'

const server = interceptGitLab()
const missing = (message: string) => HttpResponse.json({ message }, { status: 404 })

describe('users and tokens', () => {
  test.each([
    [
      { id: 1, username: 'anna', name: 'Anna', bot: false },
      { id: 1, username: 'anna', name: 'Anna', bot: false },
    ],
    [
      { id: 2, username: 'project_12_bot_ab12', name: 'compops' },
      { id: 2, username: 'project_12_bot_ab12', name: 'compops', bot: true },
    ],
    [
      { id: 3, username: 'group_4_bot', name: null },
      { id: 3, username: 'group_4_bot', name: 'group_4_bot', bot: true },
    ],
    [
      { id: 4, username: 'service_account_9', name: 'S', bot: true },
      { id: 4, username: 'service_account_9', name: 'S', bot: true },
    ],
  ])('%j is %j', async (answer, expected) => {
    server.use(
      http.get(`${api}/user`, () => HttpResponse.json(answer)),
      http.get(`${api}/users/${answer.id}`, () => HttpResponse.json(answer)),
    )
    expect(await gitlabAt(createTime()).me()).toEqual(expected)
    expect(await gitlabAt(createTime()).user(answer.id)).toEqual(expected)
  })

  test('a token looks at itself', async () => {
    server.use(
      http.get(`${api}/personal_access_tokens/self`, () =>
        HttpResponse.json({
          id: 9,
          name: 'compops',
          scopes: ['api'],
          expires_at: '2027-01-01',
          active: true,
          user_id: 7,
        }),
      ),
    )
    expect(await gitlabAt(createTime()).tokenInfo()).toEqual({
      id: 9,
      name: 'compops',
      scopes: ['api'],
      expiresAt: '2027-01-01',
      active: true,
    })
  })

  test.each([
    [404, { message: '404 Not Found' }],
    [404, { error: '404 Not Found' }],
    [403, { message: '403 Forbidden' }],
  ])('a token that cannot (%i %j) is unknown', async (status, body) => {
    server.use(http.get(`${api}/personal_access_tokens/self`, () => HttpResponse.json(body, { status })))
    expect(await gitlabAt(createTime()).tokenInfo()).toBeNull()
  })

  test('version', async () => {
    server.use(http.get(`${api}/version`, () => HttpResponse.json({ version: '19.4.0-ee', revision: 'x' })))
    expect(await gitlabAt(createTime()).version()).toBe('19.4.0-ee')
  })

  test('a token file is read again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'compops-token-'))
    try {
      const file = join(folder, 'token')
      await writeFile(file, 'one\n')
      const source = await tokenFromFile(file)
      expect(source.current()).toBe('one')
      expect(await source.renew()).toBe(false)
      await writeFile(file, 'two')
      expect(await source.renew()).toBe(true)
      expect(source.current()).toBe('two')
      await writeFile(file, ' \n')
      await expect(source.renew()).rejects.toThrow('empty')
      expect(source.current()).toBe('two')
      await expect(tokenFromFile(join(folder, 'none'))).rejects.toBeInstanceOf(ConfigError)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('projects', () => {
  test('by path, as one segment', async () => {
    const urls: string[] = []
    server.use(
      http.get(`${api}/projects/:path`, ({ request }) => {
        urls.push(request.url)
        return HttpResponse.json({
          id: 12,
          path_with_namespace: 'physics/sub/wave',
          default_branch: 'main',
          web_url: 'https://gitlab.example.org/physics/sub/wave',
          archived: false,
          ci_config_path: '',
          empty_repo: false,
          forked_from_project: { id: 3, name: 'up' },
          http_url_to_repo: 'https://gitlab.example.org/physics/sub/wave.git',
        })
      }),
    )
    expect(await gitlabAt(createTime()).project('physics/sub/wave')).toEqual({
      id: 12,
      pathWithNamespace: 'physics/sub/wave',
      defaultBranch: 'main',
      webUrl: 'https://gitlab.example.org/physics/sub/wave',
      archived: false,
      ciConfigPath: null,
      emptyRepo: false,
      forkedFromId: 3,
      httpUrl: 'https://gitlab.example.org/physics/sub/wave.git',
    })
    expect(urls).toEqual([`${api}/projects/physics%2Fsub%2Fwave`])
  })

  test('with next to nothing told', async () => {
    server.use(
      http.get(`${api}/projects/5`, () =>
        HttpResponse.json({ id: 5, path_with_namespace: 'a/b', default_branch: null }),
      ),
    )
    expect(await gitlabAt(createTime()).project(5)).toEqual({
      id: 5,
      pathWithNamespace: 'a/b',
      defaultBranch: null,
      webUrl: '',
      archived: false,
      ciConfigPath: null,
      emptyRepo: false,
      forkedFromId: null,
      httpUrl: '',
    })
  })

  test('all of them, by keyset, until a page is empty', async () => {
    const ids = Array.from({ length: 250 }, (_, index) => index * 2 + 1)
    const queries: string[] = []
    server.use(
      http.get(`${api}/projects`, ({ request }) => {
        const { searchParams, search } = new URL(request.url)
        queries.push(search)
        const page = ids.filter(id => id > Number(searchParams.get('id_after'))).slice(0, 100)
        return HttpResponse.json(
          page.map(id => ({ id, path_with_namespace: `g/p${id}` })),
          { headers: { link: `<${api}/projects?id_after=${page.at(-1)}>; rel="next"` } },
        )
      }),
    )
    const found: number[] = []
    for await (const project of gitlabAt(createTime()).projects({ membership: true, search: 'a&b' }))
      found.push(project.id)
    expect(found).toEqual(ids)
    expect(queries).toHaveLength(4)
    expect(queries[1]).toBe(
      '?pagination=keyset&order_by=id&sort=asc&per_page=100&id_after=199&membership=true&search=a%26b',
    )
  })

  test('a list that does not advance is an error, not a loop', async () => {
    server.use(http.get(`${api}/projects`, () => HttpResponse.json([{ id: 1, path_with_namespace: 'g/p' }])))
    const reading = (async () => {
      for await (const _ of gitlabAt(createTime()).projects({ membership: false }));
    })()
    expect(((await thrownBy(reading)) as GitLabError).kind).toBe('invalid')
  })
})

describe('branches, commits, files', () => {
  test('a branch, its name encoded once', async () => {
    const urls: string[] = []
    server.use(
      http.get(`${api}/projects/1/repository/branches/:name`, ({ request }) => {
        urls.push(request.url)
        return HttpResponse.json({ name: 'calc/ü $(id)%2F', commit: { id: 'abc' }, protected: true, can_push: false })
      }),
    )
    expect(await gitlabAt(createTime()).branch(1, 'calc/ü $(id)%2F')).toEqual({
      name: 'calc/ü $(id)%2F',
      sha: 'abc',
      protected: true,
      canPush: false,
      developersCanPush: false,
    })
    expect(urls).toEqual([`${api}/projects/1/repository/branches/calc%2F%C3%BC%20%24(id)%252F`])
  })

  test('no branch is null, no project is an error', async () => {
    server.use(
      http.get(`${api}/projects/1/repository/branches/gone`, () => missing('404 Branch Not Found')),
      http.get(`${api}/projects/2/repository/branches/gone`, () => missing('404 Project Not Found')),
    )
    const gitlab = gitlabAt(createTime())
    expect(await gitlab.branch(1, 'gone')).toBeNull()
    expect(await thrownBy(gitlab.branch(2, 'gone'))).toMatchObject({ kind: 'not found' })
  })

  test.each([
    [null, null],
    [
      { id: 3, ref: 'main', status: 'running', source: 'push', sha: 'abc' },
      { id: 3, ref: 'main', status: 'running', source: 'push' },
    ],
  ])('a commit with the pipeline %j', async (last_pipeline, lastPipeline) => {
    server.use(
      http.get(`${api}/projects/1/repository/commits/abc`, () =>
        HttpResponse.json({
          id: 'abc',
          title: 'T',
          message: 'T\n\nbody',
          author_name: 'A',
          author_email: 'a@e.org',
          committed_date: '2026-11-20T12:00:00Z',
          last_pipeline,
        }),
      ),
    )
    expect(await gitlabAt(createTime()).commit(1, 'abc')).toEqual({
      id: 'abc',
      title: 'T',
      message: 'T\n\nbody',
      authorName: 'A',
      authorEmail: 'a@e.org',
      committedAt: '2026-11-20T12:00:00Z',
      lastPipeline,
    })
  })

  test('a file, its path one segment, its bytes as they are', async () => {
    const urls: string[] = []
    const bytes = Buffer.from([0, 255, 10, 195, 188])
    server.use(
      http.get(`${api}/projects/1/repository/files/:path`, ({ request }) => {
        urls.push(request.url)
        return HttpResponse.json({
          file_path: 'a/b c/ü.txt',
          size: 5,
          encoding: 'base64',
          content: bytes.toString('base64'),
        })
      }),
    )
    expect(await gitlabAt(createTime()).file(1, 'a/b c/ü.txt', 'calc/x')).toEqual({
      path: 'a/b c/ü.txt',
      size: 5,
      blobId: null,
      content: bytes,
    })
    expect(urls).toEqual([`${api}/projects/1/repository/files/a%2Fb%20c%2F%C3%BC.txt?ref=calc%2Fx`])
  })

  test('no file is null', async () => {
    server.use(http.get(`${api}/projects/1/repository/files/:path`, () => missing('404 File Not Found')))
    expect(await gitlabAt(createTime()).file(1, '.compops.yml', 'abc')).toBeNull()
  })
})

describe('members', () => {
  test.each([
    [{ access_level: 40, state: 'active', expires_at: null }, 40],
    [{ access_level: 30 }, 30],
    [{ access_level: 15, state: 'active' }, 15],
    [{ access_level: 30, state: 'blocked' }, 0],
    [{ access_level: 30, state: 'active', expires_at: '2026-11-21' }, 30],
    // Ended at midnight; GitLab's daily job has not removed it yet.
    [{ access_level: 30, state: 'active', expires_at: '2026-11-20' }, 0],
  ])('%j: %i', async (answer, level) => {
    server.use(http.get(`${api}/projects/1/members/all/7`, () => HttpResponse.json(answer)))
    expect(await gitlabAt(createTime(Date.UTC(2026, 10, 20, 12))).memberAccess(1, 7)).toBe(level)
  })

  test('a stranger has no access; trouble is not an answer', async () => {
    server.use(
      http.get(`${api}/projects/1/members/all/7`, () => missing('404 Not found')),
      http.get(`${api}/projects/1/members/all/8`, () => new HttpResponse(null, { status: 502 })),
    )
    const gitlab = gitlabAt(createTime())
    expect(await gitlab.memberAccess(1, 7)).toBe(0)
    expect(await thrownBy(gitlab.memberAccess(1, 8))).toMatchObject({ kind: 'unreachable' })
  })
})

describe('merge requests and pipelines', () => {
  const answer = {
    iid: 4,
    project_id: 1,
    state: 'opened',
    draft: true,
    title: 'Draft: x',
    source_branch: 'calc/a',
    target_branch: 'main',
    source_project_id: 1,
    target_project_id: 1,
    sha: 'abc',
    web_url: 'https://gitlab.example.org/g/p/-/merge_requests/4',
    author: { id: 2, username: 'anna', name: 'Anna' },
    labels: ['compops', 'x'],
    updated_at: '2026-11-20T12:49:58.000Z',
    head_pipeline: { id: 8, ref: 'refs/merge-requests/4/head', source: 'merge_request_event' },
  }
  const expected = {
    projectId: 1,
    iid: 4,
    state: 'opened',
    draft: true,
    title: 'Draft: x',
    sourceBranch: 'calc/a',
    targetBranch: 'main',
    sourceProjectId: 1,
    targetProjectId: 1,
    sha: 'abc',
    webUrl: 'https://gitlab.example.org/g/p/-/merge_requests/4',
    author: { id: 2, username: 'anna' },
    headPipeline: { id: 8, ref: 'refs/merge-requests/4/head', source: 'merge_request_event' },
    labels: ['compops', 'x'],
    updatedAt: '2026-11-20T12:49:58.000Z',
  }

  test.each([
    [{}, {}],
    [
      { head_pipeline: null, sha: null, author: null },
      { headPipeline: null, sha: null, author: { id: 0, username: 'ghost' } },
    ],
    [{ draft: undefined, work_in_progress: true }, {}],
    [{ source_project_id: null }, { sourceProjectId: null }],
  ])('one with %j', async (change, difference) => {
    server.use(http.get(`${api}/projects/1/merge_requests/4`, () => HttpResponse.json({ ...answer, ...change })))
    expect(await gitlabAt(createTime()).mergeRequest(1, 4)).toEqual({ ...expected, ...difference })
  })

  test('none is null, unless it is the project that cannot be seen', async () => {
    server.use(
      http.get(`${api}/projects/1/merge_requests/4`, () => missing('404 Not found')),
      http.get(`${api}/projects/2/merge_requests/4`, () => missing('404 Project Not Found')),
    )
    const gitlab = gitlabAt(createTime())
    expect(await gitlab.mergeRequest(1, 4)).toBeNull()
    expect(await thrownBy(gitlab.mergeRequest(2, 4))).toMatchObject({ kind: 'not found' })
  })

  test("of a branch: those of a fork's branch with the same name are not ours", async () => {
    const queries: string[] = []
    server.use(
      http.get(`${api}/projects/1/merge_requests`, ({ request }) => {
        queries.push(new URL(request.url).search)
        return HttpResponse.json([
          { ...answer, head_pipeline: undefined },
          { ...answer, iid: 5, source_project_id: 99 },
          { ...answer, iid: 6, source_project_id: null },
        ])
      }),
    )
    const found = await gitlabAt(createTime()).openMergeRequestsOf(1, 'calc/a')
    expect(found).toEqual([{ ...expected, headPipeline: null }])
    expect(queries).toEqual(['?state=opened&source_branch=calc%2Fa&page=1&per_page=100'])
  })

  test.each(['x-next-page', 'link'])('lists go on by %s and never ask for a total', async header => {
    const pages: (string | null)[] = []
    server.use(
      http.get(`${api}/projects/1/pipelines`, ({ request }) => {
        const { searchParams } = new URL(request.url)
        const page = Number(searchParams.get('page'))
        pages.push(`${searchParams.get('sha')} ${page} ${searchParams.get('per_page')}`)
        const next = page < 3 ? page + 1 : ''
        return HttpResponse.json([{ id: page, ref: 'main', sha: 'abc', status: 'success', source: 'push' }], {
          headers:
            header === 'x-next-page'
              ? { 'x-next-page': `${next}` }
              : next === ''
                ? {}
                : { link: `<${api}/projects/1/pipelines?page=${next}&per_page=100>; rel="next"` },
        })
      }),
    )
    const found = await gitlabAt(createTime()).pipelines(1, { sha: 'abc' })
    expect(found.map(pipeline => pipeline.id)).toEqual([1, 2, 3])
    expect(pages).toEqual(['abc 1 100', 'abc 2 100', 'abc 3 100'])
  })

  test('pipelines of a merge request', async () => {
    server.use(
      http.get(`${api}/projects/1/merge_requests/4/pipelines`, () =>
        HttpResponse.json([{ id: 3, ref: 'refs/merge-requests/4/head', sha: 'abc', status: 'running' }]),
      ),
    )
    expect(await gitlabAt(createTime()).mergeRequestPipelines(1, 4)).toEqual([
      { id: 3, ref: 'refs/merge-requests/4/head', sha: 'abc', status: 'running', source: null, createdAt: null },
    ])
  })
})

describe('notes', () => {
  const marker = '<!-- compops:note -->'
  const notes = `${api}/projects/1/merge_requests/4/notes`
  const note = (id: number, body: string, authorId = 7, more: object = {}) => ({
    id,
    body,
    author: { id: authorId, username: `user${authorId}`, name: 'N' },
    system: false,
    created_at: '2026-11-20T12:00:00Z',
    updated_at: '2026-11-20T12:00:00Z',
    ...more,
  })

  test('ours is found by marker and author, on a later page, whatever others quote', async () => {
    const queries: string[] = []
    server.use(
      http.get(notes, ({ request }) => {
        const { search, searchParams } = new URL(request.url)
        queries.push(search)
        return searchParams.get('page') === '1'
          ? HttpResponse.json(
              [note(9, `> ${marker} quoted`, 3), note(8, marker, 7, { system: true }), note(7, 'no marker')],
              { headers: { 'x-next-page': '2' } },
            )
          : HttpResponse.json([note(6, `${marker}\nhello`), note(5, `${marker}\nolder`)], {
              headers: { 'x-next-page': '3' },
            })
      }),
    )
    const found = await gitlabAt(createTime()).findNote(1, 4, marker, 7)
    expect(found).toEqual({
      id: 6,
      body: `${marker}\nhello`,
      author: { id: 7, username: 'user7' },
      system: false,
      createdAt: '2026-11-20T12:00:00Z',
      updatedAt: '2026-11-20T12:00:00Z',
    })
    // Newest first, and no page more than needed.
    expect(queries).toEqual([
      '?sort=desc&order_by=created_at&page=1&per_page=100',
      '?sort=desc&order_by=created_at&page=2&per_page=100',
    ])
  })

  test('none is null', async () => {
    server.use(
      http.get(notes, () => HttpResponse.json([])),
      http.get(`${notes}/5`, () => missing('404 Note Not Found')),
    )
    expect(await gitlabAt(createTime()).findNote(1, 4, marker, 7)).toBeNull()
    expect(await gitlabAt(createTime()).note(1, 4, 5)).toBeNull()
  })

  test('are made, edited and removed', async () => {
    const bodies: unknown[] = []
    server.use(
      http.post(notes, async ({ request }) => {
        bodies.push(await request.json())
        return HttpResponse.json(note(5, 'a'), { status: 201 })
      }),
      http.put(`${notes}/5`, async ({ request }) => {
        bodies.push(await request.json())
        return HttpResponse.json(note(5, 'b'))
      }),
      http.delete(`${notes}/5`, () => new HttpResponse(null, { status: 204 })),
      http.delete(`${notes}/6`, () => missing('404 Note Not Found')),
    )
    const gitlab = gitlabAt(createTime())
    const body = '<b>"camelCase_and_snake"</b>\n\u2028 ü'
    expect((await gitlab.createNote(1, 4, body)).id).toBe(5)
    expect((await gitlab.updateNote(1, 4, 5, body)).body).toBe('b')
    await gitlab.deleteNote(1, 4, 5)
    await gitlab.deleteNote(1, 4, 6)
    expect(bodies).toEqual([{ body }, { body }])
  })

  test.each([' \n', 'x'.repeat(1_000_001)])('that GitLab would refuse are not sent', async body => {
    expect(await thrownBy(gitlabAt(createTime()).createNote(1, 4, body))).toMatchObject({
      kind: 'invalid',
      status: null,
    })
  })

  test('of quick actions alone are no notes', async () => {
    server.use(
      http.post(notes, () =>
        HttpResponse.json({ commands_changes: { state_event: 'close' }, summary: ['Closed'] }, { status: 202 }),
      ),
    )
    const error = await thrownBy(gitlabAt(createTime()).createNote(1, 4, '/close'))
    expect(error).toMatchObject({ kind: 'invalid', maybeDone: false })
  })

  test.each([
    [true, 'sent'],
    [false, 'lost'],
  ])('whose answer was lost are looked for: there %s', async (there, outcome) => {
    const time = createTime()
    let posts = 0
    server.use(
      http.post(notes, () => {
        posts += 1
        return new HttpResponse(null, { status: 500 })
      }),
      http.get(notes, () => HttpResponse.json(there ? [note(5, marker)] : [])),
    )
    const creating = gitlabAt(time).createNote(1, 4, marker, { marker, authorId: 7 })
    if (outcome === 'sent') expect((await creating).id).toBe(5)
    else expect(await thrownBy(creating)).toMatchObject({ kind: 'unreachable', maybeDone: true, status: 500 })
    expect(posts).toBe(1)
  })

  test.each([
    [201, { id: 1, name: 'eyes' }, null],
    [404, { message: '404 Award Emoji Name has already been taken Not Found' }, null],
    [404, { message: '404 Award Emoji {:name=>["has already been taken"]} Not Found' }, null],
    [404, { message: '404 Note Not Found' }, 'not found'],
    [404, { message: '404 Award Emoji Not Found' }, 'not found'],
  ])('are reacted to: %i %j', async (status, body, kind) => {
    server.use(http.post(`${notes}/5/award_emoji`, () => HttpResponse.json(body, { status })))
    const reacting = gitlabAt(createTime()).react(1, 4, 5, 'eyes')
    if (kind === null) await reacting
    else expect(await thrownBy(reacting)).toMatchObject({ kind })
  })
})

describe('CI variables', () => {
  test('are those for any environment that can be read, page by page', async () => {
    const variable = (key: string, more: object = {}) => ({
      ...{ variable_type: 'env_var', key, value: `value of ${key}`, protected: false, masked: true, hidden: false },
      ...{ raw: false, environment_scope: '*', description: null, ...more },
    })
    server.use(
      http.get(`${api}/projects/12/variables`, ({ request }) => {
        const page = new URL(request.url).searchParams.get('page') ?? '1'
        return page === '1'
          ? HttpResponse.json(
              [variable('A'), variable('B', { protected: true }), variable('FILE', { variable_type: 'file' })],
              {
                headers: { 'x-next-page': '2', 'x-page': '1' },
              },
            )
          : HttpResponse.json([
              variable('HIDDEN', { value: null, hidden: true }),
              variable('OF_PRODUCTION', { environment_scope: 'production' }),
              // Of a GitLab that does not say: the safer of both.
              variable('C', { protected: null }),
            ])
      }),
    )
    expect(await gitlabAt(createTime()).ciVariables(12)).toEqual([
      { key: 'A', value: 'value of A', protected: false },
      { key: 'B', value: 'value of B', protected: true },
      { key: 'C', value: 'value of C', protected: true },
    ])
  })
})

describe('an upload', () => {
  const upload = (gitlab = gitlabAt(createTime())) =>
    gitlab.upload(12, '4f1c2d3e.png', 'image/png', Buffer.from('bytes'))

  test('is sent as a form, and its address believed only where it is one', async () => {
    const sent: unknown[] = []
    let url = `/uploads/${'a1'.repeat(16)}/4f1c2d3e.png`
    server.use(
      http.post(`${api}/projects/12/uploads`, async ({ request }) => {
        const file = (await request.formData()).get('file') as File
        sent.push([file.name, file.type, await file.text(), request.headers.get('private-token')])
        return HttpResponse.json({ id: 1, alt: 'x', url, markdown: `![x](${url})` }, { status: 201 })
      }),
    )
    expect(await upload()).toBe(url)
    expect(sent).toEqual([['4f1c2d3e.png', 'image/png', 'bytes', expect.any(String)]])
    for (url of ['https://evil.example.org/x.png', '/uploads/a1/x.png)![](http://evil', '/uploads/../x.png'])
      expect(await thrownBy(upload())).toMatchObject({ kind: 'invalid' })
  })

  test('that is too large for this GitLab is no outage', async () => {
    server.use(
      http.post(`${api}/projects/12/uploads`, () =>
        HttpResponse.json({ message: '413 Request Entity Too Large' }, { status: 413 }),
      ),
    )
    expect(await thrownBy(upload())).toMatchObject({ status: 413, transient: false })
  })
})

test('who may push to a protected branch: a level beside a user, a group or a deploy key is no role', async () => {
  server.use(
    http.get(`${api}/projects/1/protected_branches`, () =>
      HttpResponse.json([
        {
          name: 'compops/*',
          push_access_levels: [
            { access_level: 0 },
            { access_level: 40, user_id: 7, group_id: null },
            { access_level: 30, user_id: null, group_id: 5 },
            { access_level: 40, deploy_key_id: 3 },
          ],
        },
      ]),
    ),
  )
  const [rule] = await gitlabAt(createTime()).protectedBranches(1)
  expect(rule).toEqual({ name: 'compops/*', pushLevels: [0], pushUserIds: [7], allowForcePush: false })
  expect(letsPush(rule!, { id: 7, role: 30 })).toBe(true)
  expect(letsPush(rule!, { id: 8, role: 50 })).toBe(false)
  expect(['compops/evidence', 'compops/', 'xcompops/a'].map(branch => coversBranch(rule!, branch))).toEqual([
    true,
    true,
    false,
  ])
})
