/** One delivery, one row: the key under which a repeated delivery is recognised. */
import { createHash } from 'node:crypto'
import type { HeaderReader } from './verify.ts'

const shape = /^[A-Za-z0-9][A-Za-z0-9._:-]{7,127}$/

/**
 * `webhook-id` (GitLab 19.0) and `Idempotency-Key` (17.4) carry the same value, stable over retries and "Resend". The first is under
 * the signature, so it goes first: else a delivery could be replayed under another Idempotency-Key. X-Gitlab-Webhook-UUID is fresh for each
 * attempt and no key at all. An older GitLab, or a value of a strange shape: what was said, and in which chain of requests.
 */
export function deliveryKey(headers: HeaderReader, bodySha256: string): string {
  for (const name of ['webhook-id', 'idempotency-key']) {
    const value = headers.get(name)
    if (value !== null && shape.test(value)) return value
  }
  const chain = headers.get('x-gitlab-event-uuid') ?? ''
  const event = headers.get('x-gitlab-event') ?? ''
  return `body:${createHash('sha256').update(`${event}\n${chain}\n${bodySha256}`).digest('hex')}`
}
