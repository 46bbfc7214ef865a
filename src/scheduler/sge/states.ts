import type { QueueRow, Verdict } from '../../model/observation.ts'

/** What the letters of a state mean, alone and together: qstat(1) and sge_status(5), Job state. */
export interface SgeState {
  readonly queue: QueueRow['state']
  readonly verdict: Verdict | null
  readonly restarts: number
}

const letters = /^[dEhqrRsStTwz]+$/

export function readState(word: string): SgeState {
  // R: it was put back into the queue, or runs again. How often is told nowhere.
  const restarts = word.includes('R') ? 1 : 0
  const state = (queue: QueueRow['state'], verdict: Verdict | null = null): SgeState => ({ queue, verdict, restarts })
  // A letter that nobody knows: certainly not an end, and nothing else is claimed.
  if (!letters.test(word)) return state('completing')
  // It could not be started, and will not be until somebody clears its error (qmod -cj), which only an operator may.
  if (word.includes('E')) return state('ended', 'never started')
  if (word.includes('z')) return state('ended')
  // Being deleted; on a host that is away for as long as that is.
  if (word.includes('d')) return state('completing')
  if (/[sST]/.test(word)) return state('suspended')
  if (/[rt]/.test(word)) return state('running')
  return state(word.includes('h') ? 'held' : 'queued')
}

/** Where the state itself says why it waits: the word for `reason`. */
export function stateAsReason(word: string): string | null {
  return letters.test(word) && /[hRsST]/.test(word) && !/[Edz]/.test(word) && !/^R[rt]$/.test(word) ? word : null
}

/** For people: a state in which it waits; anything else is the scheduler's own sentence. */
export function reasonInWords(reason: string): string {
  if (stateAsReason(reason) === null) return reason
  if (reason.includes('s')) return 'somebody suspended it'
  if (reason.includes('S')) return 'its queue is suspended'
  if (reason.includes('T')) return 'its queue suspended it because of the load of the host'
  if (/[rt]/.test(reason)) return reason
  if (reason.includes('h')) return 'it is held'
  return 'it was put back into the queue'
}
