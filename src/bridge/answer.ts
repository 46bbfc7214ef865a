import { STATUS_CODES } from 'node:http'
import type { Refusal } from '../auth/refusal.ts'

/** What is said besides the sentence: words without spaces, so that a shell can read them. */
export type Words = Readonly<Record<string, string | number | boolean | null>>

export interface Answer {
  readonly status?: number
  readonly words: Words
  /** For people. */
  readonly said: string
  /** What follows: rows, or a piece of a file. */
  readonly body?: string | Uint8Array
}

/** What the scripts of `ci-templates/` ask for: a shell reads the first line, shows the second, and keeps the rest. */
export const plainType = 'text/vnd.compops'

/**
 * An answer in the form that was asked for. Plain: always 200, with the true status in the first line, since `wget` of busybox shows nothing of any other answer, and a job's log should say
 * what was wrong. Else JSON; a refusal as problem+json (RFC 9457).
 */
export function toResponse(answer: Answer, accept: string | undefined, redact: (text: string) => string): Response {
  const { status = 200, words, said, body = '' } = answer
  const headers = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }
  if (accept?.includes(plainType) === true) {
    const first = Object.entries(words).map(([key, value]) => ` ${key}=${wordOf(value)}`)
    const head = redact(`compops ${status}${first.join('')}\n${said.replace(/[\0-\x1f\x7f]+/g, ' ').trim()}\n`)
    const rest = typeof body === 'string' ? Buffer.from(redact(body)) : body
    return new Response(Buffer.concat([Buffer.from(head), rest]), {
      headers: { ...headers, 'content-type': `${plainType}; charset=utf-8` },
    })
  }
  if (status >= 400)
    return new Response(
      redact(JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, detail: said, ...words })),
      {
        status,
        headers: {
          ...headers,
          'content-type': 'application/problem+json',
          ...(status === 401 ? { 'www-authenticate': 'Bearer realm="id_token of a CI job"' } : {}),
          ...(typeof words.retry === 'number' ? { 'retry-after': String(words.retry) } : {}),
        },
      },
    )
  const text = typeof body === 'string' ? body : Buffer.from(body).toString()
  return new Response(redact(JSON.stringify({ ...words, said, ...(text === '' ? {} : { body: text }) })), {
    status,
    headers: { ...headers, 'content-type': 'application/json' },
  })
}

export function refused(error: Refusal): Answer {
  return {
    status: error.status,
    words: error.retryAfter === null ? {} : { retry: error.retryAfter },
    said: error.message,
  }
}

function wordOf(value: Words[string]): string {
  if (value === null) return '-'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  const word = String(value).replace(/[^A-Za-z0-9_.:-]+/g, '-')
  return word === '' ? '-' : word
}
