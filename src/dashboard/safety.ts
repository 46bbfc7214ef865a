import { timingSafeEqual } from 'node:crypto'
import type { Context as HonoContext } from 'hono'
import { Refusal } from '../auth/refusal.ts'

/** Nothing but our own files; nothing inline; nobody frames us; what a script writes as HTML goes through the one named policy. */
export const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types compops',
].join('; ')

/** For bytes that others wrote: should a browser ever take them for a page, it may do nothing. */
export const sandbox = "default-src 'none'; sandbox"

export function secure(headers: Headers): void {
  if (!headers.has('content-security-policy')) headers.set('content-security-policy', policy)
  headers.set('x-content-type-options', 'nosniff')
  headers.set('x-frame-options', 'DENY')
  headers.set('referrer-policy', 'same-origin')
  headers.set('cross-origin-opener-policy', 'same-origin')
  headers.set('cross-origin-resource-policy', 'same-origin')
  headers.set('permissions-policy', 'camera=(), geolocation=(), microphone=()')
  if (!headers.has('cache-control')) headers.set('cache-control', 'private, no-store')
}

/** A form that changes something comes from a page of ours, and holds what only such a page can know. Throws Refusal. */
export function checkForm(c: HonoContext, publicUrl: string, expected: string, given: unknown): void {
  const site = c.req.header('sec-fetch-site')
  const origin = c.req.header('origin')
  const own = new Set([new URL(publicUrl).origin, new URL(c.req.url).origin])
  const foreign = (site !== undefined && site !== 'same-origin') || (origin !== undefined && !own.has(origin))
  if (foreign || typeof given !== 'string' || !same(given, expected))
    throw new Refusal(
      403,
      'This did not come from a page of yours, or the page is too old: go back, load it anew and try again',
    )
}

function same(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** `localhost`, `127.0.0.1`, `[::1]`: a page elsewhere that gives our address a name of its own does not get in. */
export function isLoopbackHost(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?$/i.test(host)
}
