/** After trouble with an instance, calls fail at once for a while instead of each waiting for its own deadline. */
export interface Circuit {
  /** A ticket to call, or the milliseconds until one may be had. */
  enter(): Ticket | { readonly refusedFor: number }
  /** `fault` is a 500: often about one request only, so a second one in a row is needed to stop the others. */
  leave(ticket: Ticket, outcome: 'answered' | 'fault' | 'trouble', reason?: string): void
  /** Milliseconds until the next call may be made; null while calls go through. */
  pause(): number | null
  state(): Reachability
}

export interface Ticket {
  readonly generation: number
  readonly probe: boolean
}

export interface Reachability {
  readonly reachable: boolean
  /** Since when it is so; null while no call was made. */
  readonly since: Date | null
  /** What went wrong last, while it is not reachable. */
  readonly lastError: string | null
}

const shortest = 1_000
const longest = 60_000

/**
 * One per instance, to be shared by clients with different tokens. The pause grows 1 s, 2 s, 4 s … 60 s, less up to a quarter by
 * chance so that several processes do not come back together; then one single call tries, and the rest wait for what it finds.
 */
export function createCircuit(
  options: {
    now?: (() => number) | undefined
    random?: (() => number) | undefined
    /** Calls go through again. */
    onBack?: (() => void) | undefined
  } = {},
): Circuit {
  const now = options.now ?? Date.now
  const random = options.random ?? Math.random
  let failures = 0
  let openUntil = 0
  let probing = false
  let faults = 0
  // Failures of calls that began before the last one was noticed tell nothing new: fifty in flight are one failure.
  let generation = 0
  let since: number | null = null
  let reason: string | null = null

  return {
    enter() {
      if (failures === 0) return { generation, probe: false }
      const left = openUntil - now()
      if (left > 0) return { refusedFor: left }
      if (probing) return { refusedFor: shortest }
      probing = true
      return { generation, probe: true }
    },
    leave(ticket, outcome, why) {
      if (ticket.generation !== generation) return
      if (ticket.probe) probing = false
      if (outcome === 'fault') {
        faults += 1
        if (faults < 2 && failures === 0) return
      }
      if (outcome === 'answered') {
        faults = 0
        if (failures > 0 || since === null) since = now()
        if (failures > 0) generation += 1
        const back = failures > 0
        failures = 0
        reason = null
        if (back) options.onBack?.()
        return
      }
      if (failures === 0) since = now()
      failures += 1
      generation += 1
      reason = why ?? null
      const pause = Math.min(longest, shortest * 2 ** Math.min(failures - 1, 10))
      openUntil = now() + Math.ceil(pause * (1 - random() / 4))
    },
    pause: () => (failures === 0 ? null : Math.max(0, openUntil - now())),
    state: () => ({ reachable: failures === 0, since: since === null ? null : new Date(since), lastError: reason }),
  }
}
