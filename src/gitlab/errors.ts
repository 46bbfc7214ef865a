import { CompopsError } from '../errors.ts'

export type GitLabErrorKind =
  /** 401: the token is wrong, revoked or expired. */
  | 'unauthorized'
  /** 403: visible, but the role is too low or the branch is protected. */
  | 'forbidden'
  /** 404: not there, not visible, or the feature is switched off; GitLab does not say which. */
  | 'not found'
  /** 409: somebody else is at it. */
  | 'conflict'
  /** 400, 422 and what we refuse to send or to read ourselves. */
  | 'invalid'
  /** 429, or a pause that an earlier 429 asked for. */
  | 'rate limited'
  /** Network trouble, a deadline, 5xx, an answer that is not GitLab's, or calls held back after such trouble. */
  | 'unreachable'
  /** 3xx: never followed, since the token would travel along. */
  | 'redirected'

const transientKinds: ReadonlySet<GitLabErrorKind> = new Set(['conflict', 'rate limited', 'unreachable'])

interface Details {
  readonly kind: GitLabErrorKind
  readonly status?: number | null
  readonly said?: string
  readonly maybeDone?: boolean
  readonly retryAfter?: number | null
  readonly cause?: unknown
}

/** A call that GitLab refused or did not answer. Neither message nor cause ever holds a token. */
export class GitLabError extends CompopsError {
  readonly kind: GitLabErrorKind
  /** null when no answer came, or none was asked for. */
  readonly status: number | null
  /** GitLab's own words, at most 300 characters; empty when it said nothing. */
  readonly said: string
  /** A POST was sent and its answer lost: read back before repeating it. */
  readonly maybeDone: boolean
  /** Milliseconds until the same call makes sense again, where known. */
  readonly retryAfter: number | null

  constructor(message: string, details: Details) {
    super(message, {
      transient: transientKinds.has(details.kind),
      ...(details.cause === undefined ? {} : { cause: details.cause }),
    })
    this.kind = details.kind
    this.status = details.status ?? null
    this.said = details.said ?? ''
    this.maybeDone = details.maybeDone ?? false
    this.retryAfter = details.retryAfter ?? null
  }
}

export function kindOfStatus(status: number): GitLabErrorKind {
  if (status >= 300 && status < 400) return 'redirected'
  if (status === 401) return 'unauthorized'
  if (status === 403) return 'forbidden'
  if (status === 404) return 'not found'
  if (status === 409) return 'conflict'
  if (status === 429) return 'rate limited'
  return status >= 500 ? 'unreachable' : 'invalid'
}

export function isGitLabError(thrown: unknown, ...kinds: readonly GitLabErrorKind[]): thrown is GitLabError {
  return thrown instanceof GitLabError && (kinds.length === 0 || kinds.includes(thrown.kind))
}

/**
 * GitLab's words out of an error body, at most 300 characters on one line. It says them as `message` (text, or lists by field),
 * as `error` with `error_description` (OAuth), as plain text (Rack::Attack), or a proxy says them as an HTML page. `clean` takes
 * secrets out before anything is cut, so that no half of one is left.
 */
export function wordsOf(body: string, contentType: string, clean: (text: string) => string = text => text): string {
  if (/json/i.test(contentType)) {
    try {
      return oneLine(clean(wordsOfJson(JSON.parse(body))))
    } catch {
      return ''
    }
  }
  if (/html/i.test(contentType) || /^\s*</.test(body)) {
    return oneLine(clean(/<title[^>]{0,100}>([^<]{0,2000})/i.exec(clean(body.slice(0, 20_000)))?.[1] ?? ''))
  }
  return oneLine(clean(body))
}

function wordsOfJson(body: unknown): string {
  if (typeof body !== 'object' || body === null) return flat(body)
  const { message, error, error_description: description } = body as Record<string, unknown>
  if (message !== undefined) return flat(message)
  return [flat(error), flat(description)].filter(text => text !== '').join(': ')
}

/** `{"name":["has already been taken"]}` becomes `name has already been taken`. */
function flat(value: unknown, depth = 0): string {
  if (value === null || value === undefined || depth > 4) return ''
  if (Array.isArray(value)) return value.map(item => flat(item, depth + 1)).join(', ')
  if (typeof value !== 'object') return String(value)
  return Object.entries(value)
    .map(([key, item]) => `${key === 'base' ? '' : `${key} `}${flat(item, depth + 1)}`)
    .join('; ')
}

function oneLine(text: string, max = 300): string {
  const line = text.replace(/[\s\u0000-\u001f\u007f]+/g, ' ').trim()
  return line.length > max ? `${line.slice(0, max - 1)}…` : line
}
