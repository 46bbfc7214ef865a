import type { QueueRow, Verdict } from '../../model/observation.ts'

/** What a state of PBS means in the queue. Letters from pbs_job_attributes(7B), JOB STATES. */
export const pbsStates: Readonly<Record<string, QueueRow['state']>> = {
  Q: 'queued',
  /** Before its time (`-a`). */
  W: 'queued',
  /** Being moved to another place of the same server. */
  T: 'queued',
  H: 'held',
  R: 'running',
  /** An array of which something has begun. */
  B: 'running',
  S: 'suspended',
  /** The owner of a workstation has come back to it. */
  U: 'suspended',
  E: 'completing',
  F: 'ended',
  /** A subjob that has ended while its array goes on. */
  X: 'ended',
}

/** M (it was given to another server) and letters that we do not know: certainly not an end, and nothing else is claimed. */
export const unknownState: QueueRow['state'] = 'completing'

/** Letters of those of which nothing is left to cancel; the shell text is made from the same table. */
export const endedStates = Object.keys(pbsStates).filter(letter => pbsStates[letter] === 'ended')

export interface End {
  /** null: it has ended, and PBS does not know how. */
  readonly verdict: Verdict | null
  readonly exitCode: number | null
  readonly signal: number | null
}

/**
 * What an ended job came to. Its Exit_status is (pbs_job_attributes(7B), and recorded on 23.06):
 *   absent      it never ran: deleted while it waited, or what it depended on had failed
 *   0 to 255    the script's own
 *   256 + n     ended by signal n: 271 is qdel of a running job by its owner
 *   negative    given by the execution daemon: -29 is the wall time (job.h, JOB_EXEC_…)
 * Substate 91 says that somebody deleted it, whatever the status (143 where the script caught the signal).
 */
export function readEnd(fields: ReadonlyMap<string, string>): End {
  const text = fields.get('Exit_status')
  const deleted = fields.get('substate') === '91'
  const none = { exitCode: null, signal: null }
  // A subjob that PBS keeps no record of (recorded: it was deleted while it waited) is shown with the status of its array, which is not its own.
  if (fields.get('comment') === 'Subjob finished') return { verdict: null, ...none }
  if (text === undefined) return { verdict: deleted ? 'canceled' : 'never started', ...none }
  const status = Number(text)
  if (status < 0) return { verdict: deleted ? 'canceled' : ofDaemon(status), ...none }
  const signal = status > 256 ? status - 256 : null
  const ended = { exitCode: signal === null ? status : 128 + signal, signal }
  if (status === 0) return deleted ? { verdict: 'canceled', ...none } : { verdict: 'completed', ...ended }
  return { verdict: deleted ? 'canceled' : 'exit', ...ended }
}

/** Statuses that the execution daemon gives by itself, from OpenPBS' job.h. */
function ofDaemon(status: number): Verdict {
  switch (status) {
    case -29: // wall time
    case -28: // processor time
      return 'timeout'
    case -27: // mem
    case -26: // vmem
      return 'memory'
    case -25: // more processors than it asked for
    case -24:
      return 'exit'
    case -30: // a node did not join
    case -20: // the connection to its first node was lost
    case -6: // the daemon was started anew, and aborted, requeued or …
    case -5:
    case -4:
      return 'node'
    default:
      // Before its script began: no account there, a hook said no, files could not be brought.
      return 'never started'
  }
}
