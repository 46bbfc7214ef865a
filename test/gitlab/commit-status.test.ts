import { HttpResponse, http, type JsonBodyType } from 'msw'
import { describe, expect, test } from 'vitest'
import { type GitLabOptions, type StatusToSend, sendCommitStatus } from '../../src/gitlab/gitlab.ts'
import { api, createTime, gitlabAt, interceptGitLab, thrownBy } from './support.ts'

const server = interceptGitLab()
const sha = 'a'.repeat(40)
const mergedSha = 'f'.repeat(40)

const status: StatusToSend = {
  projectId: 1,
  sha,
  branch: 'calc/a',
  mergeRequestIid: null,
  name: 'compops/simulate',
  state: 'running',
  description: 'running on falcon, 4711',
  targetUrl: 'https://compops.example.org/runs/1',
  pipelineId: 8,
}

const row = (more: object = {}) => ({
  id: 100,
  sha,
  ref: 'calc/a',
  status: 'running',
  name: 'compops/simulate',
  description: 'running on falcon, 4711',
  target_url: null,
  author: { id: 7, username: 'compops' },
  pipeline_id: 8,
  ...more,
})

const made = (more: object = {}) => ({ status: 201, body: row(more) })
const refused = (httpStatus: number, message: JsonBodyType) => ({ status: httpStatus, body: { message } })
const transition = (event: string, from: string) =>
  refused(
    400,
    `Cannot transition status via :${event} from :${from} (Reason(s): Status cannot transition via "${event}")`,
  )

interface Scripted {
  readonly status: number
  readonly body: JsonBodyType
}

/** GitLab's answers in order, and what it was asked. An answer too few is an error, one too many shows in `left`. */
function script(
  answers: {
    readonly posts: readonly Scripted[]
    readonly rows?: readonly object[]
    readonly pipelines?: readonly object[]
    readonly mergeRequestPipelines?: readonly object[]
    readonly mergeRequest?: object
    readonly pipeline?: Readonly<Record<string, object>>
  },
  options: Partial<GitLabOptions> = {},
) {
  const posts: { sha: string; body: Record<string, unknown> }[] = []
  const asked: string[] = []
  const left = [...answers.posts]
  const time = createTime()
  const path = (request: Request) => decodeURIComponent(request.url.slice(`${api}/projects/1/`.length))
  server.use(
    http.post(`${api}/projects/1/statuses/:sha`, async ({ request, params }) => {
      posts.push({ sha: String(params.sha), body: (await request.json()) as Record<string, unknown> })
      const next = left.shift() ?? refused(400, 'the script is over')
      return HttpResponse.json(next.body, { status: next.status })
    }),
    http.get(`${api}/projects/1/repository/commits/:sha/statuses`, ({ request }) => {
      asked.push(path(request))
      return HttpResponse.json((answers.rows ?? []) as JsonBodyType)
    }),
    http.get(`${api}/projects/1/pipelines`, ({ request }) => {
      asked.push(path(request))
      return HttpResponse.json((answers.pipelines ?? []) as JsonBodyType)
    }),
    http.get(`${api}/projects/1/pipelines/:id`, ({ request, params }) => {
      asked.push(path(request))
      const found = answers.pipeline?.[String(params.id)]
      return found === undefined
        ? HttpResponse.json({ message: '404 Not found' }, { status: 404 })
        : HttpResponse.json(found as JsonBodyType)
    }),
    http.get(`${api}/projects/1/merge_requests/4/pipelines`, ({ request }) => {
      asked.push(path(request))
      return HttpResponse.json((answers.mergeRequestPipelines ?? []) as JsonBodyType)
    }),
    http.get(`${api}/projects/1/merge_requests/4`, ({ request }) => {
      asked.push(path(request))
      return HttpResponse.json((answers.mergeRequest ?? {}) as JsonBodyType)
    }),
  )
  return { gitlab: gitlabAt(time, options), posts, asked, left, time }
}

describe('what is sent', () => {
  test('pipeline_id alone where it is known, and nothing is asked', async () => {
    const { gitlab, posts, asked } = script({ posts: [made()] })
    expect(await sendCommitStatus(gitlab, status)).toEqual({
      outcome: 'sent',
      pipelineId: 8,
      pipelineSha: null,
      statusId: 100,
    })
    expect(posts).toEqual([
      {
        sha,
        body: {
          state: 'running',
          name: 'compops/simulate',
          description: 'running on falcon, 4711',
          target_url: 'https://compops.example.org/runs/1',
          pipeline_id: 8,
        },
      },
    ])
    expect(asked).toEqual([])
  })

  test('texts that fit', async () => {
    const { gitlab, posts } = script({ posts: [made()] })
    await sendCommitStatus(gitlab, {
      ...status,
      name: `compops/${'n'.repeat(300)}`,
      description: 'd'.repeat(300),
      targetUrl: `https://e.org/${'u'.repeat(300)}`,
      coverage: 12.5,
    })
    expect(posts[0]!.body).toEqual({
      state: 'running',
      name: expect.stringMatching(/^compops\/n+~[0-9a-f]{16}$/),
      description: `${'d'.repeat(139)}…`,
      coverage: 12.5,
      pipeline_id: 8,
    })
  })

  test('by branch where there is no pipeline: GitLab makes one, and its id is kept', async () => {
    const { gitlab, posts, asked } = script({ posts: [made({ pipeline_id: 21 }), made({ pipeline_id: 21 })] })
    const sent = await sendCommitStatus(gitlab, { ...status, pipelineId: null })
    expect(sent).toMatchObject({ outcome: 'sent', pipelineId: 21 })
    // The next job of the same run, whose row was read before: nothing is asked again.
    await sendCommitStatus(gitlab, { ...status, name: 'compops/mesh', pipelineId: null })
    expect(posts.map(post => [post.body.ref, post.body.pipeline_id])).toEqual([
      ['calc/a', undefined],
      [undefined, 21],
    ])
    expect(asked).toEqual([`pipelines?sha=${sha}&page=1&per_page=100`])
  })

  test('after a while the pipeline is looked for again', async () => {
    const { gitlab, asked, time } = script({ posts: [made(), made()] })
    await sendCommitStatus(gitlab, { ...status, pipelineId: null })
    time.pass(30_000)
    await sendCommitStatus(gitlab, { ...status, pipelineId: null })
    expect(asked).toHaveLength(2)
  })

  test("to the merge request's own pipeline", async () => {
    const { gitlab, posts, asked } = script({
      posts: [made({ pipeline_id: 9 })],
      mergeRequestPipelines: [
        { id: 9, ref: 'refs/merge-requests/4/head', sha, source: 'merge_request_event' },
        { id: 10, ref: 'calc/a', sha, source: 'push' },
      ],
    })
    await sendCommitStatus(gitlab, { ...status, pipelineId: null, mergeRequestIid: 4 })
    expect(posts[0]!.body).toMatchObject({ pipeline_id: 9 })
    expect(posts[0]!.body).not.toHaveProperty('ref')
    expect(asked).toEqual(['merge_requests/4/pipelines?page=1&per_page=100'])
  })

  test('to the pipeline of merged results, under its own sha', async () => {
    const { gitlab, posts } = script({
      posts: [made({ pipeline_id: 9 }), made({ pipeline_id: 9 }), made({ pipeline_id: 9 })],
      mergeRequestPipelines: [
        { id: 9, ref: 'refs/merge-requests/4/merge', sha: mergedSha, source: 'merge_request_event' },
      ],
      mergeRequest: {
        iid: 4,
        project_id: 1,
        state: 'opened',
        source_branch: 'calc/a',
        target_branch: 'main',
        sha,
        head_pipeline: { id: 9 },
      },
    })
    const sent = await sendCommitStatus(gitlab, { ...status, pipelineId: null, mergeRequestIid: 4 })
    expect(sent).toMatchObject({ outcome: 'sent', pipelineId: 9, pipelineSha: mergedSha })
    await sendCommitStatus(gitlab, { ...status, mergeRequestIid: 4, pipelineId: 9, pipelineSha: mergedSha })
    await sendCommitStatus(gitlab, { ...status, mergeRequestIid: 4, pipelineId: 9 })
    expect(posts.map(post => [post.sha, post.body.pipeline_id])).toEqual([
      [mergedSha, 9],
      [mergedSha, 9],
      [mergedSha, 9],
    ])
  })

  test('although the pipelines may not be seen', async () => {
    const { gitlab, posts } = script({ posts: [made()] })
    server.use(
      http.get(`${api}/projects/1/pipelines`, () => HttpResponse.json({ message: '403 Forbidden' }, { status: 403 })),
    )
    expect((await sendCommitStatus(gitlab, { ...status, pipelineId: null })).outcome).toBe('sent')
    expect(posts[0]!.body).toMatchObject({ ref: 'calc/a' })
  })

  test.each([
    ['running', 'running'],
    ['pending', 'pending'],
    // GitLab cannot go back within a row.
    ['pending', 'running'],
  ] as const)('nothing for %s after %s', async (state, last) => {
    const { gitlab, posts } = script({ posts: [] })
    expect((await sendCommitStatus(gitlab, { ...status, state, last })).outcome).toBe('already there')
    expect(posts).toEqual([])
  })

  test.each([
    ['running', 'pending'],
    ['pending', 'failed'],
    ['running', 'success'],
    ['success', 'failed'],
    ['failed', 'failed'],
  ] as const)('%s after %s', async (state, last) => {
    const { gitlab, posts } = script({ posts: [made({ status: state })] })
    expect((await sendCommitStatus(gitlab, { ...status, state, last })).outcome).toBe('sent')
    expect(posts[0]!.body).toMatchObject({ state })
  })

  test('one after the other per commit, side by side for different commits', async () => {
    const order: string[] = []
    let goOn: () => void = () => {}
    server.use(
      http.post(`${api}/projects/1/statuses/:sha`, async ({ request, params }) => {
        const { name } = (await request.json()) as { name: string }
        order.push(`${String(params.sha)[0]} ${name}`)
        if (name === 'slow') await new Promise<void>(resolve => (goOn = resolve))
        return HttpResponse.json(row({ name }), { status: 201 })
      }),
    )
    const gitlab = gitlabAt(createTime())
    const slow = sendCommitStatus(gitlab, { ...status, name: 'slow' })
    const after = sendCommitStatus(gitlab, { ...status, name: 'after' })
    await sendCommitStatus(gitlab, { ...status, sha: mergedSha, name: 'elsewhere' })
    await expect.poll(() => order.length).toBe(2)
    goOn()
    await Promise.all([slow, after])
    expect(order.at(-1)).toBe('a after')
    expect(order).toContain('f elsewhere')
  })

  test('after one that failed', async () => {
    const { gitlab } = script({ posts: [refused(401, '401 Unauthorized'), made()] })
    const first = sendCommitStatus(gitlab, status)
    const second = sendCommitStatus(gitlab, status)
    expect(await thrownBy(first)).toMatchObject({ kind: 'unauthorized' })
    expect((await second).outcome).toBe('sent')
  })
})

describe('a refused transition', () => {
  test.each([
    ['running', transition('run', 'running')],
    ['pending', transition('enqueue', 'pending')],
    ['pending', transition('enqueue', 'running')],
  ] as const)('to %s is there already: %j', async (state, answer) => {
    const { gitlab, posts, asked } = script({ posts: [answer] })
    expect(await sendCommitStatus(gitlab, { ...status, state })).toMatchObject({
      outcome: 'already there',
      pipelineId: 8,
    })
    expect(posts).toHaveLength(1)
    expect(asked).toEqual([])
  })

  test('to a final state that is shown is there already', async () => {
    const { gitlab, asked } = script({
      posts: [transition('success', 'success')],
      rows: [row({ status: 'success' }), row({ id: 99, status: 'failed' })],
    })
    expect(await sendCommitStatus(gitlab, { ...status, state: 'success' })).toMatchObject({
      outcome: 'already there',
      statusId: 100,
    })
    expect(asked).toEqual([
      `repository/commits/${sha}/statuses?name=compops/simulate&pipeline_id=8&page=1&per_page=100`,
    ])
  })

  test('to a final state that is not shown is tried once more, then told', async () => {
    const again = script({
      posts: [transition('drop', 'canceling'), made({ status: 'failed' })],
      rows: [row({ status: 'running' })],
    })
    expect((await sendCommitStatus(again.gitlab, { ...status, state: 'failed' })).outcome).toBe('sent')

    const never = script({
      posts: [transition('drop', 'canceling'), transition('drop', 'canceling')],
      rows: [row({ status: 'running' })],
    })
    expect(await sendCommitStatus(never.gitlab, { ...status, state: 'failed' })).toMatchObject({
      outcome: 'impossible',
      retryLater: 'perhaps',
      reason: expect.stringContaining('via :drop from :canceling'),
    })
  })

  test('from running to skipped, which GitLab does not know, becomes canceled', async () => {
    const { gitlab, posts } = script({
      posts: [transition('skip', 'running'), made({ status: 'canceled' })],
      rows: [row({ status: 'running' })],
    })
    expect(await sendCommitStatus(gitlab, { ...status, state: 'skipped' })).toMatchObject({
      outcome: 'sent',
      reason: 'GitLab cannot set running to skipped; shown as canceled',
    })
    expect(posts.map(post => post.body.state)).toEqual(['skipped', 'canceled'])
  })
})

describe('impossible', () => {
  test.each([
    [refused(400, { name: ['has already been taken'] }), 'a CI job of this pipeline is named', undefined],
    [refused(422, 'The number of jobs has exceeded the limit'), 'as many jobs as GitLab allows', undefined],
    [refused(404, '404 Commit Not Found'), 'the commit is gone', undefined],
    [refused(404, '404 References for commit Not Found'), 'the commit is gone', undefined],
    [refused(404, '404 Project Not Found'), 'the project is gone or the token cannot see it', 'rights'],
    [refused(403, '403 Forbidden'), 'may not set statuses here', 'rights'],
    [refused(400, { description: ['is odd'] }), 'description is odd', undefined],
  ])('%j', async (answer, reason, retryLater) => {
    const { gitlab, posts } = script({ posts: [answer] })
    const sent = await sendCommitStatus(gitlab, status)
    expect(sent).toMatchObject({ outcome: 'impossible', reason: expect.stringContaining(reason) })
    expect(sent.retryLater).toBe(retryLater)
    expect(posts).toHaveLength(1)
  })

  test('without pipeline and with a branch name that does not fit', async () => {
    const { gitlab, posts } = script({ posts: [] })
    const sent = await sendCommitStatus(gitlab, { ...status, branch: 'b'.repeat(256), pipelineId: null })
    expect(sent.outcome).toBe('impossible')
    expect(posts).toEqual([])
  })

  test('is only the link: the status is sent without', async () => {
    const { gitlab, posts } = script({
      posts: [refused(400, { target_url: ['is blocked: Requests to localhost are not allowed'] }), made()],
    })
    expect(await sendCommitStatus(gitlab, status)).toMatchObject({
      outcome: 'sent',
      reason: expect.stringContaining('refused the link'),
    })
    expect(posts[1]!.body).not.toHaveProperty('target_url')
  })
})

describe('a remembered pipeline that is not there', () => {
  const noPipeline = refused(404, '404 Pipeline for pipeline_id, sha and ref Not Found')

  test('is forgotten and another one found', async () => {
    const { gitlab, posts } = script({
      posts: [noPipeline, made({ pipeline_id: 12 })],
      pipelines: [
        { id: 8, ref: 'calc/a', sha, source: 'push' },
        { id: 12, ref: 'calc/a', sha, source: 'web' },
      ],
    })
    expect(await sendCommitStatus(gitlab, status)).toMatchObject({ outcome: 'sent', pipelineId: 12 })
    expect(posts.map(post => post.body.pipeline_id)).toEqual([8, 12])
  })

  test('is forgotten and the branch is named', async () => {
    const { gitlab, posts } = script({ posts: [noPipeline, made({ pipeline_id: 30 })] })
    expect(await sendCommitStatus(gitlab, status)).toMatchObject({ outcome: 'sent', pipelineId: 30 })
    expect(posts[1]!.body).toMatchObject({ ref: 'calc/a' })
    expect(posts[1]!.body).not.toHaveProperty('pipeline_id')
  })

  test('may be one of merged results: then its own sha is used', async () => {
    const { gitlab, posts } = script({
      posts: [noPipeline, made({ pipeline_id: 8 })],
      pipeline: { 8: { id: 8, ref: 'refs/merge-requests/4/merge', sha: mergedSha } },
    })
    expect(await sendCommitStatus(gitlab, { ...status, mergeRequestIid: 4 })).toMatchObject({
      outcome: 'sent',
      pipelineId: 8,
      pipelineSha: mergedSha,
    })
    expect(posts.map(post => post.sha)).toEqual([sha, mergedSha])
  })

  test('does not go on for ever', async () => {
    const { gitlab, posts } = script({
      posts: [noPipeline, noPipeline, noPipeline],
      pipelines: [{ id: 12, ref: 'calc/a', sha, source: 'push' }],
    })
    expect(await sendCommitStatus(gitlab, status)).toMatchObject({ outcome: 'impossible', retryLater: 'perhaps' })
    expect(posts).toHaveLength(3)
  })
})

describe('busy', () => {
  const busy = refused(409, '409 Another update to this commit status is in progress')

  test('is tried again, with growing pauses', async () => {
    const { gitlab, time } = script({ posts: [busy, refused(400, 'Failed to obtain a lock'), busy, made()] })
    expect((await sendCommitStatus(gitlab, status)).outcome).toBe('sent')
    expect(time.waits).toEqual([250, 500, 1_000])
  })

  test('for ten seconds is thrown as transient', async () => {
    const { gitlab, time, left } = script({ posts: Array.from({ length: 20 }, () => busy) })
    expect(await thrownBy(sendCommitStatus(gitlab, status))).toMatchObject({ kind: 'conflict', transient: true })
    expect(time.waits.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(10_000)
    expect(left.length).toBeGreaterThan(10)
  })
})

describe('a lost answer', () => {
  const lost = { status: 502, body: null }
  const done: StatusToSend = { ...status, state: 'success', description: 'completed' }

  test('is read back: it was done', async () => {
    const { gitlab, posts, asked } = script({
      posts: [lost],
      rows: [row({ status: 'success', description: 'completed' }), row({ id: 90, status: 'running' })],
    })
    expect(await sendCommitStatus(gitlab, done)).toMatchObject({ outcome: 'sent', statusId: 100, pipelineId: 8 })
    expect(posts).toHaveLength(1)
    expect(asked).toHaveLength(1)
  })

  test('is read back: it was not done, and is repeated once', async () => {
    const { gitlab, posts } = script({ posts: [lost, made({ status: 'success' })], rows: [row()] })
    expect((await sendCommitStatus(gitlab, done)).outcome).toBe('sent')
    expect(posts).toHaveLength(2)
  })

  test('of an older run that ended alike does not count', async () => {
    const { gitlab, posts } = script({
      posts: [lost, made({ status: 'success' })],
      rows: [row({ status: 'success', description: 'another one' })],
    })
    await sendCommitStatus(gitlab, done)
    expect(posts).toHaveLength(2)
  })

  test('of the first status tells the pipeline that GitLab made for it', async () => {
    const { gitlab } = script({
      posts: [lost],
      rows: [row({ status: 'success', description: 'completed', pipeline_id: 31 })],
    })
    expect(await sendCommitStatus(gitlab, { ...done, pipelineId: null })).toMatchObject({
      outcome: 'sent',
      pipelineId: 31,
    })
  })

  test('that cannot be read back is thrown, and read back first the next time', async () => {
    const { gitlab, posts, time } = script({
      posts: [lost],
      rows: [row({ status: 'success', description: 'completed' })],
    })
    let down = true
    server.use(
      http.get(`${api}/projects/1/repository/commits/:sha/statuses`, () =>
        down ? new HttpResponse(null, { status: 502 }) : undefined,
      ),
    )
    expect(await thrownBy(sendCommitStatus(gitlab, done))).toMatchObject({
      kind: 'unreachable',
      transient: true,
      maybeDone: true,
    })
    down = false
    time.pass(60_000)
    expect((await sendCommitStatus(gitlab, done)).outcome).toBe('sent')
    expect(posts).toHaveLength(1)
  })

  test('twice is thrown', async () => {
    const { gitlab, posts } = script({ posts: [lost, lost, made()], rows: [row()] })
    expect(await thrownBy(sendCommitStatus(gitlab, done))).toMatchObject({ kind: 'unreachable', transient: true })
    expect(posts).toHaveLength(2)
  })
})

describe('thrown, for the caller to try later', () => {
  test.each([
    [refused(401, '401 Unauthorized'), 'unauthorized', false],
    [refused(429, 'Too many'), 'rate limited', true],
  ])('%j', async (answer, kind, transient) => {
    const { gitlab } = script({ posts: [answer] })
    expect(await thrownBy(sendCommitStatus(gitlab, status))).toMatchObject({ kind, transient })
  })
})
