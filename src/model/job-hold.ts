/** Why a job is not handed over although nothing else is in its way. It is its own answer: whoever holds says who may release, see run/hold.ts. */
export interface JobHold {
  /** `person`: somebody asked for it. `approval`: it costs more than may begin unasked. `paused`: it was tried often enough, and a person is asked. */
  readonly kind: 'person' | 'approval' | 'paused'
  /** Who asked for it; null where nobody did. */
  readonly by: string | null
  /** A sentence for people, shown as the job's message. */
  readonly reason: string
  /** ISO */
  readonly since: string
}
