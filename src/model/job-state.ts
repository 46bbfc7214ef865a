/**
 * The one table of job states. Poller, note, status and pages ask it; adding a state is adding a row.
 * `next` is what may follow; a final state has no next. Colours are the Okabe-Ito set, safe for colour-blind eyes, and never stand without the label.
 */
export const jobStates = {
  waiting: state('waiting', 'pending', '○', '#999999', ['held', 'submitting', 'canceled', 'skipped', 'failed']),
  held: state('held', 'pending', '‖', '#CC79A7', ['waiting', 'submitting', 'canceled', 'skipped', 'failed']),
  submitting: state('submitting', 'pending', '○', '#999999', [
    'waiting',
    'held',
    'queued',
    'running',
    'completed',
    'failed',
    'canceled',
  ]),
  queued: state('queued', 'pending', '○', '#E69F00', [
    'waiting',
    'running',
    'suspended',
    'completed',
    'failed',
    'canceled',
    'skipped',
  ]),
  running: state('running', 'running', '◐', '#0072B2', [
    'waiting',
    'queued',
    'suspended',
    'completed',
    'failed',
    'canceled',
  ]),
  suspended: state('suspended', 'running', '‖', '#56B4E9', [
    'waiting',
    'queued',
    'running',
    'completed',
    'failed',
    'canceled',
  ]),
  completed: state('completed', 'success', '●', '#009E73', []),
  failed: state('failed', 'failed', '✕', '#D55E00', []),
  canceled: state('canceled', 'canceled', '⊘', '#666666', []),
  skipped: state('skipped', 'skipped', '↷', '#666666', []),
} as const satisfies Record<string, StateRow>

export type JobState =
  | 'waiting'
  | 'held'
  | 'submitting'
  | 'queued'
  | 'running'
  | 'suspended'
  | 'completed'
  | 'failed'
  | 'canceled'
  | 'skipped'

/** The states of a commit status, as GitLab's API names them. */
export type GitLabState = 'pending' | 'running' | 'success' | 'failed' | 'canceled' | 'skipped'

interface StateRow {
  readonly label: string
  readonly final: boolean
  readonly gitlab: GitLabState
  readonly symbol: string
  readonly colour: string
  readonly next: readonly string[]
}

function state(label: string, gitlab: GitLabState, symbol: string, colour: string, next: readonly string[]): StateRow {
  return { label, final: next.length === 0, gitlab, symbol, colour, next }
}

/** Why a job `failed`. `infrastructure`: the cluster did not run it; that is never red in GitLab but `canceled`, with the sentence why. */
export const failureReasons = {
  exit: { infrastructure: false, label: 'exit code' },
  timeout: { infrastructure: false, label: 'time limit' },
  memory: { infrastructure: false, label: 'out of memory' },
  node: { infrastructure: true, label: 'node failure' },
  preempted: { infrastructure: true, label: 'preempted' },
  submit: { infrastructure: false, label: 'not accepted' },
  lost: { infrastructure: true, label: 'lost' },
  expired: { infrastructure: true, label: 'waited too long' },
  stalled: { infrastructure: false, label: 'stalled' },
  fail_on: { infrastructure: false, label: 'error in its output' },
  /** Of a chain. */
  segments: { infrastructure: false, label: 'segments used up' },
} as const

export type FailureReason = keyof typeof failureReasons

export const jobStateNames = Object.keys(jobStates) as JobState[]
export const failureReasonNames = Object.keys(failureReasons) as FailureReason[]

/** The cluster did not run it, so it is run when its commit is wanted again. A lost job may still be somewhere: it is not begun again by itself. */
export const notRun = failureReasonNames.filter(reason => failureReasons[reason].infrastructure && reason !== 'lost')

/** Nothing has run of it yet. */
export const notBegun: readonly JobState[] = ['waiting', 'held', 'submitting', 'queued']

export function isFinal(name: JobState): boolean {
  return jobStates[name].final
}

export function mayFollow(from: JobState, to: JobState): boolean {
  return from === to || (jobStates[from].next as readonly string[]).includes(to)
}

export function gitlabState(name: JobState, reason: FailureReason | null): GitLabState {
  if (name === 'failed' && reason !== null && failureReasons[reason].infrastructure) return 'canceled'
  return jobStates[name].gitlab
}

/** What is under way before what has ended, trouble before what is well. */
export const runStateOrder: readonly JobState[] = [
  ...(['running', 'suspended', 'queued', 'submitting', 'held', 'waiting'] as const),
  ...(['failed', 'canceled', 'skipped', 'completed'] as const),
]

/** The state of a run from those of its jobs: the one that a person should look at first. */
export function runState(jobs: readonly JobState[]): JobState {
  if (jobs.length === 0) return 'failed'
  return runStateOrder.find(name => jobs.includes(name)) ?? 'completed'
}
