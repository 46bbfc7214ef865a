/** What GitLab's headers ask of us. The longest pause we believe is an hour: a clock may be wrong, a proxy may say anything. */
const longest = 3_600_000

/** Milliseconds to wait after a 429, or null where its headers do not say. */
export function pauseAfterRefusal(headers: Headers, now: number): number | null {
  const retryAfter = headers.get('retry-after')?.trim() ?? ''
  // RFC 9110: seconds, or an HTTP date.
  if (/^\d{1,9}$/.test(retryAfter)) return clamp(Number(retryAfter) * 1000)
  const at = retryAfter === '' ? Number.NaN : Date.parse(retryAfter)
  if (!Number.isNaN(at)) return clamp(at - serverTime(headers, now))
  return untilReset(headers, now)
}

/** Milliseconds to wait after an answer that used up the limit (`RateLimit-Remaining: 0`); null where there is room. */
export function pauseAfterAnswer(headers: Headers, now: number): number | null {
  return headers.get('ratelimit-remaining')?.trim() === '0' ? untilReset(headers, now) : null
}

/** `RateLimit-Reset` is a time on GitLab's clock (unix seconds), so it is measured against GitLab's `Date`, not ours. */
function untilReset(headers: Headers, now: number): number | null {
  const reset = headers.get('ratelimit-reset')?.trim() ?? ''
  return /^\d{1,12}$/.test(reset) ? clamp(Number(reset) * 1000 - serverTime(headers, now)) : null
}

function serverTime(headers: Headers, now: number): number {
  const date = Date.parse(headers.get('date') ?? '')
  return Number.isNaN(date) ? now : date
}

function clamp(ms: number): number {
  return Math.min(longest, Math.max(1_000, ms))
}

export interface RateLimits {
  /** Milliseconds that this call should wait; 0 for none. */
  wait(call: string): number
  /** Milliseconds that every call should wait. */
  pause(): number
  refused(call: string, headers: Headers): number
  answered(call: string, headers: Headers): void
}

/**
 * Pauses of one token. Rack::Attack's 429 comes with headers and stops everything; the 429 of GitLab's own per-feature limits (notes,
 * jobs, pipelines …) has none and stops only that call: 10 s, then 20, 40, 60 s, since these limits count by the minute.
 */
export function createRateLimits(now: () => number, random: () => number): RateLimits {
  let pausedUntil = 0
  const calls = new Map<string, { until: number; refusals: number }>()
  const pause = () => Math.max(0, pausedUntil - now())
  return {
    pause,
    wait: call => Math.max(pause(), (calls.get(call)?.until ?? 0) - now()),
    refused(call, headers) {
      const told = pauseAfterRefusal(headers, now())
      if (told !== null) {
        pausedUntil = Math.max(pausedUntil, now() + told)
        return told
      }
      const refusals = (calls.get(call)?.refusals ?? 0) + 1
      const pause = Math.ceil(Math.min(60_000, 10_000 * 2 ** Math.min(refusals - 1, 4)) * (1 + random() / 4))
      calls.set(call, { until: now() + pause, refusals })
      return pause
    },
    answered(call, headers) {
      calls.delete(call)
      const pause = pauseAfterAnswer(headers, now())
      if (pause !== null) pausedUntil = Math.max(pausedUntil, now() + pause)
    },
  }
}
