import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Call, Listener, Stage } from './stage.ts'
import { listenToHooks, remote, setStage } from './stage.ts'

let stage: Stage
let hooks: Listener
let alice: Call
let bot: Call
let path: string
let count = 0

beforeAll(async () => {
  stage = await setStage()
  hooks = await listenToHooks()
  alice = stage.as(stage.tokens.alice)
  bot = stage.as(stage.tokens.bot)
  path = `/projects/${stage.projectId}/merge_requests`
  stage.sim.addHook(stage.projectId, {
    url: hooks.url,
    push: true,
    mergeRequests: true,
    notes: true,
    pipelines: true,
    jobs: true,
  })
})
afterAll(async () => {
  await stage[Symbol.asyncDispose]()
  await hooks[Symbol.asyncDispose]()
})

const commit = (branch: string, files: Record<string, string> = {}, message = 'work') =>
  stage.sim.commit({
    projectId: stage.projectId,
    branch,
    files: { [`${branch}.txt`]: String(++count), ...files },
    message,
    authorId: stage.ids.alice,
  })

async function open(branch: string, more: object = {}) {
  await commit(branch)
  const answer = await alice('POST', path, {
    source_branch: branch,
    target_branch: 'main',
    title: `About ${branch}`,
    ...more,
  })
  expect(answer.status).toBe(201)
  return answer.body as { iid: number; sha: string }
}

/** What was delivered since the last look, as `kind action`. */
let seen = 0
async function heard(): Promise<
  { what: string; attributes: Record<string, unknown>; body: (typeof hooks.received)[0]['body'] }[]
> {
  await stage.sim.idle()
  const fresh = hooks.received.slice(seen)
  seen = hooks.received.length
  return fresh.map(({ body }) => {
    const attributes = body.object_attributes ?? {}
    return {
      what: `${body.object_kind} ${attributes.action ?? attributes.status ?? body.ref ?? ''}`.trim(),
      attributes,
      body,
    }
  })
}

describe('the life of a merge request', () => {
  it('opens, grows, is renamed, gets ready, closes, reopens, merges', async () => {
    const mr = await open('calc/life', { title: 'Draft: Life' })
    expect((await heard()).map(e => e.what)).toEqual(['push refs/heads/calc/life', 'merge_request open'])

    const first = mr.sha
    const second = await commit('calc/life')
    const pushed = await heard()
    expect(pushed.map(e => [e.what, e.attributes.oldrev])).toEqual([
      ['push refs/heads/calc/life', undefined],
      ['merge_request update', first],
      ['merge_request update', undefined],
    ])
    expect(pushed[1]?.attributes.last_commit).toMatchObject({ id: second, title: 'work' })

    await alice('PUT', `${path}/${mr.iid}`, { title: 'Life' })
    const [ready] = await heard()
    expect(ready).toMatchObject({ what: 'merge_request update', attributes: { draft: false, title: 'Life' } })
    expect(ready?.body.changes).toMatchObject({
      title: { previous: 'Draft: Life', current: 'Life' },
      draft: { previous: true, current: false },
    })
    expect(ready?.attributes).not.toHaveProperty('oldrev')

    await alice('PUT', `${path}/${mr.iid}`, { state_event: 'close' })
    await alice('PUT', `${path}/${mr.iid}`, { state_event: 'close' })
    await alice('PUT', `${path}/${mr.iid}`, { state_event: 'reopen' })
    expect((await heard()).map(e => [e.what, e.attributes.state])).toEqual([
      ['merge_request close', 'closed'],
      ['merge_request reopen', 'opened'],
    ])

    expect(await bot('PUT', `${path}/${mr.iid}/merge`)).toMatchObject({ status: 401 })
    expect(await alice('PUT', `${path}/${mr.iid}/merge`, { sha: first })).toMatchObject({
      status: 409,
      body: { message: `SHA does not match HEAD of source branch: ${second}` },
    })
    const merged = await alice('PUT', `${path}/${mr.iid}/merge`, { should_remove_source_branch: true })
    expect(merged).toMatchObject({ status: 200, body: { state: 'merged', merge_user: { username: 'alice' } } })
    const [head] = await stage.sim.commits(stage.projectId, 'main')
    expect(head).toMatchObject({ id: merged.body.merge_commit_sha, title: "Merge branch 'calc/life' into 'main'" })
    expect(head?.parents[1]).toBe(second)
    expect((await heard()).map(e => e.what).toSorted()).toEqual([
      'merge_request merge',
      'push refs/heads/calc/life',
      'push refs/heads/main',
    ])
    expect(await alice('PUT', `${path}/${mr.iid}/merge`)).toMatchObject({ status: 405 })
    const notes = await bot<{ body: string; system: boolean }[]>('GET', `${path}/${mr.iid}/notes?sort=asc`)
    expect(notes.body.map(n => n.body)).toEqual([
      'added 1 commit',
      'marked this merge request as **ready**',
      'closed',
      'reopened',
      'merged',
    ])
    expect(notes.body.every(n => n.system)).toBe(true)
  })

  it('refuses what cannot be', async () => {
    const mr = await open('calc/twice')
    const body = { source_branch: 'calc/twice', target_branch: 'main', title: 'again' }
    expect(await alice('POST', path, body)).toMatchObject({
      status: 409,
      body: { message: [`Another open merge request already exists for this source branch: !${mr.iid}`] },
    })
    expect((await alice('POST', path, { ...body, target_branch: 'calc/twice' })).status).toBe(422)
    expect((await alice('POST', path, { ...body, source_branch: 'nowhere' })).status).toBe(400)
    expect(await alice('POST', path, { source_branch: 'x', target_branch: 'main' })).toMatchObject({
      body: { error: 'title is missing' },
    })
    expect((await stage.as(stage.tokens.reporter)('POST', path, body)).status).toBe(403)
    expect((await stage.as(stage.tokens.reporter)('PUT', `${path}/${mr.iid}`, { title: 'mine' })).status).toBe(403)
  })

  it('a conflict cannot be merged', async () => {
    await commit('calc/conflict', { 'same.txt': 'one\n' })
    await commit('main', { 'same.txt': 'two\n' })
    const mr = await stage.sim.createMergeRequest({
      projectId: stage.projectId,
      sourceBranch: 'calc/conflict',
      targetBranch: 'main',
      title: 'Conflict',
      authorId: stage.ids.alice,
    })
    expect(await alice('PUT', `${path}/${mr.iid}/merge`)).toMatchObject({
      status: 422,
      body: { message: 'Branch cannot be merged' },
    })
  })

  it('is merged when somebody pushes the merge by hand', async () => {
    const mr = await open('calc/by-hand')
    await stage.git('clone', '-q', remote(stage, 'alice'), 'heat')
    await stage.git('-C', 'heat', 'merge', '-q', '--no-ff', '-m', 'by hand', 'origin/calc/by-hand')
    await stage.git('-C', 'heat', 'push', '-q', 'origin', 'HEAD:main')
    await stage.sim.idle()
    expect(stage.sim.mergeRequest(stage.projectId, mr.iid).state).toBe('merged')
  })

  it('says what it brings', async () => {
    const mr = await open('calc/brings')
    const commits = await bot<{ id: string }[]>('GET', `${path}/${mr.iid}/commits`)
    expect(commits.body.map(c => c.id)).toEqual([mr.sha])
    const changes = await bot<{ changes: unknown[] }>('GET', `${path}/${mr.iid}/changes`)
    expect(changes.body.changes).toMatchObject([{ new_path: 'calc/brings.txt', new_file: true }])
    expect((await bot('GET', `${path}/${mr.iid}`)).body).toMatchObject({
      changes_count: '1',
      diff_refs: { head_sha: mr.sha },
    })
    expect((await bot<unknown[]>('GET', `${path}?state=opened&source_branch=calc/brings`)).body).toMatchObject([
      { iid: mr.iid },
    ])
  })
})

describe('pipelines', () => {
  const CI = 'stages: [one, two]\na:\n  stage: one\n  script: [x]\nb:\n  stage: two\n  script: [x]\n'
  const own = (sha: string) => stage.sim.pipelines(stage.projectId).filter(p => p.sha === sha)

  it('run their stages one after the other and tell about it', async () => {
    await heard()
    const sha = await commit('ci/run', { '.gitlab-ci.yml': CI })
    const told = await heard()
    expect(told.filter(e => e.body.object_kind === 'pipeline').map(e => e.what)).toEqual([
      'pipeline pending',
      'pipeline running',
      'pipeline success',
    ])
    const builds = told
      .filter(e => e.body.object_kind === 'build')
      .map(e => `${e.body.build_name} ${e.body.build_status}`)
    expect(builds).toEqual(['a pending', 'a running', 'a success', 'b pending', 'b running', 'b success'])
    expect(own(sha)).toMatchObject([{ source: 'push', status: 'success', ref: 'ci/run' }])
  })

  it('are skipped by a marker or a push option, but a merge request pipeline is not', async () => {
    const both = `${CI}c:\n  script: [x]\n  rules: [{ if: '$CI_PIPELINE_SOURCE == "merge_request_event"' }]\n  stage: one\n`
    const marked = await commit('ci/marked', { '.gitlab-ci.yml': both }, 'evidence [skip ci]')
    await stage.sim.idle()
    expect(own(marked)).toMatchObject([{ status: 'skipped', jobs: [] }])
    const sha = await stage.sim.commit({
      projectId: stage.projectId,
      branch: 'ci/option',
      files: { '.gitlab-ci.yml': both },
      message: 'evidence',
      authorId: stage.ids.alice,
      pushOptions: ['ci.skip'],
    })
    await alice('POST', path, { source_branch: 'ci/option', target_branch: 'main', title: 'x' })
    await stage.sim.idle()
    expect(own(sha)).toMatchObject([
      { source: 'push', status: 'skipped' },
      { source: 'merge_request_event', status: 'success' },
    ])
  })

  it('wait, are held, are cancelled, and show what is wrong with the file', async () => {
    stage.sim.settings.ciHold = true
    const sha = await commit('ci/held', { '.gitlab-ci.yml': CI })
    await stage.sim.idle()
    expect(own(sha)).toEqual([])
    stage.sim.settings.ciJobs = 'wait'
    stage.sim.releasePipelines()
    await stage.sim.idle()
    const [pipeline] = own(sha)
    expect(pipeline).toMatchObject({ status: 'pending', jobs: [{ status: 'pending' }, { status: 'created' }] })
    stage.sim.finishJob(pipeline?.jobs[0]?.id ?? 0, 'failed')
    expect(pipeline).toMatchObject({ status: 'failed', jobs: [{ status: 'failed' }, { status: 'skipped' }] })
    const again = await bot('POST', `/projects/${stage.projectId}/pipeline`, { ref: 'ci/held' })
    expect(again).toMatchObject({ status: 201, body: { source: 'api', status: 'pending' } })
    const cancelled = await bot('POST', `/projects/${stage.projectId}/pipelines/${again.body.id}/cancel`)
    expect(cancelled).toMatchObject({ status: 200, body: { status: 'canceled' } })
    stage.sim.settings.ciJobs = 'succeed'
    const wrong = await commit('ci/wrong', { '.gitlab-ci.yml': 'a: { scrip: [x] }\n' })
    await stage.sim.idle()
    expect(own(wrong)).toMatchObject([{ status: 'failed', yamlErrors: expect.stringContaining('jobs:a') }])
    expect(await bot('POST', `/projects/${stage.projectId}/pipeline`, { ref: 'calc/brings' })).toMatchObject({
      status: 400,
      body: { message: { base: ['Missing CI config file'] } },
    })
  })

  it('hold a merge back where they must succeed', async () => {
    const strict = stage.sim.createProject({ path: 'physics/strict', onlyAllowMergeIfPipelineSucceeds: true })
    stage.sim.addMember(strict.id, stage.ids.alice, 40)
    const work = { projectId: strict.id, authorId: stage.ids.alice, message: 'x' }
    await stage.sim.commit({ ...work, branch: 'main', files: { a: '1' } })
    const sha = await stage.sim.commit({ ...work, branch: 'b', files: { a: '2' } })
    const mr = await stage.sim.createMergeRequest({
      projectId: strict.id,
      sourceBranch: 'b',
      targetBranch: 'main',
      title: 'x',
      authorId: stage.ids.alice,
    })
    const status = async () =>
      (await alice('GET', `/projects/${strict.id}/merge_requests/${mr.iid}`)).body.detailed_merge_status
    expect(await status()).toBe('ci_must_pass')
    await alice('POST', `/projects/${strict.id}/statuses/${sha}`, { state: 'running', ref: 'b' })
    expect(await status()).toBe('ci_still_running')
    expect((await alice('PUT', `/projects/${strict.id}/merge_requests/${mr.iid}/merge`)).status).toBe(405)
    await alice('POST', `/projects/${strict.id}/statuses/${sha}`, { state: 'success', ref: 'b' })
    expect(await status()).toBe('mergeable')
    expect((await alice('PUT', `/projects/${strict.id}/merge_requests/${mr.iid}/merge`)).status).toBe(200)
  })
})

describe('forks', () => {
  it('bring their commits over, and their pipelines live at home', async () => {
    const fork = await stage.sim.createFork(stage.projectId, 'stranger/heat', stage.ids.stranger)
    stage.sim.addMember(stage.projectId, stage.ids.stranger, 20)
    const sha = await stage.sim.commit({
      projectId: fork.id,
      branch: 'mine',
      files: { mine: 'x' },
      message: 'mine',
      authorId: stage.ids.stranger,
    })
    const opened = await stage.as(stage.tokens.stranger)('POST', `/projects/${fork.id}/merge_requests`, {
      source_branch: 'mine',
      target_branch: 'main',
      target_project_id: stage.projectId,
      title: 'From outside',
    })
    expect(opened).toMatchObject({
      status: 201,
      body: { project_id: stage.projectId, source_project_id: fork.id, sha },
    })
    expect((await bot('GET', `/projects/${stage.projectId}/repository/commits/${sha}`)).status).toBe(200)
    const refused = await bot('POST', `/projects/${fork.id}/statuses/${sha}`, { state: 'success' })
    expect(refused.status).toBe(404)
    stage.sim.addMember(fork.id, stage.ids.bot, 30)
    const status = await bot('POST', `/projects/${fork.id}/statuses/${sha}`, { state: 'success' })
    const shown = await bot('GET', `${path}/${opened.body.iid}`)
    expect(shown.body).toMatchObject({ head_pipeline: { id: status.body.pipeline_id, project_id: fork.id } })
    stage.sim.removeMember(stage.projectId, stage.ids.stranger)
  })
})

describe('notes', () => {
  it('are written, edited and deleted by their author, and every one is told', async () => {
    const mr = await open('calc/notes')
    const notes = `${path}/${mr.iid}/notes`
    await heard()
    const made = await bot('POST', notes, { body: '<!-- compops --> hello' })
    expect(made).toMatchObject({
      status: 201,
      body: { author: { id: stage.ids.bot }, system: false, noteable_iid: mr.iid },
    })
    const note = `${notes}/${made.body.id}`
    expect((await bot('PUT', note, { body: 'edited' })).body).toMatchObject({ body: 'edited' })
    const told = await heard()
    expect(told.map(e => [e.what, e.attributes.note])).toEqual([
      ['note create', '<!-- compops --> hello'],
      ['note update', 'edited'],
    ])
    expect(told[0]?.body).toMatchObject({
      user: { id: stage.ids.bot },
      merge_request: { iid: mr.iid, source_branch: 'calc/notes' },
    })
    const reporter = stage.as(stage.tokens.reporter)
    expect(await reporter('PUT', note, { body: 'mine' })).toMatchObject({
      status: 403,
      body: { message: '403 Forbidden' },
    })
    expect((await reporter('DELETE', note)).status).toBe(403)
    expect((await bot('DELETE', note)).status).toBe(204)
    expect(await bot('GET', note)).toMatchObject({ status: 404, body: { message: '404 Not found' } })
  })

  it('refuses nothing, everything at once, and whoever may not see', async () => {
    const { iid } = await open('calc/notes2')
    const notes = `${path}/${iid}/notes`
    expect((await bot('POST', notes, {})).body).toEqual({ error: 'body is missing' })
    expect(await bot('POST', notes, { body: ' ' })).toMatchObject({
      status: 400,
      body: { message: '400 Bad request - Note {:note=>["can\'t be blank"]}' },
    })
    expect((await bot('POST', notes, { body: 'x'.repeat(1_000_001) })).status).toBe(400)
    expect((await stage.as(stage.tokens.guest)('POST', notes, { body: 'x' })).status).toBe(403)
    expect((await stage.as(stage.tokens.stranger)('POST', notes, { body: 'x' })).status).toBe(404)
    expect((await bot('POST', `${path}/999/notes`, { body: 'x' })).body).toEqual({ message: '404 Not found' })
  })

  it('quick actions are obeyed, not stored; a command of ours is text', async () => {
    const { iid } = await open('calc/quick')
    const notes = `${path}/${iid}/notes`
    const closed = await alice('POST', notes, { body: '/close' })
    expect(closed).toMatchObject({ status: 202, body: { commands_changes: { close: true } } })
    expect(stage.sim.mergeRequest(stage.projectId, iid).state).toBe('closed')
    const mixed = await alice('POST', notes, { body: 'Back again\n/reopen\n/compops run\n```\n/close\n```' })
    expect(mixed.body.body).toBe('Back again\n/compops run\n```\n/close\n```')
    expect(stage.sim.mergeRequest(stage.projectId, iid).state).toBe('opened')
  })

  it('reactions: once each', async () => {
    const { iid } = await open('calc/emoji')
    const made = await alice('POST', `${path}/${iid}/notes`, { body: '/compops run' })
    const awards = `${path}/${iid}/notes/${made.body.id}/award_emoji`
    expect(await bot('POST', awards, { name: 'eyes' })).toMatchObject({
      status: 201,
      body: { name: 'eyes', user: { id: stage.ids.bot } },
    })
    expect(await bot('POST', awards, { name: 'eyes' })).toMatchObject({
      status: 404,
      body: { message: '404 Award Emoji Name has already been taken Not Found' },
    })
    expect((await alice('POST', awards, { name: 'eyes' })).status).toBe(201)
    expect((await bot<unknown[]>('GET', awards)).body).toHaveLength(2)
  })

  it('threads', async () => {
    const { iid } = await open('calc/threads')
    const discussions = `${path}/${iid}/discussions`
    const started = await alice('POST', discussions, { body: 'first' })
    await bot('POST', `${discussions}/${started.body.id}/notes`, { body: 'reply' })
    expect((await bot('GET', `${discussions}/${started.body.id}`)).body).toMatchObject({
      individual_note: false,
      notes: [{ body: 'first' }, { body: 'reply' }],
    })
  })
})
