import type { QueueRow, Verdict } from '../../model/observation.ts'

/** What a state of Slurm means in the queue, and how it ended. Words from squeue(1) JOB STATE CODES, 20.11 to 25.05. */
export interface SlurmState {
  readonly queue: QueueRow['state']
  readonly verdict: Verdict | null
}

const waiting: SlurmState = { queue: 'queued', verdict: null }
const held: SlurmState = { queue: 'held', verdict: null }
const running: SlurmState = { queue: 'running', verdict: null }
const suspended: SlurmState = { queue: 'suspended', verdict: null }
const completing: SlurmState = { queue: 'completing', verdict: null }
const ended = (verdict: Verdict): SlurmState => ({ queue: 'ended', verdict })

export const slurmStates: Readonly<Record<string, SlurmState>> = {
  PENDING: waiting,
  // Nodes are allocated but boot or are prepared; the script has not begun.
  CONFIGURING: waiting,
  POWER_UP_NODE: waiting,
  EXPEDITING: waiting,
  REQUEUED: waiting,
  REQUEUE_FED: waiting,
  REQUEUE_HOLD: held,
  RESV_DEL_HOLD: held,
  SPECIAL_EXIT: held,
  RUNNING: running,
  RESIZING: running,
  SIGNALING: running,
  SUSPENDED: suspended,
  STOPPED: suspended,
  COMPLETING: completing,
  STAGE_OUT: completing,
  UPDATE_DB: completing,
  COMPLETED: ended('completed'),
  FAILED: ended('exit'),
  TIMEOUT: ended('timeout'),
  // `--deadline` passed, mostly without ever starting.
  DEADLINE: ended('timeout'),
  OUT_OF_MEMORY: ended('memory'),
  NODE_FAIL: ended('node'),
  BOOT_FAIL: ended('node'),
  RECONFIG_FAIL: ended('node'),
  POWER_DOWN_NODE: ended('node'),
  LAUNCH_FAILED: ended('never started'),
  PREEMPTED: ended('preempted'),
  CANCELLED: ended('canceled'),
  // The copy of a federation's job on a cluster that did not get it.
  REVOKED: ended('canceled'),
}

/** States in which nothing of a job is left to cancel; the shell text is made from the same table. */
export const endedStates = Object.entries(slurmStates)
  .filter(([, state]) => state.queue === 'ended')
  .map(([name]) => name)

/** A word that a newer Slurm has and we do not know: certainly not an end, and nothing else is claimed. */
export const unknownState: SlurmState = completing

const neverStartedReasons = new Set([
  'BadConstraints',
  'InvalidAccount',
  'InvalidQOS',
  'DependencyNeverSatisfied',
  'DeadLine',
])

/** A state of the queue with its reason. Held jobs are PENDING, with a reason that says so; a FAILED job may never have started. */
export function readState(word: string, reason: string | null): SlurmState {
  const state = slurmStates[word] ?? unknownState
  if (word === 'PENDING' && (reason === 'JobHeldUser' || reason === 'JobHeldAdmin')) return held
  if ((word === 'FAILED' || word === 'DEADLINE') && reason !== null && neverStartedReasons.has(reason))
    return ended('never started')
  return state
}
