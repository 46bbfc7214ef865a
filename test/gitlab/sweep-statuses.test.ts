import { HttpResponse, http } from 'msw'
import { expect, test } from 'vitest'
import { sweepStatuses } from '../../src/gitlab/gitlab.ts'
import { api, createTime, gitlabAt, interceptGitLab } from './support.ts'

const server = interceptGitLab()
const sha = 'a'.repeat(40)

interface Row {
  id: number
  name: string
  status: string
  pipeline_id: number
  author: { id: number }
  ref: string
  retried?: boolean
}

/** As GitLab keeps them: an unfinished row is finished by its own user, anybody else's POST makes a new row that retires the old ones. */
function rowsOf(rows: Row[], me: number, refuse: (name: string) => boolean = () => false) {
  const posts: unknown[] = []
  server.use(
    http.get(`${api}/projects/1/repository/commits/${sha}/statuses`, ({ request }) => {
      const pipeline = new URL(request.url).searchParams.get('pipeline_id')
      return HttpResponse.json(
        rows.filter(
          row => row.retried !== true && (pipeline === null || row.pipeline_id === Number(pipeline)),
        ) as never,
      )
    }),
    http.post(`${api}/projects/1/statuses/${sha}`, async ({ request }) => {
      const body = (await request.json()) as { name: string; state: string; pipeline_id: number }
      posts.push([body.name, body.state, body.pipeline_id])
      if (refuse(body.name)) return HttpResponse.json({ message: '403 Forbidden' }, { status: 403 })
      const same = (row: Row) => row.name === body.name && row.pipeline_id === body.pipeline_id && row.retried !== true
      const open = rows.find(row => same(row) && row.author.id === me && ['pending', 'running'].includes(row.status))
      if (open !== undefined) {
        open.status = body.state
        return HttpResponse.json(open as never, { status: 201 })
      }
      for (const row of rows.filter(same)) row.retried = true
      const fresh: Row = {
        ...rows[0]!,
        id: 1000 + rows.length,
        name: body.name,
        status: body.state,
        author: { id: me },
      }
      fresh.pipeline_id = body.pipeline_id
      delete fresh.retried
      rows.push(fresh)
      return HttpResponse.json(fresh as never, { status: 201 })
    }),
  )
  return posts
}

const row = (id: number, name: string, status: string, pipeline_id = 8, author = 7, ref = 'calc/a'): Row => ({
  id,
  name,
  status,
  pipeline_id,
  author: { id: author },
  ref,
})

const sweep = {
  projectId: 1,
  sha,
  pipelineId: null,
  ours: 'compops/',
  branch: 'calc/a',
  mergeRequests: [4],
  finalStates: new Map([
    ['compops/mesh', 'success'],
    ['compops/simulate', 'failed'],
  ] as const),
}

test("closes what is unfinished and ours, in its own pipeline, a former bot's too", async () => {
  const posts = rowsOf(
    [
      row(1, 'compops/mesh', 'running'),
      row(2, 'compops/simulate', 'pending', 9),
      row(3, 'compops/unknown', 'running'),
      row(4, 'compops/mesh', 'running', 10, 66),
      row(5, 'compops/done', 'success'),
      row(6, 'lint', 'running'),
      row(7, 'other/compops/', 'running'),
    ],
    7,
  )
  expect(await sweepStatuses(gitlabAt(createTime()), sweep)).toEqual({
    closed: ['compops/mesh', 'compops/simulate', 'compops/unknown', 'compops/mesh'],
    open: [],
  })
  expect(posts).toEqual([
    ['compops/mesh', 'success', 8],
    ['compops/simulate', 'failed', 9],
    ['compops/unknown', 'canceled', 8],
    ['compops/mesh', 'success', 10],
  ])
})

test('leaves the statuses of other branches at the same commit alone, whatever their names', async () => {
  const posts = rowsOf(
    [
      row(1, 'compops/mesh', 'running'),
      row(2, 'compops/mesh', 'running', 9, 7, 'calc/b'),
      row(3, 'compops/mesh', 'pending', 10, 7, 'refs/merge-requests/4/head'),
      row(4, 'compops/mesh', 'pending', 11, 7, 'refs/merge-requests/5/head'),
      row(5, 'compops/mesh', 'pending', 12, 7, 'refs/merge-requests/44/merge'),
    ],
    7,
  )
  expect(await sweepStatuses(gitlabAt(createTime()), sweep)).toEqual({
    closed: ['compops/mesh', 'compops/mesh'],
    open: [],
  })
  expect(posts).toEqual([
    ['compops/mesh', 'success', 8],
    ['compops/mesh', 'success', 10],
  ])
})

test('only in the pipeline that is named', async () => {
  const posts = rowsOf([row(1, 'compops/mesh', 'running'), row(2, 'compops/mesh', 'running', 9)], 7)
  await sweepStatuses(gitlabAt(createTime()), { ...sweep, pipelineId: 9 })
  expect(posts).toEqual([['compops/mesh', 'success', 9]])
})

test('tells what stays open, and why', async () => {
  rowsOf([row(1, 'compops/mesh', 'running'), row(2, 'compops/simulate', 'running')], 7, name => name === 'compops/mesh')
  expect(await sweepStatuses(gitlabAt(createTime()), sweep)).toEqual({
    closed: ['compops/simulate'],
    open: [{ name: 'compops/mesh', pipelineId: 8, reason: expect.stringContaining('403 Forbidden') }],
  })
})

test('nothing to do is one call', async () => {
  rowsOf([row(5, 'compops/done', 'success')], 7)
  const gitlab = gitlabAt(createTime())
  expect(await sweepStatuses(gitlab, sweep)).toEqual({ closed: [], open: [] })
  expect(gitlab.counts().map(call => call.count)).toEqual([1])
})

test('a commit that is gone took its statuses along', async () => {
  server.use(
    http.get(`${api}/projects/1/repository/commits/${sha}/statuses`, () =>
      HttpResponse.json({ message: '404 Commit Not Found' }, { status: 404 }),
    ),
  )
  expect(await sweepStatuses(gitlabAt(createTime()), sweep)).toEqual({ closed: [], open: [] })
})
