import { createHmac, randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Call, Listener, Stage } from './stage.ts'
import { listenToHooks, setStage } from './stage.ts'

let stage: Stage
let hooks: Listener
let maintainer: Call
let now = new Date('2026-11-20T12:00:00Z')
const path = () => `/projects/${stage.projectId}/hooks`

beforeAll(async () => {
  stage = await setStage({ clock: () => now })
  maintainer = stage.as(stage.tokens.alice)
})
afterAll(() => stage[Symbol.asyncDispose]())
beforeEach(async () => {
  hooks = await listenToHooks()
  stage.sim.settings.webhookTimeoutMs = 10_000
})
afterEach(async () => {
  for (const hook of stage.sim.hooks(stage.projectId)) stage.sim.removeHook(hook.id)
  await hooks[Symbol.asyncDispose]()
})

let count = 0
async function push(): Promise<void> {
  count += 1
  const files = { 'n.txt': String(count) }
  await stage.sim.commit({
    projectId: stage.projectId,
    branch: 'calc/a',
    files,
    message: 'n',
    authorId: stage.ids.alice,
  })
  await stage.sim.idle()
}

describe('a delivery', () => {
  it('carries the headers of GitLab 19 and a signature over its very bytes', async () => {
    const key = randomBytes(32)
    const signingToken = `whsec_${key.toString('base64')}`
    stage.sim.addHook(stage.projectId, { url: hooks.url, token: 'open sesame', signingToken, push: true })
    await push()
    const [{ headers, raw, body }] = hooks.received as [(typeof hooks.received)[0]]
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'GitLab/19.4.0-ee',
      'x-gitlab-event': 'Push Hook',
      'x-gitlab-instance': stage.sim.url,
      'x-gitlab-token': 'open sesame',
      'webhook-timestamp': String(now.getTime() / 1000),
    })
    for (const name of ['x-gitlab-webhook-uuid', 'x-gitlab-event-uuid', 'idempotency-key']) {
      expect(headers[name]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-/)
    }
    expect(headers['webhook-id']).toBe(headers['idempotency-key'])
    expect(headers['x-gitlab-delivery']).toBeUndefined()
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${raw}`
    expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`)
    expect(body).toMatchObject({
      object_kind: 'push',
      ref_protected: false,
      project: { path_with_namespace: 'physics/sub/heat' },
    })
  })

  it('sent again has the same key and body, and a new time', async () => {
    const hook = stage.sim.addHook(stage.projectId, { url: hooks.url, push: true })
    await push()
    const [first] = stage.sim.deliveries({ hookId: hook.id })
    now = new Date(now.getTime() + 3_000)
    const answer = await maintainer('POST', `${path()}/${hook.id}/events/${first?.id}/resend`)
    expect(answer).toMatchObject({ status: 201, body: { response_status: 200 } })
    const [one, two] = hooks.received
    expect(two?.raw).toBe(one?.raw)
    expect(two?.headers['idempotency-key']).toBe(one?.headers['idempotency-key'])
    expect(Number(two?.headers['webhook-timestamp'])).toBe(Number(one?.headers['webhook-timestamp']) + 3)
    expect(stage.sim.deliveries({ hookId: hook.id }).map(d => d.attempt)).toEqual([1, 2])
  })

  it('is not repeated when it fails, and is listed with what was answered', async () => {
    const hook = stage.sim.addHook(stage.projectId, { url: hooks.url, push: true })
    hooks.answer.status = 503
    await push()
    expect(hooks.received).toHaveLength(1)
    const events = await maintainer<Record<string, unknown>[]>(
      'GET',
      `${path()}/${hook.id}/events?status=server_failure`,
    )
    expect(events.body).toMatchObject([{ trigger: 'push_hooks', response_status: '503', response_body: 'noted' }])
    expect((await maintainer<unknown[]>('GET', `${path()}/${hook.id}/events?status=successful`)).body).toEqual([])
  })

  it('times out', async () => {
    stage.sim.settings.webhookTimeoutMs = 30
    const hook = stage.sim.addHook(stage.projectId, { url: hooks.url, push: true })
    hooks.answer.afterMs = 5_000
    await push()
    expect(stage.sim.deliveries({ hookId: hook.id })).toMatchObject([
      { responseStatus: 'internal error', error: 'Net::ReadTimeout' },
    ])
  })

  it('arrives in order', async () => {
    stage.sim.addHook(stage.projectId, { url: hooks.url, push: true })
    for (let n = 0; n < 5; n += 1) await push()
    const afters = hooks.received.map(r => r.body.after)
    expect(hooks.received.slice(1).map(r => r.body.before)).toEqual(afters.slice(0, -1))
  })

  it('goes only where it was asked for', async () => {
    stage.sim.addHook(stage.projectId, { url: hooks.url, push: false, notes: true })
    stage.sim.addHook(stage.projectId, { url: hooks.url, push: true, pushBranchFilter: 'main' })
    await push()
    expect(hooks.received).toEqual([])
  })
})

describe('a hook that fails', () => {
  const status = async (id: number) => (await maintainer('GET', `${path()}/${id}`)).body.alert_status

  it('is off for a minute after the fourth time in a row, then twice as long', async () => {
    const hook = stage.sim.addHook(stage.projectId, { url: hooks.url, push: true })
    hooks.answer.status = 500
    for (let n = 0; n < 3; n += 1) await push()
    expect(await status(hook.id)).toBe('executable')
    await push()
    expect(await status(hook.id)).toBe('temporarily_disabled')
    await push()
    expect(hooks.received).toHaveLength(4)
    expect(hook.dropped).toBe(1)
    now = new Date(now.getTime() + 60_001)
    await push()
    expect(hooks.received).toHaveLength(5)
    expect(hook.disabledUntil?.getTime()).toBe(now.getTime() + 120_000)
    now = new Date(now.getTime() + 120_001)
    hooks.answer.status = 302
    await push()
    expect(hook).toMatchObject({ recentFailures: 0, backoffCount: 0, disabledUntil: null })
  })

  it('is off for good after the fortieth', async () => {
    const hook = stage.sim.addHook(stage.projectId, { url: hooks.url, push: true })
    hooks.answer.status = 404
    hook.recentFailures = 39
    await push()
    expect(await status(hook.id)).toBe('disabled')
    hooks.answer.status = 200
    expect((await maintainer('POST', `${path()}/${hook.id}/test/push_events`)).status).toBe(201)
    expect(await status(hook.id)).toBe('executable')
  })

  it('stays on where the flag is off', async () => {
    stage.sim.settings.autoDisablingWebHooks = false
    const hook = stage.sim.addHook(stage.projectId, { url: hooks.url, push: true })
    hooks.answer.status = 500
    for (let n = 0; n < 6; n += 1) await push()
    stage.sim.settings.autoDisablingWebHooks = true
    expect(await status(hook.id)).toBe('executable')
    expect(hooks.received).toHaveLength(6)
  })
})

describe('the hooks API', () => {
  it('is for maintainers, and never tells a secret', async () => {
    const token = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
    const body = { url: hooks.url, token: 's', signing_token: token, note_events: true, push_events: false }
    expect((await stage.as(stage.tokens.bot)('POST', path(), body)).status).toBe(403)
    const made = await maintainer('POST', path(), body)
    expect(made).toMatchObject({
      status: 201,
      body: { push_events: false, note_events: true, token_present: true, signing_token_present: true },
    })
    expect(JSON.stringify(made.body)).not.toContain('whsec_')
    const id = made.body.id
    expect((await maintainer('PUT', `${path()}/${id}`, { pipeline_events: true })).body).toMatchObject({
      pipeline_events: true,
      note_events: true,
    })
    expect((await maintainer('DELETE', `${path()}/${id}`)).status).toBe(204)
    expect((await maintainer('GET', `${path()}/${id}`)).status).toBe(404)
  })

  it.each([
    [{ url: 'ftp://x' }, 422],
    [{}, 400],
    [{ url: 'http://127.0.0.1/', signing_token: 'whsec_short' }, 400],
    [{ url: 'http://127.0.0.1/', push_events: 'perhaps' }, 400],
  ])('refuses %j with %i', async (body, status) => {
    expect((await maintainer('POST', path(), body)).status).toBe(status)
  })
})
