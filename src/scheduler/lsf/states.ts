import type { QueueRow, Verdict } from '../../model/observation.ts'

/** What a state of LSF means (bjobs(1), STAT), and how a job ended by its termination reason and exit code. */

export const lsfStates: Readonly<Record<string, QueueRow['state']>> = {
  PEND: 'queued',
  // The host is being powered on or installed.
  PROV: 'queued',
  // A member of a chunk of short jobs: dispatched, and waiting for those before it.
  WAIT: 'queued',
  FWD_PEND: 'queued',
  PSUSP: 'held',
  RUN: 'running',
  USUSP: 'suspended',
  SSUSP: 'suspended',
  // The host cannot be reached, or was not when the job was killed: it may come back, and may have ended there. Our own files are looked at.
  UNKWN: 'completing',
  ZOMBI: 'completing',
  DONE: 'ended',
  EXIT: 'ended',
}

/** A word that we do not know is certainly not an end, and nothing else is claimed. */
export function readState(word: string): QueueRow['state'] {
  return Object.hasOwn(lsfStates, word) ? lsfStates[word]! : 'completing'
}

/** Termination reasons: IBM Spectrum LSF 10.1, "Termination reasons displayed by bacct, bhist, and bjobs". */
export const terminations: Readonly<Record<string, Verdict>> = {
  TERM_ADMIN: 'canceled',
  TERM_BUCKET_KILL: 'canceled',
  TERM_FORCE_ADMIN: 'canceled',
  TERM_FORCE_OWNER: 'canceled',
  TERM_OWNER: 'canceled',
  TERM_REQUEUE_ADMIN: 'canceled',
  TERM_REQUEUE_OWNER: 'canceled',
  // What it waited for failed, and the site ends such jobs by itself.
  TERM_ORPHAN_SYSTEM: 'canceled',
  TERM_CPULIMIT: 'timeout',
  TERM_DEADLINE: 'timeout',
  TERM_RUNLIMIT: 'timeout',
  TERM_MEMLIMIT: 'memory',
  TERM_SWAP: 'memory',
  TERM_PROCESSLIMIT: 'exit',
  TERM_THREADLIMIT: 'exit',
  // A signal that LSF did not send: the kernel out of memory, or a person on the host.
  TERM_EXTERNAL_SIGNAL: 'exit',
  TERM_CHKPNT: 'preempted',
  TERM_LOAD: 'preempted',
  TERM_MC_RECALL: 'preempted',
  TERM_OTHER: 'preempted',
  TERM_PREEMPT: 'preempted',
  TERM_RC_RECLAIM: 'preempted',
  TERM_REQUEUE_RC: 'preempted',
  TERM_WINDOW: 'preempted',
  TERM_CSM_ALLOC: 'node',
  TERM_KUBE: 'node',
  TERM_REMOVE_HUNG_JOB: 'node',
  TERM_RMS: 'node',
  TERM_SLURM: 'node',
  TERM_ZOMBIE: 'node',
  TERM_CWD_NOTEXIST: 'never started',
  TERM_DATA: 'never started',
}

export interface Ending {
  /** e.g. `TERM_RUNLIMIT` */
  readonly term: string | null
  readonly exitCode: number | null
  readonly started: boolean
  /** Somebody asked for its end (bhist(1): `Signal <KILL> requested by …`). */
  readonly killed?: boolean
  /** A run limit stands with the job, so that SIGUSR2 is LSF's own. */
  readonly runLimit?: boolean
  /** Its host was not to be reached any more. */
  readonly hostLost?: boolean
}

/**
 * How a job in EXIT ended. Without a termination reason little is certain: 130 is what bkill leaves, and SIGINT of anybody; 140 (SIGUSR2) is the
 * run limit's where there is one. Killed while it waited it has no code at all, and never ran.
 */
export function readEnding({ term, exitCode, started, killed, runLimit, hostLost }: Ending): Verdict {
  if (term !== null && Object.hasOwn(terminations, term)) return terminations[term]!
  if (killed === true) return 'canceled'
  if (exitCode === null && !started) return 'canceled'
  if (exitCode === 140 && runLimit === true) return 'timeout'
  if (hostLost === true && exitCode === null) return 'node'
  return 'exit'
}

/** `TERM_OWNER: job killed by owner` */
export function readTerm(text: string): string | null {
  return /\b(TERM_[A-Z_]+)\b/.exec(text)?.[1] ?? null
}
