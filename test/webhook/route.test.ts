import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { type ServerType, serve } from '@hono/node-server'
import { afterEach, describe, expect, test } from 'vitest'
import { isId } from '../../src/model/id.ts'
import { createWebhookRoute, type NewDelivery, type WebhookOptions } from '../../src/webhook/route.ts'
import { type DeliveryOptions, deliveryHeaders, eventHeader, fixture, fixtureNames, fixtureText } from './deliver.ts'

const token = 'the secret of physics'
const fluidsToken = 'the secret of fluids'
const signingToken = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const now = new Date('2026-11-20T15:32:10Z')

/** A store in memory with the promise of the real one: one statement, unique keys. */
function setUp(more: Partial<WebhookOptions> = {}) {
  const rows = new Map<string, NewDelivery>()
  const statements: number[] = []
  const lines: Record<string, unknown>[] = []
  const counts: string[] = []
  let wakes = 0
  const app = createWebhookRoute({
    secretsFor: () => secrets,
    botIds: () => new Set([90]),
    evidenceBranch: () => 'compops/evidence',
    projectKnown: path => path === 'physics/heat' || path.startsWith('institute/'),
    async insert(deliveries) {
      statements.push(deliveries.length)
      await new Promise(resolve => setImmediate(resolve))
      return deliveries.map(delivery => {
        if (rows.has(delivery.key)) return 'duplicate'
        rows.set(delivery.key, delivery)
        return 'inserted'
      })
    },
    wake: () => {
      wakes += 1
    },
    now: () => now,
    log: (fields, message) => void lines.push({ ...fields, message }),
    count: (name, labels) => void counts.push(`${name}{${Object.values(labels).join(',')}}`),
    ...more,
  })
  const post = (body: string | Uint8Array<ArrayBuffer>, options: DeliveryOptions & { headers?: object } = {}) =>
    app.request('/webhooks/gitlab', {
      method: 'POST',
      body,
      headers: { ...deliveryHeaders(body, { token, at: now, ...options }), ...options.headers },
    })
  return { app, post, rows, statements, lines, counts, wakes: () => wakes, row: () => [...rows.values()][0] }
}

const secrets = [
  { token, signingToken: null, matches: (path: string) => path.startsWith('physics/') },
  { token: fluidsToken, signingToken: null, matches: (path: string) => path.startsWith('institute/') },
]
const signedSecrets = [{ token, signingToken, matches: () => true }]
const said = async (response: Response): Promise<Record<string, unknown>> => ({
  status: response.status,
  ...((await response.json()) as object),
})

describe('every fixture is stored and answered', () => {
  test.each(fixtureNames)('%s', async name => {
    const { post, rows, row, wakes, lines } = setUp()
    const fluids = name.endsWith('subgroup')
    const response = await post(fixtureText(name), {
      event: eventHeader(name),
      token: fluids ? fluidsToken : token,
    })
    expect(response.status).toBe(200)
    const answer = (await response.json()) as Record<string, unknown>
    const stored = row()
    expect(rows.size).toBe(1)
    expect(answer.delivery).toBe(stored?.id)
    expect(isId(stored?.id)).toBe(true)
    expect(answer.result).toBe(stored?.outcome === 'ignored' ? `ignored: ${stored.reason}` : 'accepted')
    expect(wakes()).toBe(stored?.outcome === 'accepted' ? 1 : 0)
    expect(stored?.body).toBe(fixtureText(name))
    expect(stored?.eventHeader).toBe(eventHeader(name))
    expect(lines).toHaveLength(1)
    expect(JSON.stringify(lines)).not.toContain(token)
  })

  test('the row of a push, whole', async () => {
    const { post, row } = setUp()
    const body = fixtureText('push')
    await post(body, { id: 'f3b0c442-98fc-4c14-9afb-f4c8996fb924' })
    expect(row()).toEqual({
      id: expect.any(String),
      key: 'f3b0c442-98fc-4c14-9afb-f4c8996fb924',
      receivedAt: now,
      eventHeader: 'Push Hook',
      kind: 'push',
      projectId: 4217,
      projectPath: 'physics/heat',
      ref: 'refs/heads/calc/heat/4d',
      sha: '1adad2a7c0ffee00112233445566778899aabbcc',
      outcome: 'accepted',
      reason: null,
      event: expect.objectContaining({ kind: 'push', commits: 1 }),
      bodySize: body.length,
      bodySha256: createHash('sha256').update(body).digest('hex'),
      body,
    })
  })

  test.each([
    ['mr-open', 'refs/heads/calc/heat/4d', '1adad2a7c0ffee00112233445566778899aabbcc'],
    ['push-delete-branch', 'refs/heads/calc/heat/4d', null],
    ['tag-push-new', 'refs/tags/v1.2.0', '1adad2a7c0ffee00112233445566778899aabbcc'],
    ['pipeline-mr', 'calc/heat/4d', '1adad2a7c0ffee00112233445566778899aabbcc'],
    ['note-mr-command', null, null],
  ])('%s is about %s', async (name, ref, sha) => {
    const { post, row } = setUp()
    await post(fixtureText(name))
    expect(row()).toMatchObject({ ref, sha })
  })
})

describe('what is not authentic', () => {
  const push = fixtureText('push')
  test.each([
    ['no token', { token: null }],
    ['a wrong token', { token: 'guess' }],
  ])('%s: 401, the same words, nothing stored, the body unread', async (_, options) => {
    const { app, rows, counts, lines } = setUp()
    let pulled = 0
    const body = new ReadableStream(
      {
        pull(controller) {
          pulled += 1
          controller.enqueue(new Uint8Array(1024))
        },
      },
      { highWaterMark: 0 },
    )
    const response = await app.request('/webhooks/gitlab', {
      method: 'POST',
      body,
      headers: deliveryHeaders('', { at: now, ...options }),
      duplex: 'half',
    } as RequestInit)
    expect(await said(response)).toEqual({ status: 401, result: 'refused' })
    expect(rows.size).toBe(0)
    expect(pulled).toBe(0)
    expect(counts).toEqual(['compops_deliveries_total{401,none}'])
    expect(lines[0]).toMatchObject({ status: 401, why: expect.stringContaining('X-Gitlab-Token') })
  })

  test.each([
    ['no signature', { token }],
    ['a wrong signature', { token, signingToken: `whsec_${Buffer.alloc(32, 8).toString('base64')}` }],
    ['a replay after the window', { token, signingToken, at: new Date(now.getTime() - 301_000) }],
  ])('%s: 401', async (_, options) => {
    const { post, rows } = setUp({ secretsFor: () => signedSecrets })
    expect(await said(await post(push, options))).toEqual({ status: 401, result: 'refused' })
    expect(rows.size).toBe(0)
  })

  test('a right signature over the raw bytes is taken', async () => {
    const { post } = setUp({ secretsFor: () => signedSecrets })
    const raw = new TextEncoder().encode(push.replaceAll('\n', '\r\n  '))
    expect(await said(await post(raw, { signingToken }))).toMatchObject({ status: 200, result: 'accepted' })
  })

  test("another project's secret does not speak for this one", async () => {
    const { post, rows, lines } = setUp()
    expect(await said(await post(push, { token: fluidsToken }))).toEqual({ status: 401, result: 'refused' })
    expect(rows.size).toBe(0)
    expect(lines[0]).toMatchObject({ why: 'the secret is right, but it is not one of project physics/heat' })
  })

  test('two projects may have the same secret', async () => {
    const shared = secrets.map(secret => ({ ...secret, token: 'shared by all' }))
    const { post } = setUp({ secretsFor: () => shared })
    for (const name of ['push', 'push-subgroup'])
      expect(await said(await post(fixtureText(name), { token: 'shared by all' }))).toMatchObject({
        result: 'accepted',
      })
  })
})

describe('authentic, but of no use: stored and 200', () => {
  const cases: readonly [string, string, string][] = [
    ['nothing', '', 'ignored: the body is empty'],
    ['not JSON', 'payload=1', 'ignored: the body is not JSON'],
    ['an array', '[1,2]', 'ignored: a body of kind array, not an event'],
    ['null', 'null', 'ignored: a body of kind null, not an event'],
    ['a depth bomb', `${'['.repeat(400_000)}${']'.repeat(400_000)}`, 'ignored: a body of kind array, not an event'],
    [
      'half a push',
      '{"object_kind":"push"}',
      'ignored: unreadable push event: ref: Invalid input: expected string, received undefined',
    ],
    [
      'a stranger',
      JSON.stringify({ ...(fixture('push') as object), project: { id: 1, path_with_namespace: 'else/where' } }),
      'ignored: project else/where is not one of ours',
    ],
  ]
  test.each(cases)('%s', async (_, body, result) => {
    const { post, row, wakes } = setUp()
    expect(await said(await post(body))).toEqual({ status: 200, result, delivery: row()?.id })
    expect(row()).toMatchObject({ outcome: 'ignored', bodySize: body.length })
    expect(wakes()).toBe(0)
  })

  test('NUL never reaches the store', async () => {
    const { post, row } = setUp()
    await post('{"object_kind":"a\0b\\u0000c"}')
    expect(JSON.stringify(row())).not.toContain('\\u0000"')
    expect(row()?.body).toBe('{"object_kind":"a\u{fffd}b\\u0000c"}')
  })

  test('a body over 64 KiB is counted but not kept', async () => {
    const { post, row } = setUp()
    const body = `{"object_kind":"push","padding":"${'x'.repeat(70_000)}"}`
    await post(body)
    expect(row()).toMatchObject({ bodySize: body.length, body: null })
  })

  test('a push of very many files counts', async () => {
    const { post, row } = setUp()
    const push = fixture('push') as { commits: Record<string, unknown>[] }
    push.commits[0] = { ...push.commits[0], added: Array.from({ length: 60_000 }, (_, i) => `out/step-${i}/field.csv`) }
    expect(await said(await post(JSON.stringify(push)))).toMatchObject({ status: 200, result: 'accepted' })
    expect(row()?.event).toMatchObject({ kind: 'push', headMessage: 'finer mesh\n' })
  })

  test('the answer fits what GitLab keeps of it', async () => {
    const { post } = setUp()
    const response = await post(`{"object_kind":${JSON.stringify(`\u202e<b>${'k'.repeat(60_000)}`)}}`)
    expect((await response.text()).length).toBeLessThan(1024)
  })
})

describe('twice is once', () => {
  test('fifty equal deliveries at a time', async () => {
    const { post, rows, statements, wakes, counts } = setUp()
    const id = '6f9619ff-8b86-4011-b42d-00cf4fc964ff'
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => said(await post(fixtureText('push'), { id }))),
    )
    expect(answers.filter(answer => answer.result === 'accepted')).toHaveLength(1)
    expect(answers.filter(answer => answer.result === 'duplicate' && answer.delivery === null)).toHaveLength(49)
    expect(rows.size).toBe(1)
    expect(wakes()).toBe(1)
    expect(statements.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(statements.length)
    expect(counts.filter(count => count.includes('duplicate'))).toHaveLength(49)
  })

  test('fifty different ones are few statements', async () => {
    const { post, rows, statements } = setUp()
    await Promise.all(Array.from({ length: 50 }, () => post(fixtureText('push'))))
    expect(rows.size).toBe(50)
    expect(statements.length).toBeLessThan(25)
  })

  test('a replay inside the window under another unsigned key is the same delivery', async () => {
    const { post, rows } = setUp({ secretsFor: () => signedSecrets })
    const id = '6f9619ff-8b86-4011-b42d-00cf4fc964ff'
    await post(fixtureText('push'), { signingToken, id })
    const again = await post(fixtureText('push'), { signingToken, id, headers: { 'Idempotency-Key': 'another-one' } })
    expect(await said(again)).toMatchObject({ result: 'duplicate' })
    expect(rows.size).toBe(1)
  })
})

describe('a store that fails', () => {
  test('503, and GitLab is told when to come back', async () => {
    const { post, lines, wakes } = setUp({ insert: () => Promise.reject(new Error('connection refused')) })
    const response = await post(fixtureText('push'))
    expect(response.headers.get('retry-after')).toBe('10')
    expect(await said(response)).toEqual({ status: 503, result: 'not stored, send it again' })
    expect(lines[0]).toMatchObject({ status: 503, why: 'connection refused', kind: 'push' })
    expect(wakes()).toBe(0)
  })

  test('one poison row does not refuse its neighbours', async () => {
    const poison = '11111111-8b86-4011-b42d-00cf4fc964ff'
    const { post } = setUp({
      async insert(deliveries) {
        await new Promise(resolve => setImmediate(resolve))
        if (deliveries.some(delivery => delivery.key === poison)) throw new Error('invalid input')
        return deliveries.map(() => 'inserted')
      },
    })
    const answers = await Promise.all(
      Array.from(
        { length: 20 },
        async (_, i) => (await post(fixtureText('push'), i === 7 ? { id: poison } : {})).status,
      ),
    )
    expect(answers.map((status, i) => (status === (i === 7 ? 503 : 200) ? 'right' : `${i}: ${status}`))).toEqual(
      Array.from({ length: 20 }, () => 'right'),
    )
  })
})

describe('how it is asked', () => {
  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])('%s: 405', async method => {
    const { app } = setUp()
    const response = await app.request('/webhooks/gitlab', { method })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', ''])('%s: 415', async type => {
    const { post } = setUp()
    expect((await post('{}', { headers: { 'Content-Type': type } })).status).toBe(415)
  })

  test('with a charset: fine', async () => {
    const { post } = setUp()
    expect((await post('{}', { headers: { 'Content-Type': 'Application/JSON; charset=utf-8' } })).status).toBe(200)
  })

  test('more than the cap, declared: 413 at once', async () => {
    const { post, rows } = setUp({ limits: { bodyBytes: 1000 } })
    const response = await post('{}', { headers: { 'Content-Length': '1001' } })
    expect(await said(response)).toEqual({ status: 413, result: 'the body is larger than 1000 bytes' })
    expect(rows.size).toBe(0)
  })

  test('more than the cap, undeclared: 413', async () => {
    const { post } = setUp({ limits: { bodyBytes: 1000 } })
    expect((await post('x'.repeat(1001))).status).toBe(413)
    expect((await post('x'.repeat(1000))).status).toBe(200)
  })

  test('a declared length that lies: 413', async () => {
    const { post } = setUp({ limits: { bodyBytes: 1000 } })
    expect((await post('x'.repeat(1001), { headers: { 'Content-Length': '10' } })).status).toBe(413)
  })

  test('more than all may hold together: 503, and room again afterwards', async () => {
    const { post } = setUp({ limits: { bytesAtOnce: 5_000 } })
    const statuses = await Promise.all(Array.from({ length: 5 }, async () => (await post(fixtureText('push'))).status))
    expect(statuses).toContain(503)
    expect((await post(fixtureText('push'))).status).toBe(200)
  })

  test('a body that breaks off: 408', async () => {
    const { app, lines } = setUp()
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(10))
        controller.error(new Error('reset'))
      },
    })
    const request = { method: 'POST', body, headers: deliveryHeaders('', { token, at: now }), duplex: 'half' }
    expect(await said(await app.request('/webhooks/gitlab', request as RequestInit))).toEqual({
      status: 408,
      result: 'the body broke off',
    })
    expect(lines).toHaveLength(1)
  })
})

describe('over a socket', () => {
  let server: ServerType | undefined
  afterEach(async () => {
    const running = server
    server = undefined
    if (running === undefined) return
    if ('closeAllConnections' in running) running.closeAllConnections()
    running.close()
    await once(running, 'close')
  })

  async function listen(more: Partial<WebhookOptions> = {}) {
    const setting = setUp(more)
    const port = await new Promise<number>(resolve => {
      server = serve({ fetch: setting.app.fetch, port: 0, hostname: '127.0.0.1' }, info => resolve(info.port))
    })
    return { ...setting, port }
  }

  /** Raw bytes in, the whole answer out: as rude as a sender can be. */
  async function send(port: number, parts: readonly (string | Uint8Array)[], headers: Record<string, string>) {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.setEncoding('utf8').on('data', chunk => {
      answer += chunk
    })
    socket.on('error', () => {})
    await once(socket, 'connect')
    const lines = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`POST /webhooks/gitlab HTTP/1.1\r\n${lines.join('')}\r\n`)
    for (const part of parts) if (!socket.destroyed) socket.write(part)
    await once(socket, 'close')
    return answer
  }
  const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

  test('with a length', async () => {
    const { port, row } = await listen()
    const body = fixtureText('push')
    const headers = { ...deliveryHeaders(body, { token, at: now }), Connection: 'close' }
    const answer = await send(port, [body], { ...headers, 'Content-Length': String(Buffer.byteLength(body)) })
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer).toContain('"result":"accepted"')
    expect(row()?.body).toBe(body)
  })

  test('in chunks, signed', async () => {
    const { port, row } = await listen({ secretsFor: () => signedSecrets })
    const body = fixtureText('push')
    const headers = { ...deliveryHeaders(body, { token, signingToken, at: now }), Connection: 'close' }
    const parts = [body.slice(0, 100), body.slice(100, 1500), body.slice(1500)].map(chunk)
    const answer = await send(port, [...parts, '0\r\n\r\n'], { ...headers, 'Transfer-Encoding': 'chunked' })
    expect(answer).toContain('"result":"accepted"')
    expect(row()?.bodySize).toBe(Buffer.byteLength(body))
  })

  test('too much in chunks is cut off', async () => {
    const { port, rows } = await listen({ limits: { bodyBytes: 100_000 } })
    const headers = { ...deliveryHeaders('', { token, at: now }), 'Transfer-Encoding': 'chunked' }
    const answer = await send(
      port,
      Array.from({ length: 20 }, () => chunk('x'.repeat(10_000))),
      headers,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(rows.size).toBe(0)
  })

  test.each([
    ['with a length', { 'Content-Length': '5000' }, '{"object_kind":'],
    ['in chunks', { 'Transfer-Encoding': 'chunked' }, chunk('{"object_kind":')],
  ])('a sender that drips is cut off: %s', async (_, length, part) => {
    const { port, rows, lines } = await listen({ limits: { bodyDeadline: 50 } })
    const answer = await send(port, [part], { ...deliveryHeaders('', { token, at: now }), ...length })
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(answer).toContain('the body did not arrive in 0.05 s')
    expect(rows.size).toBe(0)
    expect(lines).toHaveLength(1)
  })

  test('a wrong token is answered before the body', async () => {
    const { port } = await listen()
    const headers = { ...deliveryHeaders('', { token: 'no', at: now }), 'Content-Length': '20000000' }
    expect(await send(port, ['{'], headers)).toMatch(/^HTTP\/1\.1 401 /)
  })
})
