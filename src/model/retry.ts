import { type FailureReason, failureReasons } from './job-state.ts'

/** What a job says of its own repetition: `retry`, `checkpoint` and `chain` of `.compops.yml`. */

export const retryReasons = ['exit', 'timeout', 'memory', 'node', 'preempted', 'lost', 'stalled', 'fail_on'] as const
export type RetryReason = (typeof retryReasons)[number]

/** How often an attempt that ended for one reason is followed by another, and what that one asks for. */
export interface RetryRule {
  readonly times: number
  /** What memory (`memory`) or time limit (`timeout`) are multiplied by; left out: x1.5 and x2. */
  readonly factor?: number
  /** The most that it is raised to: MiB, or seconds. */
  readonly max?: number
  /** `node`: the next attempts keep away from the node that failed. */
  readonly exclude?: boolean
}

export interface RetrySpec {
  /** Where one number stands for all reasons: they share it. */
  readonly total: number | null
  readonly rules: Readonly<Partial<Record<RetryReason, RetryRule>>>
}

/** The job gets a signal some time before its limit, writes a checkpoint, and is started again from it. */
export interface CheckpointSpec {
  readonly signal: CheckpointSignal
  /** Seconds before the time limit. */
  readonly lead: number
  /** How often it is started again after its time limit or a preemption; `retry` and `chain` may say otherwise. */
  readonly restarts: number
}

// TERM and the like are those of a cancellation.
export const checkpointSignals = ['USR1', 'USR2'] as const
export type CheckpointSignal = (typeof checkpointSignals)[number]

/** One long computation in segments, each an attempt with its own time limit. */
export interface ChainSpec {
  readonly segments: number
  /** A file of the checkout (or of COMPOPS_OUTPUT_DIR): it is done when a segment has ended with 0 and left it. null: all segments run. */
  readonly until: string | null
}

/** What becomes of a job whose retries are used up. */
export const onExhausted = ['fail', 'pause'] as const
export type OnExhausted = (typeof onExhausted)[number]

export function isRetryReason(reason: FailureReason): reason is RetryReason {
  return (retryReasons as readonly string[]).includes(reason)
}

/** The cluster did not run it: time may mend that. */
export const isInfrastructureReason = (reason: FailureReason): boolean => failureReasons[reason].infrastructure

/** Its end may be followed by another attempt, so that a scheduler must not conclude from the first one's. */
export function mayRunAgain(spec: {
  readonly retry?: RetrySpec
  readonly checkpoint?: CheckpointSpec
  readonly chain?: ChainSpec
}): boolean {
  return spec.retry !== undefined || spec.checkpoint !== undefined || spec.chain !== undefined
}

/** A node as it may stand in an option, with nothing that a scheduler or a shell reads otherwise. */
export const nodeName = /^[A-Za-z0-9][\w.-]*$/
