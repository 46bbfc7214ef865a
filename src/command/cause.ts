import { createHash } from 'node:crypto'

/** The cause of what a person asks over HTTP or on a page: with the same key it is the same request, and done once. */
export function causeAsked(person: number, key: readonly unknown[]): `api:${string}` {
  return `api:${person}:${createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 32)}`
}
