import type { Hono } from 'hono'
import { findCommit, resolveRef } from '../git.ts'
import { TRIGGER_NAMES } from '../hooks.ts'
import { pushPayload } from '../payloads.ts'
import { badParameter, badRequest, notFound, Refusal } from '../refusal.ts'
import type { HookKind, SimDelivery, SimHook, SimProject, SimUser } from '../types.ts'
import { ACCESS, ZERO_SHA } from '../types.ts'
import type { World } from '../world.ts'
import { showHook } from './entities.ts'
import type { Params, RestContext, RestEnv } from './request.ts'
import { boolean, list, paginate, pathInteger, requireProject, requireText, requireUser, text } from './request.ts'

const MAX_HOOKS = 100
const MAX_CUSTOM_HEADERS = 20

export interface NewHook {
  url: string
  name?: string | null
  token?: string | null
  signingToken?: string | null
  push?: boolean | undefined
  tagPush?: boolean | undefined
  mergeRequests?: boolean | undefined
  notes?: boolean | undefined
  pipelines?: boolean | undefined
  jobs?: boolean | undefined
  sslVerification?: boolean | undefined
  pushBranchFilter?: string
  customHeaders?: Record<string, string>
}

/** @throws Refusal 400 for an address or a signing token GitLab would not take. */
export function createHook(world: World, project: SimProject, o: NewHook): SimHook {
  checkUrl(o.url)
  if (o.signingToken) checkSigningToken(o.signingToken)
  const hook: SimHook = {
    id: world.nextId('hook'),
    projectId: project.id,
    url: o.url,
    name: o.name ?? null,
    token: o.token ?? null,
    signingToken: o.signingToken ?? null,
    events: {
      push: o.push ?? true,
      tagPush: o.tagPush ?? false,
      mergeRequests: o.mergeRequests ?? false,
      notes: o.notes ?? false,
      pipelines: o.pipelines ?? false,
      jobs: o.jobs ?? false,
    },
    pushBranchFilter: o.pushBranchFilter ?? '',
    customHeaders: o.customHeaders ?? {},
    sslVerification: o.sslVerification ?? true,
    createdAt: world.now(),
    recentFailures: 0,
    backoffCount: 0,
    disabledUntil: null,
    permanentlyDisabled: false,
    dropped: 0,
  }
  world.hooks.set(hook.id, hook)
  return hook
}

function checkUrl(url: string): void {
  const scheme = URL.canParse(url) ? new URL(url).protocol : ''
  if (scheme !== 'http:' && scheme !== 'https:') {
    throw new Refusal(422, { error: 'Invalid url given' })
  }
}

/** `whsec_` and the base64 of exactly 32 bytes. */
function checkSigningToken(token: string): void {
  const encoded = token.startsWith('whsec_') ? token.slice(6) : ''
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.length !== 32 || bytes.toString('base64') !== encoded) {
    throw badRequest({ signing_token: ['must be whsec_ followed by 32 bytes in base64'] })
  }
}

function readHeaders(params: Params): Record<string, string> | undefined {
  const given = params.custom_headers
  if (!Array.isArray(given)) return undefined
  if (given.length > MAX_CUSTOM_HEADERS) throw badParameter('custom_headers are too many')
  const pairs = (given as { key?: unknown; value?: unknown }[]).map(h => [String(h?.key), String(h?.value)] as const)
  if (pairs.some(([key, value]) => !/^[A-Za-z0-9_.-]+$/.test(key) || /[\r\n]/.test(value))) {
    throw badParameter('custom_headers is invalid')
  }
  return Object.fromEntries(pairs)
}

function readHook(params: Params) {
  const headers = readHeaders(params)
  const filter = text(params, 'push_events_branch_filter')
  return {
    push: boolean(params, 'push_events'),
    tagPush: boolean(params, 'tag_push_events'),
    mergeRequests: boolean(params, 'merge_requests_events'),
    notes: boolean(params, 'note_events'),
    pipelines: boolean(params, 'pipeline_events'),
    jobs: boolean(params, 'job_events'),
    sslVerification: boolean(params, 'enable_ssl_verification'),
    ...(headers === undefined ? {} : { customHeaders: headers }),
    ...(filter === undefined ? {} : { pushBranchFilter: filter }),
  }
}

function showEvent(world: World, delivery: SimDelivery) {
  return {
    id: delivery.id,
    url: delivery.url,
    trigger: TRIGGER_NAMES[delivery.kind],
    request_headers: {
      ...delivery.requestHeaders,
      ...('X-Gitlab-Token' in delivery.requestHeaders ? { 'X-Gitlab-Token': '[REDACTED]' } : {}),
    },
    request_data: JSON.parse(delivery.requestBody) as unknown,
    response_headers: delivery.responseHeaders,
    response_body: delivery.responseBody,
    execution_duration: delivery.durationMs / 1000,
    response_status: String(delivery.responseStatus),
    internal_error_message: delivery.error,
    created_at: delivery.at.toISOString(),
    project_id: world.hooks.get(delivery.hookId)?.projectId ?? null,
  }
}

function hasStatus(delivery: SimDelivery, wanted: string): boolean {
  const { responseStatus } = delivery
  if (wanted === 'server_failure') return responseStatus === 'internal error' || responseStatus >= 500
  if (wanted === 'client_failure')
    return responseStatus !== 'internal error' && responseStatus >= 400 && responseStatus < 500
  if (wanted === 'successful') return responseStatus !== 'internal error' && responseStatus < 400
  return String(responseStatus) === wanted
}

const TEST_TRIGGERS: Record<string, HookKind> = {
  push_events: 'push',
  tag_push_events: 'tagPush',
  merge_requests_events: 'mergeRequests',
  note_events: 'notes',
  pipeline_events: 'pipelines',
  job_events: 'jobs',
}

/** A test sends what the project really has: its default branch as a push, and the last delivery of the other kinds. */
async function testPayload(world: World, project: SimProject, user: SimUser, kind: HookKind): Promise<object> {
  if (kind === 'push') {
    const sha = await resolveRef(project.directory, `refs/heads/${project.defaultBranch}`)
    const commit = sha && (await findCommit(project.directory, sha))
    if (!commit) throw new Refusal(422, { message: 'Ensure the project has at least one commit.' })
    return pushPayload(world, {
      project,
      user,
      ref: `refs/heads/${project.defaultBranch}`,
      before: commit.parents[0] ?? ZERO_SHA,
      after: commit.id,
      commits: [commit],
      changed: new Map(),
      total: 1,
      checkoutSha: commit.id,
      message: null,
      options: {},
    })
  }
  const earlier = world.deliveries.findLast(d => d.projectId === project.id && d.kind === kind)
  if (!earlier)
    throw new Refusal(422, { message: `Ensure the project has ${TRIGGER_NAMES[kind].replace('_hooks', '')}s.` })
  return JSON.parse(earlier.requestBody) as object
}

export function addHookRoutes(api: Hono<RestEnv>, world: World): void {
  const requireHook = (c: RestContext) => {
    const project = requireProject(world, c, ACCESS.maintainer)
    const hook = world.hooks.get(pathInteger(c, 'hook_id'))
    if (!hook || hook.projectId !== project.id) throw notFound()
    return { project, hook }
  }

  api.get('/projects/:id/hooks', c => {
    const project = requireProject(world, c, ACCESS.maintainer)
    const hooks = [...world.hooks.values()].filter(hook => hook.projectId === project.id)
    return c.json(paginate(c, hooks).map(hook => showHook(world, hook)))
  })

  api.get('/projects/:id/hooks/:hook_id', c => c.json(showHook(world, requireHook(c).hook)))

  api.post('/projects/:id/hooks', c => {
    const project = requireProject(world, c, ACCESS.maintainer)
    const params = c.get('params')
    const count = [...world.hooks.values()].filter(hook => hook.projectId === project.id).length
    if (count >= MAX_HOOKS) throw badRequest({ base: [`Maximum number of project hooks (${MAX_HOOKS}) exceeded`] })
    const hook = createHook(world, project, {
      ...readHook(params),
      url: requireText(params, 'url'),
      name: text(params, 'name') ?? null,
      token: text(params, 'token') ?? null,
      signingToken: text(params, 'signing_token') ?? null,
    })
    return c.json(showHook(world, hook), 201)
  })

  api.put('/projects/:id/hooks/:hook_id', c => {
    const { hook } = requireHook(c)
    const params = c.get('params')
    const url = text(params, 'url')
    if (url !== undefined) checkUrl(url)
    const signing = text(params, 'signing_token')
    if (signing) checkSigningToken(signing)
    const { customHeaders, pushBranchFilter, sslVerification, ...events } = readHook(params)
    if (sslVerification !== undefined) hook.sslVerification = sslVerification
    if (url !== undefined) hook.url = url
    if (signing !== undefined) hook.signingToken = signing === '' ? null : signing
    const token = text(params, 'token')
    if (token !== undefined) hook.token = token === '' ? null : token
    if (customHeaders !== undefined) hook.customHeaders = customHeaders
    if (pushBranchFilter !== undefined) hook.pushBranchFilter = pushBranchFilter
    for (const [kind, on] of Object.entries(events)) if (on !== undefined) hook.events[kind as HookKind] = on
    return c.json(showHook(world, hook))
  })

  api.delete('/projects/:id/hooks/:hook_id', c => {
    world.hooks.delete(requireHook(c).hook.id)
    return c.body(null, 204)
  })

  api.get('/projects/:id/hooks/:hook_id/events', c => {
    const { hook } = requireHook(c)
    const wanted = list(c.get('params'), 'status')
    const events = world.deliveries
      .filter(d => d.hookId === hook.id && (wanted === undefined || wanted.some(status => hasStatus(d, status))))
      .toReversed()
    return c.json(paginate(c, events).map(delivery => showEvent(world, delivery)))
  })

  api.post('/projects/:id/hooks/:hook_id/events/:event_id/resend', async c => {
    const { hook } = requireHook(c)
    const id = pathInteger(c, 'event_id')
    if (!world.deliveries.some(d => d.id === id && d.hookId === hook.id)) throw notFound()
    const delivery = await world.webhooks.resend(id)
    return c.json({ response_status: delivery.responseStatus }, 201)
  })

  api.post('/projects/:id/hooks/:hook_id/test/:trigger', async c => {
    const { project, hook } = requireHook(c)
    const trigger = c.req.param('trigger')
    const kind = Object.hasOwn(TEST_TRIGGERS, trigger) ? TEST_TRIGGERS[trigger] : undefined
    if (kind === undefined) throw badParameter('trigger does not have a valid value')
    const delivery = await world.webhooks.test(hook, kind, await testPayload(world, project, requireUser(c), kind))
    const { responseStatus } = delivery
    if (responseStatus === 'internal error' || responseStatus >= 400) {
      throw new Refusal(422, { message: delivery.error ?? delivery.responseBody })
    }
    return c.json({ message: '201 Created' }, 201)
  })
}
