import type { JobState } from './job-state.ts'

/** What a scheduler and our own files say about attempts. Text has been read; nothing has been concluded yet. */

/** Tasks of an array by the scheduler's own numbers, both ends included. */
export interface TaskRange {
  readonly from: number
  readonly to: number
  readonly step: number
}

/** One row of the scheduler's queue. */
export interface QueueRow {
  /** Of an array that of the whole array, in each of its rows. */
  readonly nativeId: string
  /** The tasks that this row speaks of; null where the job is no array, or the row speaks of all of it. */
  readonly tasks: readonly TaskRange[] | null
  /** The name we gave it, `compops-<attempt id>`; a native id whose row has another name is somebody else's. */
  readonly name: string
  /** `ended` states are shown by some queues for a while (Slurm: MinJobAge). */
  readonly state: 'queued' | 'held' | 'running' | 'suspended' | 'completing' | 'ended'
  /** The scheduler's own word, e.g. `PENDING`, `OUT_OF_MEMORY`. */
  readonly nativeState: string
  /** What the native state means once ended; null while it has not, or where the queue does not say. */
  readonly verdict: Verdict | null
  /** The scheduler's word for why it waits, e.g. `Resources`; null where there is none. */
  readonly reason: string | null
  readonly queue: string | null
  readonly submittedAt: Date | null
  /** Start, or the scheduler's estimate of it while queued. */
  readonly startAt: Date | null
  readonly endAt: Date | null
  readonly nodes: readonly string[]
  readonly restarts: number
}

/** How something ended in the scheduler's eyes. */
export type Verdict = 'completed' | 'exit' | 'timeout' | 'memory' | 'node' | 'preempted' | 'canceled' | 'never started'

/** One record of accounting, for the whole job or for tasks of an array. */
export interface AccountingRow {
  readonly nativeId: string
  /** As in {@link QueueRow}. */
  readonly tasks: readonly TaskRange[] | null
  readonly name: string
  readonly nativeState: string
  /** null while accounting says that it has not ended. */
  readonly verdict: Verdict | null
  readonly exitCode: number | null
  readonly signal: number | null
  readonly queue: string | null
  readonly account: string | null
  readonly submittedAt: Date | null
  readonly startedAt: Date | null
  readonly endedAt: Date | null
  readonly nodes: readonly string[]
  readonly cpus: number | null
  /** Seconds of CPU used. */
  readonly cpuSeconds: number | null
  readonly elapsedSeconds: number | null
  /** Largest resident set of any task, bytes. */
  readonly maxRss: number | null
  /** e.g. `cpu=8,mem=16G,node=1,gres/gpu=2` */
  readonly requestedTres: string | null
  readonly allocatedTres: string | null
}

/** Exit code of a job whose own files could not be written (EX_IOERR); then it mostly leaves no exit file either. */
export const cannotWrite = 74

/** The file that our wrapper writes as its last act. */
export interface ExitRecord {
  readonly nativeId: string
  readonly restarts: number
  readonly code: number
  readonly at: Date | null
  /** Why the wrapper itself ended the job, or calls it failed. */
  readonly ended?: Ended
}

export type Ended =
  /** Nothing was written for so many seconds. */
  | { readonly kind: 'stalled'; readonly seconds: number }
  /** A line of its output matches a pattern of `fail_on`; both shortened. */
  | { readonly kind: 'matched'; readonly pattern: string; readonly line: string }
  /** It had been told to write a checkpoint, and ended by itself before its time limit. */
  | { readonly kind: 'signaled'; readonly signal: string }
  /** The file that its chain waits for is there: it is no failure. */
  | { readonly kind: 'reached' }

/** Everything one whole round saw of one attempt. Only a whole round makes one; a failed or cut poll throws instead. */
export interface Seen {
  readonly queue: QueueRow | null
  /** `off`: this cluster keeps no accounting. null: it does, but has no record (yet). */
  readonly accounting: AccountingRow | null | 'off'
  readonly exit: ExitRecord | null
  /** Our script's first act was seen: the native id that passed the fence. */
  readonly started: { readonly nativeId: string; readonly at: Date | null } | null
}

/** What a cluster told about itself, probed once per connection and remembered. */
export interface ClusterFacts {
  /** e.g. `slurm 22.05.8` */
  readonly version: string
  readonly accounting: boolean
  /** Seconds the queue remembers an ended job (Slurm: MinJobAge). */
  readonly remembers: number
  readonly nativeDependencies: boolean
  /** Tasks that one array may have; null where there is no such limit. */
  readonly maxArraySize: number | null
}

/** Bytes: of a larger file no digest is taken while a job holds its nodes. */
export const largestDigested = 2 ** 30

export interface OutputFile {
  /** Relative to the checkout (or to COMPOPS_OUTPUT_DIR). */
  readonly path: string
  readonly size: number
  readonly sha256: string | null
  readonly at: string
  /** Where it came back to, below the folder beside the record (links.ts `copiesFolder`). */
  readonly copy?: string
  /** Why it did not come back although it is small: `changed after the job had ended`. */
  readonly copyProblem?: string
}

/** How far a job says that it is. */
export interface Progress {
  /** 0 to 100; null where it only says something. */
  readonly percent: number | null
  readonly text: string
  /** Which task of an array said so; null where the job is no array. */
  readonly task: number | null
}

/** What one task of an array left behind, as far as it is kept apart. */
export interface CollectedTask {
  readonly index: number
  readonly metrics: Readonly<Record<string, number>>
  /** The last lines of the first few that failed. */
  readonly logTail?: string
  readonly logSize?: number
}

/** What is fetched once an attempt has ended. */
export interface Collected {
  /** Of an array: the tasks that have metrics or last lines; `metrics` are theirs together, see {@link import('./array-results.ts').together}. */
  readonly tasks?: readonly CollectedTask[]
  /** Of an array: those that began in this attempt (`0-99,107`). Their metrics and last lines of earlier attempts do not count any more. */
  readonly ran?: string
  readonly outputs: readonly OutputFile[]
  /** Some outputs were not listed: how many there were in all. */
  readonly outputsOmitted: number
  readonly metrics: Readonly<Record<string, number>>
  /** Why there are no metrics although the job names a file; null where all is well. */
  readonly metricsProblem: string | null
  /** The last lines of the job's output, raw. */
  readonly logTail: string
  readonly logSize: number
  readonly environment: Readonly<Record<string, string>>
}

/** What nextState concludes. */
export interface Conclusion {
  readonly state: JobState
  readonly reason: import('./job-state.ts').FailureReason | null
  /** For people: why it waits, how it ended, which sources disagree. */
  readonly message: string | null
  readonly misses: number
  /** Ended, but the reason is still awaited from accounting until then. */
  readonly awaiting: Date | null
  readonly exitCode: number | null
}
