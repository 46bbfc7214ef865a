/** Bad days, on order: what the next matching requests meet instead of, or after, an honest answer. */

export interface FaultMatch {
  method?: string
  /** Tested against path and query, as sent. */
  path?: RegExp
  /** How often; without it until the returned function takes the fault away. */
  times?: number
}

export interface FaultEffect {
  /** Answer this and do nothing. */
  status?: number
  body?: string
  headers?: Record<string, string>
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

export interface Faults {
  /** @returns a function that ends the fault. */
  respond(match: FaultMatch, effect: FaultEffect): () => void
}

export interface FaultBook extends Faults {
  /** The fault that meets this request, if any; counts it. */
  take(method: string, pathAndQuery: string): FaultEffect | null
}

export function createFaults(): FaultBook {
  const faults = new Set<{ match: FaultMatch; effect: FaultEffect; left: number }>()
  return {
    respond(match, effect) {
      const fault = { match, effect, left: match.times ?? Number.POSITIVE_INFINITY }
      faults.add(fault)
      return () => faults.delete(fault)
    },
    take(method, pathAndQuery) {
      for (const fault of faults) {
        if (fault.match.method !== undefined && fault.match.method.toUpperCase() !== method) continue
        // A global or sticky expression remembers where it stopped; start over each time.
        if (fault.match.path !== undefined && pathAndQuery.search(fault.match.path) === -1) continue
        fault.left -= 1
        if (fault.left <= 0) faults.delete(fault)
        return fault.effect
      }
      return null
    },
  }
}
