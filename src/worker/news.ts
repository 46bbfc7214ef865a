import type { ClusterEvent } from '../cluster/cluster.ts'
import { isFinal, type JobState, notBegun } from '../model/job-state.ts'

/**
 * When news are worth a round before its time. An event is only a hint: what it says is asked of the scheduler, which may learn of it a moment
 * later than we do (then it is asked again, at growing distance, a few times) and must not be asked too often: early rounds come out of a bucket
 * that fills with `rate` commands a second, and from which every round takes.
 */
export interface News {
  heard(events: readonly ClusterEvent[]): void
  /** After a round: what it made of the attempts that it watched, and how many commands it took. */
  looked(states: ReadonlyMap<string, JobState>, commands: number): void
  /** How soon the next round may be when there is news, in ms, and after which time it should be without any; null: not before its time. */
  sooner(): { readonly notBefore: number; readonly due: number | null } | null
}

export interface NewsOptions {
  /** ms */
  readonly now: () => number
  /** Between two rounds at least. ms */
  readonly gap: number
  /** Commands of the scheduler that rounds may take in the long run; null where nobody counts them. */
  readonly rate: number | null
}

const bucketSize = 40
const commandsOfARound = 2
/** Rounds that look for what an event said; then it is left to the ordinary ones. */
const mostLooks = 5

export function createNews({ now, gap, rate }: NewsOptions): News {
  const hints = new Map<string, { readonly kind: 'start' | 'end'; looks: number }>()
  let bucket = bucketSize
  let filledAt = now()

  function fill(): void {
    if (rate === null) return
    const at = now()
    bucket = Math.min(bucketSize, bucket + (Math.max(0, at - filledAt) / 1000) * rate)
    filledAt = at
  }

  return {
    heard(events) {
      for (const { kind, attemptId } of events) {
        // Once it has ended nobody asks whether it began.
        if (kind === 'end' || (kind === 'start' && hints.get(attemptId)?.kind !== 'end'))
          hints.set(attemptId, { kind, looks: 0 })
      }
    },
    looked(states, commands) {
      fill()
      if (rate !== null) bucket = Math.max(0, bucket - commands)
      for (const [id, hint] of hints) {
        const state = states.get(id)
        const seen = state !== undefined && (hint.kind === 'end' ? isFinal(state) : !notBegun.includes(state))
        hint.looks++
        if (seen || hint.looks >= mostLooks) hints.delete(id)
      }
    },
    sooner() {
      fill()
      if (rate !== null && bucket < commandsOfARound) return null
      const looks = [...hints.values()].map(hint => hint.looks)
      return { notBefore: gap, due: looks.length === 0 ? null : gap * 2 ** Math.max(0, Math.min(...looks) - 1) }
    },
  }
}
