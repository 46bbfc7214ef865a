/** A delivery as GitLab makes it, from a fixture: for the tests of this room. */
import { createHmac, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'

const folder = new URL('../fixtures/webhook/', import.meta.url)

export const fixtureNames = readdirSync(folder)
  .filter(file => file.endsWith('.json'))
  .map(file => file.slice(0, -'.json'.length))

export function fixtureText(name: string): string {
  return readFileSync(new URL(`${name}.json`, folder), 'utf8')
}

export function fixture(name: string): unknown {
  return JSON.parse(fixtureText(name))
}

/** What GitLab 19 says in X-Gitlab-Event about this body. */
export function eventHeader(name: string): string {
  const kinds: readonly [string, string][] = [
    ['system-', 'System Hook'],
    ['push', 'Push Hook'],
    ['custom-', 'Push Hook'],
    ['tag-', 'Tag Push Hook'],
    ['mr-', 'Merge Request Hook'],
    ['note-', 'Note Hook'],
    ['pipeline-', 'Pipeline Hook'],
    ['deployment-', 'Deployment Hook'],
    ['job-', 'Job Hook'],
  ]
  return kinds.find(([start]) => name.startsWith(start))?.[1] ?? 'Push Hook'
}

export interface DeliveryOptions {
  readonly token?: string | null
  readonly signingToken?: string | null
  readonly at?: Date
  readonly id?: string
  readonly event?: string
}

/** Headers of one attempt, signed here as the Standard Webhooks text says, not by our own code. */
export function deliveryHeaders(body: string | Uint8Array, options: DeliveryOptions = {}): Record<string, string> {
  const id = options.id ?? randomUUID()
  const timestamp = String(Math.floor((options.at ?? new Date()).getTime() / 1000))
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    'User-Agent': 'GitLab/19.4.0-ee',
    'X-Gitlab-Event': options.event ?? 'Push Hook',
    'X-Gitlab-Webhook-UUID': randomUUID(),
    'X-Gitlab-Event-UUID': randomUUID(),
    'X-Gitlab-Instance': 'https://gitlab.example.org',
    'Idempotency-Key': id,
    'webhook-id': id,
    'webhook-timestamp': timestamp,
  }
  if (options.token != null) headers['X-Gitlab-Token'] = options.token
  if (options.signingToken != null) headers['webhook-signature'] = sign(options.signingToken, id, timestamp, body)
  return headers
}

export function sign(signingToken: string, id: string, timestamp: string, body: string | Uint8Array): string {
  const key = Buffer.from(signingToken.replace('whsec_', ''), 'base64')
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), Buffer.from(body)])
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`
}
