import { readFileSync } from 'node:fs'
import { STATUS_CODES } from 'node:http'
import { Hono, type Context as HonoContext } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import { addressOf } from '../auth/address.ts'
import type { Door } from '../auth/door.ts'
import { createPace } from '../auth/pace.ts'
import { Refusal } from '../auth/refusal.ts'
import { createAuditRefused } from '../auth/refused.ts'
import { troubleWithGitLab } from '../auth/sign-in.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import type { About } from '../model/api.ts'
import { clusterEndpoints } from './clusters.ts'
import { commandEndpoints } from './commands.ts'
import { compareEndpoints } from './compare.ts'
import { doorOf } from './door.ts'
import type { Asked, Endpoint } from './endpoint.ts'
import { openApi } from './openapi.ts'
import { planEndpoints } from './plan.ts'
import { projectEndpoints } from './projects.ts'
import { runEndpoints } from './runs.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const largestBody = 2 * 1024 * 1024

/** `/api/v1` and its description at `/openapi.json`. Whoever asks is who GitLab says that their token is, and sees and does what GitLab lets them. */
export function createApi(context: Context, { signIn, desk }: Door = doorOf(context)): Hono {
  const { config, log, secrets } = context
  const endpoints = [
    ...projectEndpoints(context, desk),
    ...runEndpoints(context, desk),
    ...planEndpoints(context, desk),
    ...commandEndpoints(context, desk),
    ...compareEndpoints(context, desk),
    ...clusterEndpoints(context),
  ]
  const about: About = { name: 'compops', version, gitlab: config.gitlab.url, time_zone: config.timeZone }

  /** Redacted as everything that leaves: what a job said may stand in a message. */
  const json = (value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}) =>
    new Response(secrets.redact(JSON.stringify(value)), {
      status,
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
    })

  const pace = createPace(() => context.clock.now().getTime())

  /** Problem details as of RFC 9457. `error` is what clients read before there was `detail`. */
  const problem = (status: number, detail: string, more: object = {}, headers: Readonly<Record<string, string>> = {}) =>
    json(
      { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, detail, error: detail, ...more },
      status,
      {
        ...headers,
        'content-type': 'application/problem+json',
      },
    )

  /** What a reader of files says in its own words is told like every other mistake. */
  async function asProblem(response: Response): Promise<Response> {
    if (response.status < 400 || response.headers.get('content-type') !== 'application/json') return response
    const { error = '', ...more } = (await response.json()) as { error?: string }
    return problem(response.status, error, more, Object.fromEntries(response.headers))
  }
  const auditRefused = createAuditRefused(context)
  const askers = new WeakMap<Request, string>()

  async function answer(c: HonoContext, endpoint: Endpoint): Promise<Response> {
    const { headers, signal } = c.req.raw
    const caller = await signIn(headers, addressOf(c))
    const { wait, left } = pace.take(caller.person.id)
    if (wait > 0)
      throw new Refusal(
        429,
        `That is too fast: ${pace.limits.burst} requests at once, then ${pace.limits.perSecond} a second; again in ${wait} s`,
        { retryAfter: wait },
      )
    askers.set(c.req.raw, caller.person.username)
    const params = check(endpoint.params, c.req.param())
    if (endpoint.changes?.(params) === true && !caller.mayWrite)
      throw new Refusal(403, 'The token may only read: it has not the scope `api`')
    const asked: Asked<unknown, unknown, unknown> = {
      params,
      query: check(endpoint.query, queryOf(c, endpoint.query)),
      body: endpoint.body === undefined ? undefined : read(endpoint.body, await bodyOf(c), 'the body'),
      ...{ caller, headers, signal, key: endpoint.changes === undefined ? null : keyOf(headers) },
    }
    const answered = await endpoint.handle(asked)
    const response = answered instanceof Response ? await asProblem(answered) : json(answered)
    // As GitLab names them.
    response.headers.set('ratelimit-limit', String(pace.limits.burst))
    response.headers.set('ratelimit-remaining', String(left))
    return response
  }

  const app = new Hono()
  app.get('/openapi.json', c => c.json(openApi(endpoints, { url: config.publicUrl, version })))
  app.get('/api/v1', () => json(about))
  app.use('/api/v1/*', bodyLimit({ maxSize: largestBody, onError: () => problem(413, 'The request is too large') }))
  for (const endpoint of endpoints)
    app.on(endpoint.method.toUpperCase(), `/api/v1${endpoint.path.replace(/\{(\w+)\}/g, ':$1')}`, async c => {
      try {
        const response = await answer(c, endpoint)
        // What a job wrote is never a page.
        response.headers.set('x-content-type-options', 'nosniff')
        return response
      } catch (error) {
        // What stands as it stands (409) the verb has written itself.
        if (error instanceof Refusal && error.status < 409 && endpoint.changes?.(c.req.param()) === true)
          auditRefused(error, {
            by: askers.get(c.req.raw) ?? null,
            ...{ what: `${c.req.method} ${c.req.path}`, address: addressOf(c) },
          })
        return refuse(error, endpoint)
      }
    })
  app.all('/api/*', c => problem(404, `nothing is at ${c.req.method} ${c.req.path}; /openapi.json says what there is`))
  return app

  function refuse(thrown: unknown, endpoint: Endpoint): Response {
    const error = troubleWithGitLab(thrown)
    if (error instanceof Refusal) {
      const retry = error.retryAfter === null ? undefined : { 'retry-after': String(error.retryAfter) }
      const challenge = error.status === 401 ? { 'www-authenticate': 'Bearer realm="GitLab token"' } : undefined
      return problem(error.status, error.message, {}, { ...retry, ...challenge })
    }
    if (error instanceof z.ZodError) {
      const details = error.issues.map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': '))
      return problem(400, 'The request is not understood', { details })
    }
    if (error instanceof CompopsError && error.transient) {
      log.warn({ step: 'api', endpoint: endpoint.name, err: describeError(error) }, 'a request could not be served')
      return problem(503, error.message, {}, { 'retry-after': '5' })
    }
    log.error({ step: 'api', endpoint: endpoint.name, err: describeError(error) }, 'a request failed')
    return problem(500, 'this did not work; the log of the service says why')
  }
}

function keyOf(headers: Headers): string | null {
  const key = headers.get('idempotency-key')?.trim()
  if (key === undefined || key === '') return null
  if (!/^[\x21-\x7e]{1,200}$/.test(key))
    throw new Refusal(400, 'An Idempotency-Key has at most 200 letters, without spaces')
  return key
}

async function bodyOf(c: HonoContext): Promise<unknown> {
  const text = await c.req.text()
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch {
    throw new Refusal(400, 'The body is not JSON')
  }
}

/** A parameter that is not known is a mistake of the one who asks: to be told, not to be passed over. */
/** What may be said several times (`of=a&of=b`) is a list, however often it is. */
function queryOf(c: HonoContext, shape: Endpoint['query']): Record<string, string | string[]> {
  const lists = Object.entries(shape ?? {}).filter(([, schema]) => schema instanceof z.ZodArray)
  return { ...c.req.query(), ...Object.fromEntries(lists.map(([name]) => [name, c.req.queries(name) ?? []])) }
}

function check(shape: Endpoint['params'], given: Readonly<Record<string, string | string[]>>): Record<string, string> {
  return read(z.strictObject(shape ?? {}), given, '') as Record<string, string>
}

function read(schema: z.ZodType, value: unknown, what: string): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new z.ZodError(
    parsed.error.issues.map(issue => ({ ...issue, path: [...(what === '' ? [] : [what]), ...issue.path] })),
  )
}
