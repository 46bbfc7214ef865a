import { CompopsError } from '../errors.ts'

/** A person is told no, in HTTP's words. `retryAfter`: seconds. */
export class Refusal extends CompopsError {
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 422 | 429 | 503
  readonly retryAfter: number | null

  constructor(
    status: Refusal['status'],
    message: string,
    options: { retryAfter?: number | null; cause?: unknown } = {},
  ) {
    super(message, { transient: status === 429 || status === 503, ...(options.cause === undefined ? {} : options) })
    this.status = status
    this.retryAfter = options.retryAfter ?? null
  }
}
