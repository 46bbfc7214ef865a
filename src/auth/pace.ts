import { createCache } from './cache.ts'

export interface PaceLimits {
  /** Requests at once, after a pause. */
  readonly burst: number
  /** Then so many a second. */
  readonly perSecond: number
}

export interface Pace {
  /** Counts one more of this person's; `wait`: seconds after which it would be let through, 0 where it is. */
  take(person: number): { readonly wait: number; readonly left: number }
  readonly limits: PaceLimits
}

export const usualPace: PaceLimits = { burst: 600, perSecond: 20 }

/** How fast one person may ask: a script that asks as fast as it can must not take the service from everybody else. By person, not by token: a second token is no second share. */
export function createPace(now: () => number, limits: PaceLimits = usualPace): Pace {
  const { burst, perSecond } = limits
  const buckets = createCache<{ left: number; at: number }>(now, 10_000)
  return {
    limits,
    take(person) {
      const key = String(person)
      const at = now()
      const bucket = buckets.look(key)?.value ?? { left: burst, at }
      // A clock that is put back gives nothing and takes nothing.
      bucket.left = Math.min(burst, bucket.left + (Math.max(0, at - bucket.at) / 1_000) * perSecond)
      bucket.at = at
      const free = bucket.left >= 1
      if (free) bucket.left -= 1
      buckets.keep(key, bucket, (burst / perSecond) * 1_000)
      return { wait: free ? 0 : Math.max(1, Math.ceil((1 - bucket.left) / perSecond)), left: Math.floor(bucket.left) }
    },
  }
}
