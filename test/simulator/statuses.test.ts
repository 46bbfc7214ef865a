import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Call, Listener, Stage } from './stage.ts'
import { listenToHooks, setStage } from './stage.ts'

/** The commit status algorithm, row by row as GitLab's service has it. */

let stage: Stage
let hooks: Listener
let bot: Call
let count = 0

beforeAll(async () => {
  stage = await setStage()
  hooks = await listenToHooks()
  bot = stage.as(stage.tokens.bot)
  stage.sim.addHook(stage.projectId, { url: hooks.url, push: false, pipelines: true, jobs: true })
})
afterAll(async () => {
  await stage[Symbol.asyncDispose]()
  await hooks[Symbol.asyncDispose]()
})

async function commit(files: Record<string, string> = {}, branch?: string): Promise<{ sha: string; branch: string }> {
  count += 1
  const name = branch ?? `calc/${count}`
  const sha = await stage.sim.commit({
    projectId: stage.projectId,
    branch: name,
    files: { 'n.txt': `${count}`, ...files },
    message: `n ${count}`,
    authorId: stage.ids.alice,
  })
  await stage.sim.idle()
  return { sha, branch: name }
}

const post = (sha: string, body: object, call = bot) =>
  call('POST', `/projects/${stage.projectId}/statuses/${sha}`, body)
const CI = { '.gitlab-ci.yml': 'lint:\n  script: [make lint]\n' }

describe('states', () => {
  const cannot = (event: string, from: string) =>
    `Cannot transition status via :${event} from :${from} (Reason(s): Status cannot transition via "${event}")`
  const table: [sent: string[], last: number | string, rows: string[]][] = [
    [['pending'], 201, ['pending']],
    [['running'], 201, ['running']],
    [['pending', 'running', 'success'], 201, ['success']],
    [['success'], 201, ['success']],
    [['running', 'running'], cannot('run', 'running'), ['running']],
    [['pending', 'pending'], cannot('enqueue', 'pending'), ['pending']],
    [['running', 'pending'], cannot('enqueue', 'running'), ['running']],
    [['running', 'skipped'], cannot('skip', 'running'), ['running']],
    [['pending', 'skipped'], 201, ['skipped']],
    [['running', 'canceled'], 201, ['canceled']],
    [['success', 'failed'], 201, ['success', 'failed']],
    [['failed', 'running', 'success'], 201, ['failed', 'success']],
    [['success', 'success'], 201, ['success', 'success']],
  ]

  it.each(table)('%j', async (sent, last, rows) => {
    const { sha } = await commit()
    let answer = await post(sha, { state: sent[0], name: 'compops/a' })
    for (const state of sent.slice(1)) answer = await post(sha, { state, name: 'compops/a' })
    if (typeof last === 'number') expect(answer.status).toBe(last)
    else expect(answer).toMatchObject({ status: 400, body: { message: last } })
    const all = stage.sim.statuses(stage.projectId, sha, { all: true })
    expect(all.map(job => job.status)).toEqual(rows)
    expect(stage.sim.statuses(stage.projectId, sha).map(job => job.status)).toEqual(rows.slice(-1))
  })

  it('keeps the first description while the state stays', async () => {
    const { sha } = await commit()
    await post(sha, { state: 'running', name: 'a', description: 'first' })
    await post(sha, { state: 'running', name: 'a', description: 'second' })
    expect(stage.sim.statuses(stage.projectId, sha)).toMatchObject([{ status: 'running', description: 'first' }])
    await post(sha, { state: 'success', name: 'a', description: 'third' })
    expect(stage.sim.statuses(stage.projectId, sha)).toMatchObject([{ status: 'success', description: 'third' }])
  })

  it('another author is another row, and the older one is retried', async () => {
    const { sha } = await commit()
    await post(sha, { state: 'running', name: 'a' })
    await post(sha, { state: 'running', name: 'a' }, stage.as(stage.tokens.alice))
    expect(stage.sim.statuses(stage.projectId, sha, { all: true })).toMatchObject([
      { status: 'running', userId: stage.ids.bot, retried: true },
      { status: 'running', userId: stage.ids.alice, retried: false },
    ])
  })
})

describe('pipelines', () => {
  it('without one, a new external pipeline on the first branch that holds the commit', async () => {
    const { sha, branch } = await commit()
    await post(sha, { state: 'running', name: 'a' })
    await post(sha, { state: 'success', name: 'b' })
    expect(stage.sim.pipelines(stage.projectId).filter(p => p.sha === sha)).toMatchObject([
      { source: 'external', ref: branch, status: 'running' },
    ])
    await post(sha, { state: 'success', name: 'a' })
    await stage.sim.idle()
    const told = hooks.received.map(r => r.body).filter(b => b.object_attributes?.sha === sha)
    expect(told.map(b => b.object_attributes?.status)).toEqual(['running', 'success'])
    expect(told[0]).toMatchObject({
      object_kind: 'pipeline',
      object_attributes: { source: 'external' },
      merge_request: null,
    })
  })

  it('with the CI pipeline of the branch, joins it', async () => {
    const { sha, branch } = await commit(CI)
    await post(sha, { state: 'failed', name: 'a', ref: branch })
    expect(stage.sim.pipelines(stage.projectId).filter(p => p.sha === sha)).toMatchObject([
      { source: 'push', ref: branch, status: 'failed' },
    ])
  })

  it('a ref never matches a merge request pipeline, its id does', async () => {
    const { sha, branch } = await commit({
      '.gitlab-ci.yml': 'lint:\n  script: [x]\n  rules: [{ if: $CI_PIPELINE_SOURCE == "merge_request_event" }]\n',
    })
    const mr = await stage.sim.createMergeRequest({
      projectId: stage.projectId,
      sourceBranch: branch,
      targetBranch: 'main',
      title: 'x',
      authorId: stage.ids.alice,
    })
    await stage.sim.idle()
    const mine = () => stage.sim.pipelines(stage.projectId).filter(p => p.sha === sha)
    const [own] = mine()
    expect(own).toMatchObject({ source: 'merge_request_event', ref: `refs/merge-requests/${mr.iid}/head` })
    await post(sha, { state: 'success', name: 'a', pipeline_id: own?.id })
    expect(mine()).toHaveLength(1)
    const both = await post(sha, { state: 'success', name: 'a', pipeline_id: own?.id, ref: branch })
    expect(both).toMatchObject({
      status: 404,
      body: { message: '404 Pipeline for pipeline_id, sha and ref Not Found' },
    })
    await post(sha, { state: 'success', name: 'a', ref: branch })
    expect(mine().map(p => p.source)).toEqual(['merge_request_event', 'external'])
    const shown = await bot('GET', `/projects/${stage.projectId}/merge_requests/${mr.iid}`)
    expect(shown.body).toMatchObject({ head_pipeline: { id: own?.id } })
  })

  it('reading mixes all pipelines of the sha, unless asked', async () => {
    const { sha, branch } = await commit(CI)
    await post(sha, { state: 'success', name: 'a', ref: branch })
    await post(sha, { state: 'success', name: 'a', ref: 'elsewhere' })
    const path = `/projects/${stage.projectId}/repository/commits/${sha}/statuses`
    const read = async (query: string) =>
      (await bot<{ name: string; ref: string }[]>('GET', `${path}${query}`)).body.map(s => `${s.name} ${s.ref}`)
    expect(await read('')).toEqual([`lint ${branch}`, `a ${branch}`, 'a elsewhere'])
    expect(await read('?ref=elsewhere')).toEqual(['a elsewhere'])
    expect(await read('?name=lint')).toEqual([`lint ${branch}`])
  })

  it('over the limit: a new pipeline, or 422 when one was named', async () => {
    const { sha } = await commit()
    stage.sim.settings.ciPipelineSize = 1
    try {
      const first = await post(sha, { state: 'running', name: 'a' })
      const named = await post(sha, { state: 'running', name: 'b', pipeline_id: first.body.pipeline_id })
      expect(named).toMatchObject({ status: 422, body: { message: 'The number of jobs has exceeded the limit' } })
      const other = await post(sha, { state: 'running', name: 'b' })
      expect(other.body.pipeline_id).not.toBe(first.body.pipeline_id)
    } finally {
      stage.sim.settings.ciPipelineSize = 0
    }
  })

  it('a pipeline of the limit still takes the row it has', async () => {
    const { sha } = await commit()
    stage.sim.settings.ciPipelineSize = 1
    const first = await post(sha, { state: 'running', name: 'a' })
    const again = await post(sha, { state: 'success', name: 'a', pipeline_id: first.body.pipeline_id })
    stage.sim.settings.ciPipelineSize = 0
    expect(again).toMatchObject({ status: 201, body: { id: first.body.id, status: 'success' } })
  })
})

describe('refusals', () => {
  const long = 'x'.repeat(256)
  const tooLong = ['is too long (maximum is 255 characters)']
  const table: [body: object, status: number, answer: object][] = [
    [{}, 400, { error: 'state is missing, state does not have a valid value' }],
    [{ state: 'done' }, 400, { error: 'state does not have a valid value' }],
    [{ state: 'success', pipeline_id: 'x' }, 400, { error: 'pipeline_id is invalid' }],
    [{ state: 'success', pipeline_id: 999 }, 404, { message: '404 Pipeline for pipeline_id, sha and ref Not Found' }],
    [{ state: 'success', name: 'lint' }, 400, { message: { name: ['has already been taken'] } }],
    [{ state: 'success', description: long }, 400, { message: { description: tooLong } }],
    [{ state: 'success', target_url: `http://a/${long}` }, 400, { message: { target_url: tooLong } }],
    [
      { state: 'success', target_url: 'javascript:alert(1)' },
      400,
      { message: { target_url: ['is blocked: Only allowed schemes are http, https'] } },
    ],
  ]

  it.each(table)('%j', async (body, status, answer) => {
    const { sha } = await commit(CI, 'refusals')
    expect(await post(sha, body)).toMatchObject({ status, body: answer })
  })

  it('an unknown commit, too low a role, a protected branch, a stranger', async () => {
    const { sha } = await commit()
    expect(await post('0'.repeat(40), { state: 'success' })).toMatchObject({
      status: 404,
      body: { message: '404 Commit Not Found' },
    })
    expect(await post(sha, { state: 'success' }, stage.as(stage.tokens.reporter))).toMatchObject({
      status: 403,
      body: { message: '403 Forbidden' },
    })
    const [main] = await stage.sim.commits(stage.projectId, 'main')
    expect(await post(main?.id ?? '', { state: 'success', ref: 'main' })).toMatchObject({ status: 403 })
    expect(await post(sha, { state: 'success' }, stage.as(stage.tokens.stranger))).toMatchObject({
      status: 404,
      body: { message: '404 Project Not Found' },
    })
  })

  it('a commit that no branch holds', async () => {
    const { sha, branch } = await commit()
    await stage.sim.deleteBranch(stage.projectId, branch, stage.ids.alice)
    expect(await post(sha, { state: 'success' })).toMatchObject({
      status: 404,
      body: { message: '404 References for commit Not Found' },
    })
  })

  it('two at once on one commit: the second waits, and gives up', async () => {
    const { sha } = await commit()
    Object.assign(stage.sim.settings, { statusWorkMs: 60, statusLeaseTries: 4_000, statusLeaseSleepMs: 5 })
    const both = await Promise.all(['a', 'b'].map(name => post(sha, { state: 'running', name })))
    expect(both.map(answer => answer.status)).toEqual([201, 201])
    Object.assign(stage.sim.settings, { statusWorkMs: 1_500, statusLeaseTries: 2, statusLeaseSleepMs: 1 })
    const refused = await Promise.all(['c', 'd'].map(name => post(sha, { state: 'running', name })))
    Object.assign(stage.sim.settings, { statusWorkMs: 0, statusLeaseTries: 20 })
    expect(refused.map(answer => answer.status).toSorted()).toEqual([201, 409])
    expect(refused.find(answer => answer.status === 409)?.body).toEqual({
      message: 'Another update to this commit status is in progress',
    })
  })
})
