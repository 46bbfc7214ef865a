import type { ContentfulStatusCode } from 'hono/utils/http-status'

/** GitLab says no: thrown anywhere, answered once, in GitLab's wording. */
export class Refusal extends Error {
  readonly status: ContentfulStatusCode
  readonly body: Record<string, unknown> | string
  readonly headers: Record<string, string>

  constructor(
    status: ContentfulStatusCode,
    body: Record<string, unknown> | string,
    headers: Record<string, string> = {},
  ) {
    super(typeof body === 'string' ? body : JSON.stringify(body))
    this.name = 'Refusal'
    this.status = status
    this.body = body
    this.headers = headers
  }
}

export function unauthorized(): Refusal {
  return new Refusal(401, { message: '401 Unauthorized' })
}

export function forbidden(reason?: string): Refusal {
  return new Refusal(403, { message: reason === undefined ? '403 Forbidden' : `403 Forbidden - ${reason}` })
}

/** `notFound('Project')` is `404 Project Not Found`; without a thing it is `404 Not found`, as `ActiveRecord::RecordNotFound` is answered. */
export function notFound(thing?: string): Refusal {
  return new Refusal(404, { message: thing === undefined ? '404 Not found' : `404 ${thing} Not Found` })
}

/** A parameter the API declares is missing or has a wrong form; the wording is grape's. */
export function badParameter(message: string): Refusal {
  return new Refusal(400, { error: message })
}

export function badRequest(message: string | Record<string, unknown>): Refusal {
  return new Refusal(400, { message })
}

export function conflict(message: string | string[]): Refusal {
  return new Refusal(409, { message })
}
