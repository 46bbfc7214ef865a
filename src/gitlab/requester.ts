import { createRequesterFn, formatQuery, type RequestOptions, type ResponseBodyTypes } from '@gitbeaker/requester-utils'
import { toError } from '../errors.ts'
import { formsOf } from '../log.ts'
import { type Circuit, createCircuit, type Reachability } from './circuit.ts'
import { GitLabError, kindOfStatus, wordsOf } from './errors.ts'
import { createRateLimits } from './rate-limit.ts'
import { routeOf } from './route.ts'
import type { TokenSource } from './token.ts'

export interface GitLabCall {
  readonly method: string
  readonly route: string
  readonly status: number | 'network' | 'timeout'
  readonly ms: number
}

export interface RequesterOptions {
  /** The instance, e.g. `https://gitlab.example.org`, also below a path. */
  readonly url: string
  readonly token: TokenSource
  /** Milliseconds for one call, its body included. */
  readonly deadline?: number
  /** Bytes of the largest answer that is read. */
  readonly largest?: number
  /** Calls in flight at once; the others wait their turn. */
  readonly concurrency?: number
  /** A site's own: private CA, proxy. */
  readonly fetch?: typeof fetch
  readonly now?: () => number
  readonly random?: () => number
  readonly userAgent?: string
  /** Shared by clients of one instance; each has its own otherwise. */
  readonly circuit?: Circuit
  readonly onCall?: (call: GitLabCall) => void
  /** Other secrets that a call may carry in its body, and GitLab in its answer; the token is hidden anyway. */
  readonly hide?: readonly string[]
}

export interface CallCount {
  readonly method: string
  readonly route: string
  readonly status: number | 'network' | 'timeout'
  readonly count: number
  readonly ms: number
}

export interface Requester {
  readonly url: string
  readonly requesterFn: ReturnType<typeof createRequesterFn>
  /** For the calls that gitbeaker does not know; keys are decamelized as it does. */
  get(path: string, query?: Record<string, unknown>): Promise<unknown>
  /** For what lies beside the API, e.g. `oauth/token/info`. */
  getBeside(path: string): Promise<unknown>
  /** Sends a form, as files are sent. */
  postForm(path: string, form: FormData): Promise<unknown>
  counts(): CallCount[]
  reachability(): Reachability
  /** Milliseconds for which GitLab wants no call at all (its rate limit); 0 for none. */
  pause(): number
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** What the text says as JSON; null where there is none. */
  readonly body: unknown
}

/**
 * The one way to GitLab, under gitbeaker. Its own requester repeats every method, POST too, after 429 and 502, ignores Retry-After, waits
 * 300 s and follows redirects (43.8.0, packages/rest/src/Requester.ts). Here a call is made once, with a deadline; what follows is
 * decided by those who know what the call meant. Only a 401 is repeated, once, when the token has changed: it was not done.
 */
export function createRequester(options: RequesterOptions): Requester {
  const url = options.url.replace(/\/+$/, '')
  const api = `${url}/api/v4/`
  const now = options.now ?? Date.now
  const random = options.random ?? Math.random
  const deadline = options.deadline ?? 20_000
  const largest = options.largest ?? 32 * 1024 * 1024
  const circuit = options.circuit ?? createCircuit({ now, random })
  const limits = createRateLimits(now, random)
  const turn = createTurns(options.concurrency ?? 16)
  const counts = new Map<string, CallCount>()
  const secrets = new Set((options.hide ?? []).filter(value => value.length >= 6).flatMap(formsOf))
  let renewal: Promise<void> | null = null
  let renewalProblem = ''

  /** By value: a proxy's error page or an exception of fetch may repeat the header it was sent. */
  function redact(text: string): string {
    let clean = text
    for (const form of secrets) clean = clean.replaceAll(form, '[token]')
    return clean
  }

  function currentToken(): string {
    const token = options.token.current()
    if (token.length >= 4 && !secrets.has(token)) for (const form of formsOf(token)) secrets.add(form)
    // fetch would refuse it too, and quote it in its message.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new GitLabError('The GitLab token is empty or has characters that no token has; look at `gitlab.token`', {
        kind: 'unauthorized',
      })
    }
    return token
  }

  function count(method: string, route: string, status: GitLabCall['status'], ms: number): void {
    const key = `${method} ${route} ${status}`
    const before = counts.get(key)
    counts.set(key, { method, route, status, count: (before?.count ?? 0) + 1, ms: (before?.ms ?? 0) + ms })
    options.onCall?.({ method, route, status, ms })
  }

  /** Whether a 401 is worth repeating. Many calls may meet it at once: the token is read again once for all. */
  async function isRenewed(used: string): Promise<boolean> {
    if (options.token.current() !== used) return true
    renewal ??= renew()
    await renewal
    return options.token.current() !== used
  }

  async function renew(): Promise<void> {
    try {
      await options.token.renew()
      renewalProblem = ''
    } catch (error) {
      renewalProblem = `; the token could not be read again: ${redact(toError(error).message).slice(0, 200)}`
    } finally {
      renewal = null
    }
  }

  async function call(
    method: string,
    path: string,
    query: string,
    body: string | FormData | undefined,
    base = api,
  ): Promise<Answer> {
    if (path.split('/').some(part => part === '' || /^(\.|%2e){1,2}$/i.test(part))) {
      throw new GitLabError(`${method} ${path}: not a path of GitLab's API`, { kind: 'invalid' })
    }
    const release = await turn()
    try {
      const token = currentToken()
      let answer = await send(method, path, query, body, token, base)
      if (answer.status === 401 && (await isRenewed(token))) {
        answer = await send(method, path, query, body, currentToken(), base)
      }
      return failUnlessOk(method, path, answer)
    } finally {
      release()
    }
  }

  async function send(
    method: string,
    path: string,
    query: string,
    body: string | FormData | undefined,
    token: string,
    base: string,
  ): Promise<Answer> {
    const route = routeOf(path)
    const name = `${method} ${route}`
    const pause = limits.wait(name)
    if (pause > 0) {
      throw new GitLabError(
        `${name}: not sent, GitLab asked for a pause (rate limit), ${Math.ceil(pause / 1000)} s left`,
        {
          kind: 'rate limited',
          retryAfter: pause,
        },
      )
    }
    const ticket = circuit.enter()
    if ('refusedFor' in ticket) {
      throw new GitLabError(
        `${name}: not sent, ${url} is in trouble (${circuit.state().lastError ?? 'no answer'}), next try in ${Math.ceil(ticket.refusedFor / 1000)} s`,
        { kind: 'unreachable', retryAfter: ticket.refusedFor },
      )
    }

    const began = now()
    let left = false
    const leave = (outcome: 'answered' | 'fault' | 'trouble', reason?: string) => {
      if (!left) circuit.leave(ticket, outcome, reason)
      left = true
    }
    const trouble = (message: string, status: number | null, maybeDone: boolean, cause?: unknown) =>
      new GitLabError(redact(`${method} ${path}: ${message}`), {
        kind: 'unreachable',
        status,
        maybeDone: method === 'POST' && maybeDone,
        retryAfter: circuit.pause(),
        cause,
      })

    let response: Response
    let text: string
    try {
      const headers: Record<string, string> = {
        accept: 'application/json',
        'user-agent': options.userAgent ?? 'compops',
        ...(options.token.kind === 'oauth' ? { authorization: `Bearer ${token}` } : { 'private-token': token }),
        // The type of a form names its boundary: fetch writes it.
        ...(typeof body === 'string' ? { 'content-type': 'application/json' } : {}),
      }
      response = await (options.fetch ?? fetch)(`${base}${path}${query === '' ? '' : `?${query}`}`, {
        method,
        headers,
        redirect: 'manual',
        signal: AbortSignal.timeout(deadline),
        ...(body === undefined ? {} : { body }),
      })
      text = await readBody(response, largest)
    } catch (error) {
      const ms = now() - began
      if (error instanceof TooLarge) {
        count(method, route, error.status, ms)
        leave('answered')
        throw new GitLabError(`${method} ${path}: the answer is larger than ${largest} bytes and was not read`, {
          kind: 'invalid',
          status: error.status,
          maybeDone: method === 'POST',
        })
      }
      const cause = toError(error)
      const timedOut = cause.name === 'TimeoutError' || cause.name === 'AbortError'
      count(method, route, timedOut ? 'timeout' : 'network', ms)
      const why = timedOut ? `no answer within ${deadline} ms` : networkWords(cause, redact)
      leave('trouble', why)
      throw trouble(why, null, timedOut || !failedToConnect(cause), new Error(redact(cause.message)))
    }

    const { status, headers } = response
    count(method, route, status, now() - began)
    const contentType = headers.get('content-type') ?? ''
    const typeWords = redact(contentType).slice(0, 100) || 'no content type'
    const said = wordsOf(text, contentType, redact)
    if (status >= 500) {
      const words = said || redact(response.statusText)
      leave(status === 500 ? 'fault' : 'trouble', `${status} ${words}`.trim())
      throw trouble(`${status} ${words}`.trim(), status, true)
    }
    const json = status < 300 && text !== '' ? readJson(text, contentType) : null
    if (json === undefined) {
      leave('fault', 'the answer is not JSON')
      throw trouble(
        `the answer is not GitLab's (${typeWords}, ${text.length} characters): cut, or from a proxy; is \`gitlab.url\` right?`,
        status,
        true,
      )
    }
    if (status === 404 && !/json/i.test(contentType)) {
      // GitLab says 404 in JSON. Taken for its word, a proxy's page would mean that a branch or a note is gone.
      leave('answered')
      throw trouble(`404 that is not GitLab's (${typeWords}): from a proxy, or \`gitlab.url\` is wrong`, status, false)
    }
    leave('answered')
    if (status === 429) {
      const retryAfter = limits.refused(name, headers)
      throw new GitLabError(redact(`${method} ${path}: 429 ${said}, again in ${Math.ceil(retryAfter / 1000)} s`), {
        kind: 'rate limited',
        status,
        said,
        retryAfter,
      })
    }
    limits.answered(name, headers)
    return { status, headers, text, body: json }
  }

  function failUnlessOk(method: string, path: string, answer: Answer): Answer {
    const { status, headers, text } = answer
    if (status >= 200 && status < 300) return answer
    const kind = kindOfStatus(status)
    if (kind === 'redirected') {
      throw new GitLabError(
        redact(
          `${method} ${path}: ${status}, redirected to ${placeOf(headers.get('location'), api)}; not followed, since the token must not travel. Set \`gitlab.url\` to the final address`,
        ),
        { kind, status },
      )
    }
    const said = wordsOf(text, headers.get('content-type') ?? '', redact)
    // A thing that is missing is told as `message`; `error` is the catch-all route (lib/api/api.rb).
    if (status === 404 && /^\s*\{\s*"error"\s*:/.test(text)) {
      throw new GitLabError(
        redact(`${method} ${path}: GitLab knows no such call; does a proxy before it decode %2F in paths?`),
        { kind: 'invalid', status, said },
      )
    }
    const words = said.startsWith(`${status}`) ? said : `${status} ${said}`
    throw new GitLabError(redact(`${method} ${path}: ${words}${status === 401 ? renewalProblem : ''}`), {
      kind,
      status,
      said,
    })
  }

  const requesterFn = createRequesterFn(
    (_resource, request) => Promise.resolve(request),
    async <T extends ResponseBodyTypes>(endpoint: string, given?: Record<string, unknown>) => {
      const { method = 'GET', prefixUrl = '', searchParams = '', body } = (given ?? {}) as RequestOptions
      const path = `${prefixUrl.replace(/\/+$/, '')}/${endpoint}`.slice(api.length)
      const answer = await call(method, path, searchParams, typeof body === 'string' ? body : undefined)
      return {
        body: answer.body as T,
        headers: withNextPage(answer.headers),
        status: answer.status,
      }
    },
  )

  return {
    url,
    requesterFn,
    async get(path, query) {
      return (await call('GET', path, formatQuery(query), undefined)).body
    },
    async getBeside(path) {
      return (await call('GET', path, '', undefined, `${url}/`)).body
    },
    async postForm(path, form) {
      return (await call('POST', path, '', form)).body
    },
    counts: () => [...counts.values()],
    reachability: circuit.state,
    pause: limits.pause,
  }
}

class TooLarge extends Error {
  readonly status: number
  constructor(status: number) {
    super('too large')
    this.status = status
  }
}

/** Counted after decompression, so that a small answer cannot unpack into all our memory. */
async function readBody(response: Response, largest: number): Promise<string> {
  if (response.body === null) return ''
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body) {
    size += chunk.byteLength
    if (size > largest) throw new TooLarge(response.status)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** undefined for what is not JSON, or not said to be. */
function readJson(text: string, contentType: string): unknown {
  if (!/json/i.test(contentType)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Lists are followed by `x-next-page`; where a proxy drops it, the page stands in the Link header too. */
function withNextPage(headers: Headers): Record<string, string> {
  const found = Object.fromEntries(headers.entries())
  if (found['x-next-page'] === undefined) {
    const next = /<[^>]*[?&]page=(\d{1,9})[^>]*>\s*;\s*rel="next"/.exec(found.link ?? '')?.[1]
    if (next !== undefined) found['x-next-page'] = next
  }
  return found
}

/** Without user, query and fragment, which may hold secrets. */
function placeOf(location: string | null, base: string): string {
  if (location === null || !URL.canParse(location, base)) return 'an unreadable address'
  const { origin, pathname } = new URL(location, base)
  return `${origin}${pathname}`.slice(0, 200)
}

interface SystemError extends Error {
  readonly code?: string
  readonly syscall?: string
}

/** fetch says "fetch failed"; what happened stands in its cause. */
function innermost(error: Error): SystemError {
  return error.cause instanceof Error ? innermost(error.cause) : error
}

function networkWords(error: Error, clean: (text: string) => string): string {
  const inner = innermost(error)
  const words = [inner.code, inner.message || error.message].filter(text => text !== undefined && text !== '')
  const line = clean(words.join(' ')).replace(/\s+/g, ' ').slice(0, 300)
  return isCertificateError(inner)
    ? `${line}; for a private certificate authority set \`gitlab.ca_file\``
    : line || 'network trouble'
}

/** Such a call never left: it was not done. */
function failedToConnect(error: Error): boolean {
  const inner = innermost(error)
  return (
    inner.syscall === 'connect' ||
    inner.syscall === 'getaddrinfo' ||
    inner.code === 'ECONNREFUSED' ||
    inner.code === 'ENOTFOUND' ||
    inner.code === 'EAI_AGAIN' ||
    inner.code === 'UND_ERR_CONNECT_TIMEOUT' ||
    isCertificateError(inner)
  )
}

function isCertificateError(error: SystemError): boolean {
  return /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(error.code ?? '')
}

/** At most `size` at once, first come, first served. */
function createTurns(size: number): () => Promise<() => void> {
  let free = size
  const waiting: (() => void)[] = []
  const release = () => {
    const next = waiting.shift()
    if (next === undefined) free += 1
    else next()
  }
  return async () => {
    if (free > 0) free -= 1
    else await new Promise<void>(resolve => waiting.push(resolve))
    return release
  }
}
