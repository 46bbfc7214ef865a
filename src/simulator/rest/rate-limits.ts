import type { Credentials } from '../credentials.ts'
import { Refusal } from '../refusal.ts'
import type { World } from '../world.ts'
import type { RestContext } from './request.ts'

/** Requests of the running minute for each caller. */
export type RateLimits = Map<string, { minute: number; count: number }>

export function createRateLimits(): RateLimits {
  return new Map()
}

function count(limits: RateLimits, key: string, minute: number): number {
  const entry = limits.get(key)
  if (entry?.minute === minute) {
    entry.count += 1
    return entry.count
  }
  // Only this minute matters; everybody else's old counts go with the first request of a new one.
  for (const [other, old] of limits) if (old.minute !== minute) limits.delete(other)
  limits.set(key, { minute, count: 1 })
  return 1
}

const NOTE_POST = /^\/api\/v4\/projects\/[^/]+\/merge_requests\/\d+\/notes$/

/** Both kinds of 429: Rack::Attack's with headers and plain text, the application's without headers and in JSON. @throws Refusal 429 */
export function checkRateLimits(
  world: World,
  limits: RateLimits,
  c: RestContext,
  credentials: Credentials | null,
): void {
  const now = Math.floor(world.now().getTime() / 1000)
  const minute = Math.floor(now / 60)
  const caller = credentials === null ? 'stranger' : `user:${credentials.user.id}`
  const { requestsPerMinute, notesPerMinute } = world.settings
  if (requestsPerMinute !== null) {
    const observed = count(limits, `api ${caller}`, minute)
    if (observed > requestsPerMinute) {
      const reset = (minute + 1) * 60
      throw new Refusal(429, 'Retry later\n', {
        'RateLimit-Name': credentials ? 'throttle_authenticated_api' : 'throttle_unauthenticated_api',
        'RateLimit-Limit': String(requestsPerMinute),
        'RateLimit-Observed': String(observed),
        'RateLimit-Remaining': '0',
        'RateLimit-Reset': String(reset),
        'RateLimit-ResetTime': new Date(reset * 1000).toUTCString(),
        'Retry-After': String(reset - now),
      })
    }
  }
  if (notesPerMinute !== null && c.req.method === 'POST' && NOTE_POST.test(c.req.path)) {
    if (count(limits, `notes ${caller}`, minute) > notesPerMinute) {
      throw new Refusal(429, {
        message: { error: 'This endpoint has been requested too many times. Try again later.' },
      })
    }
  }
}
