/** Bad days, on order: what the next matching requests meet instead of, or after, an honest answer. REST, git over HTTP and pages alike. */

export interface FaultMatch {
  method?: string
  /** Tested against path and query, as sent. */
  path?: RegExp
  /** How often; without it until the returned function takes the fault away. */
  times?: number
  /** How many matching requests go through first. */
  after?: number
  /** Between 0 and 1: how likely each matching request meets it. Drawn from `seed`, so the same story has the same luck. */
  chance?: number
  seed?: number
}

export interface FaultEffect {
  /** Told when a request is met; alone it changes nothing. */
  met?: (method: string, pathAndQuery: string) => void
  /** Answer this and do nothing. */
  status?: number
  body?: string
  headers?: Record<string, string>
  /** Seconds, as `Retry-After`; without it GitLab's per-feature 429, which says nothing. */
  retryAfter?: number
  /** Wait first. Alone, the request then goes its usual way. */
  delayMs?: number
  /** Reset the connection and do nothing. */
  reset?: boolean
  /** Do the work, then reset the connection: the client cannot know. */
  resetAfterDoing?: boolean
  /** Take the request and never answer. */
  hang?: boolean
  /** Do the work, send half of the answer, and reset the connection. */
  half?: boolean
}

/** What GitLab is asked on the way of one computation, by name: `faults.respond(ROUTES.sendStatus, { status: 502 })`. */
export const ROUTES = {
  everything: {},
  api: { path: /^\/api\/v4\// },
  sendStatus: { method: 'POST', path: /\/statuses\/[0-9a-f]+$/ },
  readStatuses: { method: 'GET', path: /\/commits\/[0-9a-f]+\/statuses/ },
  pipelines: { method: 'GET', path: /\/pipelines(\?|\/|$)/ },
  writeNote: { method: 'POST', path: /\/notes$/ },
  editNote: { method: 'PUT', path: /\/notes\/\d+$/ },
  readNotes: { method: 'GET', path: /\/notes\?/ },
  project: { method: 'GET', path: /^\/api\/v4\/projects\/[^/?]+(\?|$)/ },
  mergeRequests: { method: 'GET', path: /\/merge_requests(\/\d+)?(\?|$)/ },
  git: { path: /\.git\/(info\/refs|git-(upload|receive)-pack)/ },
  heads: { path: /info\/refs\?service=git-upload-pack/ },
  fetch: { method: 'POST', path: /\/git-upload-pack$/ },
  push: { method: 'POST', path: /\/git-receive-pack$/ },
} as const satisfies Record<string, FaultMatch>

/** Ends the fault; `met` is how many requests have met it. */
export type Heal = (() => void) & { readonly met: number }

export interface Faults {
  respond(match: FaultMatch, effect: FaultEffect): Heal
}

export interface FaultBook extends Faults {
  /** The fault that meets this request, if any; counts it. */
  take(method: string, pathAndQuery: string): FaultEffect | null
}

interface Fault {
  readonly match: FaultMatch
  readonly effect: FaultEffect
  readonly luck: () => number
  left: number
  free: number
  met: number
}

export function createFaults(): FaultBook {
  const faults = new Set<Fault>()
  return {
    respond(match, effect) {
      const fault: Fault = {
        match,
        effect,
        luck: dice(match.seed ?? 1),
        left: match.times ?? Number.POSITIVE_INFINITY,
        free: match.after ?? 0,
        met: 0,
      }
      faults.add(fault)
      return Object.defineProperty(() => void faults.delete(fault), 'met', { get: () => fault.met }) as unknown as Heal
    },
    take(method, pathAndQuery) {
      for (const fault of faults) {
        if (!matches(fault.match, method, pathAndQuery)) continue
        if (fault.free > 0) {
          fault.free -= 1
          continue
        }
        if (fault.luck() >= (fault.match.chance ?? 1)) continue
        fault.met += 1
        fault.left -= 1
        if (fault.left <= 0) faults.delete(fault)
        fault.effect.met?.(method, pathAndQuery)
        return fault.effect
      }
      return null
    },
  }
}

function matches({ method, path }: FaultMatch, asked: string, pathAndQuery: string): boolean {
  if (method !== undefined && method.toUpperCase() !== asked) return false
  // A global or sticky expression remembers where it stopped; start over each time.
  return path === undefined || pathAndQuery.search(path) !== -1
}

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
function dice(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
