import { createHmac, randomUUID } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { matchesWildcard } from './access.ts'
import { GITLAB_VERSION, LIMITS, remember } from './limits.ts'
import { Refusal } from './refusal.ts'
import type { HookKind, SimDelivery, SimHook } from './types.ts'
import type { World } from './world.ts'

type HookWorld = Omit<World, 'webhooks'>

const EVENT_NAMES: Record<HookKind, string> = {
  push: 'Push Hook',
  tagPush: 'Tag Push Hook',
  mergeRequests: 'Merge Request Hook',
  notes: 'Note Hook',
  pipelines: 'Pipeline Hook',
  jobs: 'Job Hook',
}

/** `trigger` in the list of a hook's events. */
export const TRIGGER_NAMES: Record<HookKind, string> = {
  push: 'push_hooks',
  tagPush: 'tag_push_hooks',
  mergeRequests: 'merge_request_hooks',
  notes: 'note_hooks',
  pipelines: 'pipeline_hooks',
  jobs: 'job_hooks',
}

const BODY_LIMIT = 25 * 1024 * 1024
const FAILURE_THRESHOLD = 3
const PERMANENT_THRESHOLD = 39
const INITIAL_BACKOFF_MS = 60_000
const MAX_BACKOFF_MS = 24 * 3_600_000

/** `executable`, `temporarily_disabled` or `disabled`, as `alert_status` says it. */
export function hookStatus(world: HookWorld, hook: SimHook): 'executable' | 'temporarily_disabled' | 'disabled' {
  if (hook.permanentlyDisabled) return 'disabled'
  if (hook.disabledUntil !== null && hook.disabledUntil > world.now()) return 'temporarily_disabled'
  return 'executable'
}

export function enableHook(hook: SimHook): void {
  hook.recentFailures = 0
  hook.backoffCount = 0
  hook.disabledUntil = null
  hook.permanentlyDisabled = false
}

/** app/models/concerns/web_hooks/auto_disabling.rb: the fourth failure in a row waits a minute, each later one twice as long. */
function noteOutcome(world: HookWorld, hook: SimHook, ok: boolean): void {
  if (ok) {
    enableHook(hook)
    return
  }
  hook.recentFailures += 1
  if (!world.settings.autoDisablingWebHooks || hook.recentFailures <= FAILURE_THRESHOLD) return
  if (hook.recentFailures > PERMANENT_THRESHOLD) {
    hook.permanentlyDisabled = true
    return
  }
  const backoff = Math.min(INITIAL_BACKOFF_MS * 2 ** hook.backoffCount, MAX_BACKOFF_MS)
  hook.backoffCount += 1
  hook.disabledUntil = new Date(world.now().getTime() + backoff)
}

export function signDelivery(signingToken: string, id: string, timestamp: string, body: string): string {
  const key = Buffer.from(signingToken.replace(/^whsec_/, ''), 'base64')
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
}

function buildHeaders(
  world: HookWorld,
  hook: SimHook,
  kind: HookKind,
  key: string,
  body: string,
): Record<string, string> {
  const timestamp = String(Math.floor(world.now().getTime() / 1000))
  return {
    ...hook.customHeaders,
    'Content-Type': 'application/json',
    'User-Agent': `GitLab/${GITLAB_VERSION}`,
    'Idempotency-Key': key,
    'webhook-id': key,
    'webhook-timestamp': timestamp,
    'X-Gitlab-Event': EVENT_NAMES[kind],
    // Documented as the hook's own id; the code sends a fresh one each time (app/services/web_hook_service.rb).
    'X-Gitlab-Webhook-UUID': randomUUID(),
    'X-Gitlab-Event-UUID': randomUUID(),
    'X-Gitlab-Instance': world.url,
    ...(hook.token === null ? {} : { 'X-Gitlab-Token': hook.token.replace(/[\r\n]/g, '') }),
    ...(hook.signingToken === null
      ? {}
      : { 'webhook-signature': signDelivery(hook.signingToken, key, timestamp, body) }),
  }
}

function isLocal(url: string): boolean {
  return /^(localhost|127\.|\[::1\]|10\.|192\.168\.)/.test(new URL(url).hostname)
}

interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

function post(world: HookWorld, url: string, headers: Record<string, string>, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const target = new URL(url)
    const send = target.protocol === 'https:' ? httpsRequest : httpRequest
    const timeout = AbortSignal.timeout(world.settings.webhookTimeoutMs)
    const auth = target.username === '' ? undefined : `${target.username}:${target.password}`
    const request = send(
      `${target.origin}${target.pathname}${target.search}`,
      {
        method: 'POST',
        headers: { ...headers, 'Content-Length': Buffer.byteLength(body), Connection: 'close' },
        agent: false,
        signal: AbortSignal.any([timeout, world.closed]),
        ...(auth === undefined ? {} : { auth: decodeURIComponent(auth) }),
      },
      response => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const pairs = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const)
          resolve({
            status: response.statusCode ?? 0,
            headers: Object.fromEntries(pairs.slice(0, 50)),
            body: Buffer.concat(chunks).toString().slice(0, LIMITS.responseBody),
          })
        })
      },
    )
    request.on('error', error => reject(timeout.aborted ? new Error('Net::ReadTimeout') : error))
    request.end(body)
  })
}

async function deliver(
  world: HookWorld,
  hook: SimHook,
  kind: HookKind,
  body: string,
  key: string,
  attempt: number,
): Promise<SimDelivery> {
  const headers = buildHeaders(world, hook, kind, key, body)
  const started = performance.now()
  const delivery: SimDelivery = {
    id: world.nextId('delivery'),
    hookId: hook.id,
    projectId: hook.projectId,
    kind,
    event: EVENT_NAMES[kind],
    url: hook.url,
    requestHeaders: headers,
    requestBody: body,
    responseStatus: 'internal error',
    responseHeaders: {},
    responseBody: '',
    error: null,
    durationMs: 0,
    attempt,
    idempotencyKey: key,
    at: world.now(),
  }
  try {
    // lib/gitlab/http.rb, url_blocker.rb: looked at with each delivery, since a name may lead elsewhere later.
    if (!world.settings.allowLocalRequests && isLocal(hook.url))
      throw new Error('URL is blocked: Requests to localhost are not allowed')
    if (Buffer.byteLength(body) > BODY_LIMIT) throw new Error('the payload is larger than 25 MB')
    const answer = await post(world, hook.url, headers, body)
    delivery.responseStatus = answer.status
    delivery.responseHeaders = answer.headers
    delivery.responseBody = answer.body
  } catch (error) {
    delivery.error = error instanceof Error ? error.message : String(error)
  }
  delivery.durationMs = performance.now() - started
  const { responseStatus } = delivery
  // Redirections count as success (`response.success? || response.redirection?`).
  noteOutcome(world, hook, typeof responseStatus === 'number' && responseStatus >= 200 && responseStatus < 400)
  remember(world.deliveries, delivery, LIMITS.deliveries)
  return delivery
}

export interface Hooks {
  /** True when some hook of the project would hear of it: a payload that nobody reads need not be made. */
  listens(projectId: number, kind: HookKind): boolean
  /** Queues an event for every hook of the project that listens; each hook's queue keeps its order. */
  fire(projectId: number, kind: HookKind, payload: object, branch?: string): void
  /** The same body and Idempotency-Key again, with a new timestamp. @throws Refusal when there is no such delivery. */
  resend(deliveryId: number): Promise<SimDelivery>
  /** One event to one hook, also to a disabled one, which it enables. */
  test(hook: SimHook, kind: HookKind, payload: object): Promise<SimDelivery>
}

export function createHooks(world: HookWorld): Hooks {
  const queues = new Map<number, Promise<unknown>>()

  function enqueue<T>(hook: SimHook, work: () => Promise<T>): Promise<T> {
    const before = queues.get(hook.id) ?? Promise.resolve()
    const turn = before.then(work, work)
    queues.set(hook.id, turn)
    turn.then(
      () => queues.get(hook.id) === turn && queues.delete(hook.id),
      () => {},
    )
    return world.track(turn)
  }

  function listens(projectId: number, kind: HookKind): boolean {
    return [...world.hooks.values()].some(hook => hook.projectId === projectId && hook.events[kind])
  }

  function fire(projectId: number, kind: HookKind, payload: object, branch?: string): void {
    const listening = [...world.hooks.values()].filter(
      hook =>
        hook.projectId === projectId &&
        hook.events[kind] &&
        (branch === undefined || hook.pushBranchFilter === '' || matchesWildcard(hook.pushBranchFilter, branch)),
    )
    if (listening.length === 0) return
    const body = JSON.stringify(payload)
    for (const hook of listening) {
      const key = randomUUID()
      enqueue(hook, async () => {
        if (world.closed.aborted || !world.hooks.has(hook.id)) return
        if (hookStatus(world, hook) !== 'executable') hook.dropped += 1
        else await deliver(world, hook, kind, body, key, 1)
      })
    }
  }

  async function resend(deliveryId: number): Promise<SimDelivery> {
    const earlier = world.deliveries.find(delivery => delivery.id === deliveryId)
    const hook = earlier && world.hooks.get(earlier.hookId)
    if (!earlier || !hook) throw new Refusal(404, { message: '404 Not found' })
    const attempt = world.deliveries.filter(d => d.idempotencyKey === earlier.idempotencyKey).length + 1
    return enqueue(hook, () => deliver(world, hook, earlier.kind, earlier.requestBody, earlier.idempotencyKey, attempt))
  }

  function test(hook: SimHook, kind: HookKind, payload: object): Promise<SimDelivery> {
    return enqueue(hook, async () => {
      enableHook(hook)
      return deliver(world, hook, kind, JSON.stringify(payload), randomUUID(), 1)
    })
  }

  return { listens, fire, resend, test }
}
