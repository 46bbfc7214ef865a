/**
 * POST /webhooks/gitlab: one delivery in, one committed row, one answer.
 *
 * GitLab switches a hook off after four failures, so every authentic delivery that was stored gets a 2xx, also one that is ignored or
 * cannot be read; 401 is for what is not authentic, 503 for what could not be stored.
 */
import { createHash } from 'node:crypto'
import { Hono } from 'hono'
import { describeError } from '../errors.ts'
import type { Event } from '../model/event.ts'
import { newId } from '../model/id.ts'
import type { DeliveryToStore } from '../store/deliveries.ts'
import { createBatcher } from './batcher.ts'
import { readBody } from './body.ts'
import { deliveryKey } from './dedupe.ts'
import { ignoreReason } from './ignore.ts'
import { parseBody } from './parse.ts'
import { largeBody, parseLarge } from './parse-large.ts'
import { beginVerification, type Secret } from './verify.ts'

/** A row of `deliveries`; here its kind and event are always known. */
export interface NewDelivery extends DeliveryToStore {
  readonly kind: Event['kind']
  readonly event: Event
}

/** A hook's secret and the projects it may speak for. */
export interface ProjectSecret extends Secret {
  matches(projectPath: string): boolean
}

export interface WebhookOptions {
  /** Every configured secret. The same objects each time spare us hashing them again. */
  readonly secretsFor: () => readonly ProjectSecret[]
  readonly botIds: () => ReadonlySet<number>
  readonly evidenceBranch: (projectPath: string) => string
  readonly projectKnown: (projectPath: string) => boolean
  /** One statement for all rows; resolves when they are committed. */
  readonly insert: (deliveries: NewDelivery[]) => Promise<readonly ('inserted' | 'duplicate')[]>
  /** Something was accepted: whoever works on deliveries should look. */
  readonly wake: () => void
  readonly now: () => Date
  readonly log: (fields: Readonly<Record<string, unknown>>, message: string) => void
  readonly count: (name: string, labels: Readonly<Record<string, string>>) => void
  readonly limits?: Partial<WebhookLimits>
}

export interface WebhookLimits {
  /** GitLab's own cap (REQUEST_BODY_SIZE_LIMIT, 25 MB). */
  readonly bodyBytes: number
  /** Of all requests in flight. */
  readonly bytesAtOnce: number
  /** Milliseconds for the body to arrive. */
  readonly bodyDeadline: number
  readonly keptBody: number
}

const defaultLimits: WebhookLimits = {
  bodyBytes: 25 * 1024 * 1024,
  bytesAtOnce: 256 * 1024 * 1024,
  bodyDeadline: 30_000,
  keptBody: 64 * 1024,
}

type Answer = {
  readonly status: 200 | 401 | 405 | 408 | 413 | 415 | 503
  readonly result: string
  readonly delivery?: string | null
  readonly headers?: Readonly<Record<string, string>>
  /** For the log alone. */
  readonly why?: string
  readonly row?: NewDelivery
}

/** @example app.route('/', createWebhookRoute({ secretsFor: () => secrets, insert: insertDeliveries, … })) */
export function createWebhookRoute(options: WebhookOptions): Hono {
  const limits = { ...defaultLimits, ...options.limits }
  const batcher = createBatcher<NewDelivery, 'inserted' | 'duplicate'>({
    insert: options.insert,
    keyOf: delivery => delivery.key,
    repeated: 'duplicate',
  })
  let held = 0

  return new Hono().all('/webhooks/gitlab', async function postWebhook(c) {
    const receivedAt = options.now()
    let mine = 0
    const reserve = (bytes: number) => {
      if (held + bytes > limits.bytesAtOnce) return false
      held += bytes
      mine += bytes
      return true
    }
    try {
      const answer = await receive(c.req.raw, receivedAt, reserve)
      tell(answer, receivedAt)
      const { status, result, delivery, headers } = answer
      return c.json(delivery === undefined ? { result } : { result, delivery }, status, headers ?? {})
    } finally {
      held -= mine
    }
  })

  async function receive(request: Request, receivedAt: Date, reserve: (bytes: number) => boolean): Promise<Answer> {
    const { headers } = request
    if (request.method !== 'POST')
      return { status: 405, result: 'only POST is answered here', headers: { allow: 'POST' } }
    if (!/^application\/json\s*(;|$)/i.test(headers.get('content-type') ?? ''))
      return { status: 415, result: 'content type must be application/json' }

    const secrets = options.secretsFor()
    const verification = beginVerification(headers, secrets, receivedAt)
    if (!verification.ok) return refused(verification.reason)

    const hash = createHash('sha256')
    const body = await readBody(
      request,
      { maxBytes: limits.bodyBytes, deadline: limits.bodyDeadline, reserve },
      chunk => {
        hash.update(chunk)
        verification.add(chunk)
      },
    )
    if (!body.ok) return unread(body.why, limits)
    const verified = verification.finish()
    if (!verified.ok) return refused(verified.reason)

    const bodySize = body.bytes.byteLength
    const bodySha256 = hash.digest('hex')
    const eventHeader = eventHeaderOf(headers)
    const text = bodySize > largeBody ? null : decode(body.bytes)
    const event = text === null ? await parseLarge(body.bytes, eventHeader) : parseBody(headers, text)
    const path = event.projectPath

    // A secret speaks for its own projects. Where there is no such project nothing follows, and a group's hook must not be switched off for it.
    const known = path !== null && options.projectKnown(path)
    if (known && !verified.which.some(index => secrets[index]?.matches(path) === true))
      return refused(`the secret is right, but it is not one of project ${path}`)

    const reason =
      event.kind !== 'other' && !known
        ? `project ${path} is not one of ours`
        : ignoreReason(event, { botIds: options.botIds(), evidenceBranch: evidenceBranchOf(path, known) })
    const row: NewDelivery = {
      id: newId(receivedAt),
      key: deliveryKey(headers, bodySha256),
      receivedAt,
      eventHeader,
      kind: event.kind,
      projectId: event.projectId,
      projectPath: path,
      ...subjectOf(event),
      outcome: reason === null ? 'accepted' : 'ignored',
      reason,
      event,
      bodySize,
      bodySha256,
      body: text === null || bodySize > limits.keptBody ? null : text.replaceAll('\0', '\u{fffd}'),
    }
    return store(row)
  }

  async function store(row: NewDelivery): Promise<Answer> {
    let stored: 'inserted' | 'duplicate'
    try {
      stored = await batcher.add(row)
    } catch (error) {
      const why = describeError(error)
      return { status: 503, result: 'not stored, send it again', headers: { 'retry-after': '10' }, why, row }
    }
    // The first of its key has the row; ours was never written, so it has no id to show.
    if (stored === 'duplicate') return { status: 200, result: 'duplicate', delivery: null, row }
    if (row.reason !== null) return { status: 200, result: `ignored: ${row.reason}`, delivery: row.id, row }
    options.wake()
    return { status: 200, result: 'accepted', delivery: row.id, row }
  }

  function evidenceBranchOf(path: string | null, known: boolean): string {
    return path !== null && known ? options.evidenceBranch(path) : ''
  }

  /** One line and one count for each delivery, whatever became of it. */
  function tell(answer: Answer, receivedAt: Date): void {
    const { row, status } = answer
    const result = status === 200 ? (answer.result.split(':', 1)[0] ?? '') : String(status)
    options.count('compops_deliveries_total', { result, kind: row?.kind ?? 'none' })
    options.log(
      {
        result,
        status,
        ms: options.now().getTime() - receivedAt.getTime(),
        ...(row === undefined
          ? {}
          : {
              delivery: row.id,
              key: row.key,
              event: row.eventHeader,
              kind: row.kind,
              project: row.projectPath,
              ref: row.ref,
              sha: row.sha,
              size: row.bodySize,
            }),
        ...(answer.why === undefined ? {} : { why: answer.why }),
      },
      `delivery ${answer.result}`,
    )
  }
}

/** The same answer whatever was wrong: a guesser learns nothing. */
function refused(why: string): Answer {
  return { status: 401, result: 'refused', why }
}

function unread(why: 'too large' | 'too slow' | 'too much at once' | 'broken off', limits: WebhookLimits): Answer {
  const close = { connection: 'close' }
  switch (why) {
    case 'too large':
      return { status: 413, result: `the body is larger than ${limits.bodyBytes} bytes`, headers: close }
    case 'too much at once':
      return { status: 503, result: 'too much at once, send it again', headers: { ...close, 'retry-after': '10' } }
    case 'too slow':
      return { status: 408, result: `the body did not arrive in ${limits.bodyDeadline / 1000} s`, headers: close }
    case 'broken off':
      return { status: 408, result: 'the body broke off', headers: close }
  }
}

function subjectOf(event: Event): { readonly ref: string | null; readonly sha: string | null } {
  switch (event.kind) {
    case 'push':
    case 'tag':
      return { ref: event.ref, sha: event.after }
    case 'merge request':
      return { ref: `refs/heads/${event.sourceBranch}`, sha: event.headSha }
    case 'pipeline':
      return { ref: event.ref, sha: event.sha }
    case 'note':
    case 'other':
      return { ref: null, sha: null }
  }
}

function decode(bytes: Uint8Array<ArrayBuffer>): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

function eventHeaderOf(headers: Headers): string {
  const value = headers.get('x-gitlab-event') ?? ''
  return /^[A-Za-z ]{1,64}$/.test(value) ? value : 'unknown'
}
