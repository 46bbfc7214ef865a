import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  createGitLab,
  fixedToken,
  type GitLab,
  type GitLabOptions,
  type StatusState,
  sendCommitStatus,
  sweepStatuses,
  type TokenSource,
} from '../../src/gitlab/gitlab.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { thrownBy } from './support.ts'

/** The client against the simulated GitLab, which imports nothing of ours and so cannot agree with our mistakes. */

let dataDir: string
let sim: Simulator
let projectId: number
let anna: number
let bot: number
let sha: string

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'compops-gitlab-'))
  sim = await startSimulator({ dataDir })
  anna = sim.createUser({ username: 'anna', name: 'Anna' }).id
  bot = sim.createUser({ username: 'compops', name: 'compops', bot: true }).id
  const project = sim.createProject({ path: 'physics/sub/wave', protectDefaultBranch: false })
  projectId = project.id
  sim.addMember(projectId, anna, 40)
  sim.addMember(projectId, bot, 30)
  await sim.commit({ projectId, branch: 'main', files: { 'README.md': 'x' }, message: 'Start', authorId: anna })
  sha = await sim.commit({
    projectId,
    branch: 'calc/a',
    files: { 'a/b c/ü.txt': 'Grüße\n', '.compops.yml': 'jobs: {}\n' },
    message: 'Compute\n\nbody',
    authorId: anna,
  })
  await sim.idle()
})

afterEach(async () => {
  await sim.close()
  await rm(dataDir, { recursive: true, force: true })
})

function as(userId: number, options: Partial<GitLabOptions> = {}): GitLab {
  return createGitLab({ url: sim.url, token: fixedToken(sim.createToken(userId).token), ...options })
}

const statusOf = (state: StatusState, more: object = {}) => ({
  projectId,
  sha,
  branch: 'calc/a',
  mergeRequestIid: null,
  name: 'compops/simulate',
  state,
  description: `${state} on falcon`,
  targetUrl: 'https://compops.example.org/runs/1',
  pipelineId: null,
  ...more,
})

const shown = () => sim.statuses(projectId, sha).map(job => [job.name, job.status, job.pipelineId])

describe('reading', () => {
  test('who, where, what', async () => {
    const gitlab = as(bot)
    expect(await gitlab.me()).toEqual({ id: bot, username: 'compops', name: 'compops', bot: true })
    expect((await gitlab.user(anna)).username).toBe('anna')
    expect(await gitlab.version()).toMatch(/^\d+\.\d+/)
    expect(await gitlab.tokenInfo()).toMatchObject({ scopes: ['api'], active: true })
    expect(await gitlab.project('physics/sub/wave')).toMatchObject({ id: projectId, defaultBranch: 'main' })
    expect(await gitlab.project(projectId)).toMatchObject({ pathWithNamespace: 'physics/sub/wave' })
    expect(await gitlab.branch(projectId, 'calc/a')).toMatchObject({ name: 'calc/a', sha, protected: false })
    expect(await gitlab.branch(projectId, 'calc/$(id)')).toBeNull()
    expect(await gitlab.commit(projectId, sha)).toMatchObject({ title: 'Compute', lastPipeline: null })
    expect((await gitlab.file(projectId, 'a/b c/ü.txt', sha))?.content.toString()).toBe('Grüße\n')
    expect(await gitlab.file(projectId, 'a/none', sha)).toBeNull()
    expect(await gitlab.mergeRequest(projectId, 1)).toBeNull()
    expect(await gitlab.memberAccess(projectId, anna)).toBe(40)
    expect(await gitlab.memberAccess(projectId, sim.createUser({ username: 'eve', name: 'Eve' }).id)).toBe(0)
  })

  test('every project, by keyset', async () => {
    for (let i = 0; i < 3; i++) sim.addMember(sim.createProject({ path: `g/p${i}` }).id, bot, 30)
    sim.createProject({ path: 'g/hidden' })
    const paths: string[] = []
    for await (const project of as(bot).projects({ membership: true })) paths.push(project.pathWithNamespace)
    expect(paths).toEqual(['physics/sub/wave', 'g/p0', 'g/p1', 'g/p2'])
  })

  test('a project that cannot be seen is an error, not an absence', async () => {
    const eve = sim.createUser({ username: 'eve', name: 'Eve' }).id
    for (const asked of [as(eve).branch(projectId, 'calc/a'), as(eve).project(projectId)]) {
      expect(await thrownBy(asked)).toMatchObject({ kind: 'not found' })
    }
  })

  test('a token that is replaced goes on', async () => {
    const tokens = [sim.createToken(bot).token, sim.createToken(bot).token]
    let current = 0
    const source: TokenSource = {
      current: () => tokens[current]!,
      async renew() {
        current = 1
        return true
      },
    }
    const gitlab = as(bot, { token: source })
    await gitlab.me()
    sim.resetRequests()
    expect((await gitlab.self()).id).toBe(bot)
    expect(sim.requests()).toEqual([])
    sim.revokeToken(tokens[0]!)
    expect((await gitlab.me()).id).toBe(bot)
    expect((await gitlab.self()).id).toBe(bot)
    sim.expireToken(tokens[1]!)
    expect(await thrownBy(gitlab.me())).toMatchObject({ kind: 'unauthorized', status: 401 })
  })
})

describe('the life of a commit status', () => {
  test('from pending to success, and again', async () => {
    const gitlab = as(bot)
    const first = await sendCommitStatus(gitlab, statusOf('pending'))
    expect(first).toMatchObject({ outcome: 'sent', pipelineSha: null })
    const { pipelineId } = first
    expect(sim.pipelines(projectId)).toMatchObject([{ id: pipelineId, source: 'external', status: 'pending' }])

    const send = async (state: StatusState) => (await sendCommitStatus(gitlab, statusOf(state, { pipelineId }))).outcome
    expect(await send('pending')).toBe('already there')
    expect(await send('running')).toBe('sent')
    expect(await send('running')).toBe('already there')
    expect(await send('pending')).toBe('already there')
    expect(await send('success')).toBe('sent')
    expect(await send('failed')).toBe('sent')
    expect(await send('running')).toBe('sent')
    expect(await send('skipped')).toBe('sent')
    expect(shown()).toEqual([['compops/simulate', 'canceled', pipelineId]])
    expect(sim.pipelines(projectId)).toHaveLength(1)
  })

  test('a whole run at once makes one pipeline', async () => {
    const gitlab = as(bot)
    const names = Array.from({ length: 12 }, (_, index) => `compops/job ${index}`)
    await Promise.all(names.map(name => sendCommitStatus(gitlab, statusOf('running', { name }))))
    expect(sim.pipelines(projectId)).toHaveLength(1)
    expect(shown().map(([name]) => name)).toEqual(names)
  })

  test('a lost answer is read back, not repeated', async () => {
    const gitlab = as(bot, { wait: async () => {} })
    const { pipelineId } = await sendCommitStatus(gitlab, statusOf('running'))
    sim.faults.respond({ method: 'POST', path: /statuses/, times: 1 }, { resetAfterDoing: true })
    const done = statusOf('success', { pipelineId })
    // The pause after the trouble is real here: until it is over, the loss is thrown as transient.
    await expect
      .poll(
        () =>
          sendCommitStatus(gitlab, done).then(
            sent => sent.outcome,
            error => error.kind,
          ),
        { timeout: 10_000 },
      )
      .toBe('sent')
    expect(sim.statuses(projectId, sha, { all: true }).map(job => job.status)).toEqual(['success'])
  })

  test('in the pipeline of the merge request', async () => {
    sim.settings.ciDelayMs = 0
    const head = await sim.commit({
      projectId,
      branch: 'calc/a',
      files: {
        '.gitlab-ci.yml': 'lint:\n  rules: [{ if: $CI_PIPELINE_SOURCE == "merge_request_event" }]\n  script: [make]\n',
      },
      message: 'CI',
      authorId: anna,
    })
    const { iid } = await sim.createMergeRequest({
      projectId,
      sourceBranch: 'calc/a',
      targetBranch: 'main',
      title: 'Wave',
      authorId: anna,
    })
    await sim.idle()
    const own = sim.pipelines(projectId).find(found => found.source === 'merge_request_event')
    expect(own).toBeDefined()
    const before = sim.pipelines(projectId).length
    const gitlab = as(bot)
    const sent = await sendCommitStatus(gitlab, { ...statusOf('running'), sha: head, mergeRequestIid: iid })
    expect(sent).toMatchObject({ outcome: 'sent', pipelineId: own!.id })
    expect(sim.pipelines(projectId)).toHaveLength(before)
    expect((await gitlab.openMergeRequestsOf(projectId, 'calc/a')).map(found => found.iid)).toEqual([iid])
    expect((await gitlab.mergeRequest(projectId, iid))?.sha).toBe(head)
    expect((await gitlab.mergeRequestPipelines(projectId, iid)).map(found => found.id)).toContain(own!.id)

    const taken = { ...statusOf('running'), sha: head, mergeRequestIid: iid, pipelineId: own!.id, name: 'lint' }
    expect(await sendCommitStatus(gitlab, taken)).toMatchObject({ outcome: 'impossible' })
  })

  test('impossible without rights, possible with them', async () => {
    const reporter = sim.createUser({ username: 'reporter', name: 'R' }).id
    sim.addMember(projectId, reporter, 20)
    const gitlab = as(reporter)
    expect(await sendCommitStatus(gitlab, statusOf('running'))).toMatchObject({
      outcome: 'impossible',
      retryLater: 'rights',
    })
    sim.addMember(projectId, reporter, 30)
    expect((await sendCommitStatus(gitlab, statusOf('running'))).outcome).toBe('sent')
  })

  test('a commit or a pipeline that is not there', async () => {
    const gitlab = as(bot)
    expect(await sendCommitStatus(gitlab, statusOf('running', { sha: 'd'.repeat(40) }))).toMatchObject({
      outcome: 'impossible',
      reason: expect.stringContaining('the commit is gone'),
    })
    expect(await sendCommitStatus(gitlab, statusOf('running', { pipelineId: 4711 }))).toMatchObject({
      outcome: 'sent',
      pipelineId: sim.pipelines(projectId)[0]!.id,
    })
  })

  test('a new bot closes what the former one left', async () => {
    const old = as(bot)
    const { pipelineId } = await sendCommitStatus(old, statusOf('running'))
    await sendCommitStatus(old, statusOf('pending', { name: 'compops/mesh', pipelineId }))
    await sendCommitStatus(old, statusOf('running', { name: 'other', pipelineId }))
    const next = sim.createUser({ username: 'compops2', name: 'compops', bot: true }).id
    sim.addMember(projectId, next, 30)
    const swept = await sweepStatuses(as(next), {
      projectId,
      sha,
      pipelineId: null,
      branch: 'calc/a',
      mergeRequests: [],
      ours: 'compops/',
      finalStates: new Map([['compops/simulate', 'success']]),
    })
    expect(swept.open).toEqual([])
    expect([...swept.closed].sort()).toEqual(['compops/mesh', 'compops/simulate'])
    expect(shown().sort()).toEqual([
      ['compops/mesh', 'canceled', pipelineId],
      ['compops/simulate', 'success', pipelineId],
      ['other', 'running', pipelineId],
    ])
  })
})

describe('notes', () => {
  const marker = '<!-- compops:note -->'

  test('one note, found again, edited, reacted to, removed', async () => {
    const { iid } = await sim.createMergeRequest({
      projectId,
      sourceBranch: 'calc/a',
      targetBranch: 'main',
      title: 'Wave',
      authorId: anna,
    })
    const gitlab = as(bot)
    const made = await gitlab.createNote(projectId, iid, `${marker}\n**pending**`)
    await sim.createNote({ projectId, mrIid: iid, authorId: anna, body: `> ${marker}` })
    for (let i = 0; i < 105; i++) await sim.createNote({ projectId, mrIid: iid, authorId: anna, body: `note ${i}` })
    expect((await gitlab.findNote(projectId, iid, marker, bot))?.id).toBe(made.id)
    expect((await gitlab.updateNote(projectId, iid, made.id, `${marker}\n**done**`)).body).toBe(`${marker}\n**done**`)
    expect((await gitlab.note(projectId, iid, made.id))?.body).toBe(`${marker}\n**done**`)
    await gitlab.react(projectId, iid, made.id, 'eyes')
    await gitlab.react(projectId, iid, made.id, 'eyes')
    // Maintainers may edit what others wrote; another Developer (a new bot) may not.
    const next = sim.createUser({ username: 'compops2', name: 'compops', bot: true }).id
    sim.addMember(projectId, next, 30)
    expect(await thrownBy(as(next).updateNote(projectId, iid, made.id, 'mine now'))).toMatchObject({
      kind: 'forbidden',
    })
    await gitlab.deleteNote(projectId, iid, made.id)
    await gitlab.deleteNote(projectId, iid, made.id)
    expect(await gitlab.note(projectId, iid, made.id)).toBeNull()
    expect(await gitlab.findNote(projectId, iid, marker, bot)).toBeNull()
    expect(await thrownBy(gitlab.createNote(projectId, iid, '/title New title'))).toMatchObject({ kind: 'invalid' })
  })
})
