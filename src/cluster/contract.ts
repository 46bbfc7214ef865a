import type { AttemptArray } from '../model/array.ts'
import type { Capacity } from '../model/capacity.ts'
import type { JobSpec } from '../model/job-spec.ts'
import type { ClusterFacts, Collected, OutputFile, Seen } from '../model/observation.ts'
import type { Cause, Person } from '../model/run.ts'
import type { Remote, RemoteStats } from '../remote/remote.ts'
import type { Chunk } from '../scheduler/array.ts'
import type { Dialect } from '../scheduler/dialect.ts'
import type { InputFile } from '../scheduler/inputs.ts'
import type { About } from './about.ts'
import type { ClusterEvent, Listening } from './events.ts'
import type { Examined, ExamineOptions } from './examine.ts'
import type { AttemptIds } from './layout.ts'
import type { RootMark } from './shared-root.ts'

export type { About, AttemptIds, ClusterEvent, Examined, ExamineOptions, InputFile, Listening }

/** A cluster, as the verbs of a run see it. Every method may throw a RemoteError: then nothing was learnt. */
export interface Cluster {
  readonly name: string
  /** Where everything lies there. */
  readonly root: string
  /** Whether the scheduler can wait for another job by itself. */
  readonly nativeDependencies: boolean
  /** Whether a job can be told to keep away from nodes. */
  readonly excludesNodes: boolean
  /** The scheduler's reason for waiting, for people. */
  inWords(reason: string): string
  /** Whether its scheduler can tell {@link Cluster.capacity}. */
  readonly tellsCapacity: boolean
  /** Its queues and nodes and what is free, for people; the caller sees to it that this is not asked often. Throws where nothing was told. */
  capacity(): Promise<Capacity>
  /** What the cluster told about itself, asked once a connection. */
  facts(): Promise<ClusterFacts>
  /** The first of these tasks of an array, as many as the scheduler takes as one and there is room for. Asks for the facts. */
  chunk(tasks: readonly number[], room: number): Promise<Chunk>
  /** What would be submitted, without a connection. Throws CompopsError where it cannot be written down. */
  plan(request: SubmitRequest): Plan
  /** The same attempt asked any number of times, in parallel, by several services, is one job with one native id. */
  submit(request: SubmitRequest): Promise<SubmitOutcome>
  /** Puts the results of another run's job where this attempt would have left its own, in a checkout of its commit. Asked again, it does it again. */
  reuse(request: ReuseRequest): Promise<ReuseOutcome>
  /** One round for any number of attempts. Throws where it was not whole: then it says nothing about any of them. */
  observe(attempts: readonly WatchedAttempt[]): Promise<Round>
  /** News of jobs as they come, until the signal or some minutes are over: hints to observe. Throws where it broke off. */
  listen(listening: Listening): Promise<void>
  /** `metricsFile`: its name, which tells how it is read; `array`: its tasks that ran, and those of which the last lines are wanted. */
  collect(attempt: WatchedAttempt, options?: CollectOptions): Promise<Collected>
  /**
   * Ends jobs, found by name, and asks the queue again. `fence` first makes sure that a copy which starts later leaves at once; an attempt
   * without a native id is always fenced, unless it has begun: then it is left alone and its native id told. Throws where the queue could not
   * be asked.
   */
  cancel(attempts: readonly WatchedAttempt[], options?: { fence?: boolean }): Promise<ReadonlyMap<string, Fate>>
  /** A look around for `compops doctor`. Never throws for what it meets there; changes nothing. */
  examine(options: ExamineOptions): Promise<Examined>
  /** Removes everything below a root that was made for one trial (trial.ts), and says whether it is gone. Refuses any other root. */
  removeTrial(): Promise<boolean>
  /** What lies on the cluster, asked when our own rows may be older than it. */
  readonly directories: Directories
  /** What jobs left behind, piece by piece. */
  readonly files: RunFiles
  /** What jobs here take that was computed elsewhere. */
  readonly inputs: InputsFromElsewhere
  /** Why a person must sign in before anything can be asked, and how; null where nobody must. */
  needsSession(): Promise<string | null>
  stats(): ClusterStats
  close(): Promise<void>
}

export interface CollectOptions {
  readonly logBytes?: number
  readonly metricsFile?: string
  readonly array?: { readonly tasks: readonly number[]; readonly logsOf: readonly WatchedTask[] } | undefined
}

export interface Directories {
  /** Every attempt that has a directory below our root, page by page, ids only; `absent` where there is no such root. */
  attempts(): AsyncIterable<readonly AttemptIds[] | 'absent'>
  /** Ids of runs that have a directory and are younger than this one, or than none; at most so many. Our ids sort by time. */
  runsYoungerThan(runId: string | null, limit: number): Promise<readonly string[]>
  describe(attempts: readonly AttemptIds[]): Promise<readonly DescribedAttempt[]>
  /** Removes run directories, any number of times. `kept`: those that cannot be, each with the reason (`is a link`). A root that is not there says nothing. */
  removeRuns(
    projectId: number,
    runIds: readonly string[],
  ): Promise<{ readonly gone: ReadonlySet<string>; readonly kept: ReadonlyMap<string, string> }>
  /** Removes sources that were brought more than so many days ago; who needs one brings it again. Returns how many. */
  removeSources(days: number): Promise<number>
}

export interface RunFiles {
  /** A piece for each that is asked, in their order. Only regular files that no link leads to. */
  read(attempt: WatchedAttempt, asked: readonly PieceAsked[]): Promise<readonly Piece[]>
  /** A piece of what the job printed, or a task of an array (`native`: its number with the scheduler, where it has another there); a negative offset counts from the end. */
  log(attempt: WatchedAttempt, asked: { offset: number; bytes: number; task?: number; native?: number }): Promise<Piece>
  /** Where that lies on the cluster, for persons. */
  logPath(attempt: WatchedAttempt, task?: number): string
}

export interface InputsFromElsewhere {
  /** Where it lies when it was brought. */
  pathOf(projectId: number, sha256: string): string
  /** Brings it, unless it is there; `local` gives it as a file of this machine, and is only asked where something is missing. Asked again, it goes on. */
  bring(
    projectId: number,
    file: Pick<InputFile, 'path' | 'size'> & { readonly sha256: string },
    local: () => Promise<string>,
  ): Promise<void>
}

export interface PieceAsked {
  /** The checkout, COMPOPS_OUTPUT_DIR, or the attempt's own directory. */
  readonly in: 'checkout' | 'output' | 'attempt'
  /** Relative to it. */
  readonly path: string
  /** Bytes; negative: from the end. */
  readonly offset: number
  readonly bytes: number
}

export type Piece =
  /** `size`: of the whole file at that moment. */
  | { readonly offset: number; readonly size: number; readonly bytes: Buffer }
  /** Behind the file's name in a sentence: `is not there any more`. */
  | { readonly problem: string }

export interface DescribedAttempt {
  readonly ids: AttemptIds
  readonly nativeId: string | null
  /** null where there is none that can be read: an attempt of an older version, or not ours. */
  readonly about: About | null
  /** A submission was at least begun; a directory alone says nothing. */
  readonly handedOver: boolean
  /** Fenced before it began: it will never run. */
  readonly givenUp: boolean
}

export interface ClusterStats extends RemoteStats {
  /** Connections made, that of a transfer host among them. */
  readonly logins: number
  /** Commands of the scheduler that were run (sbatch, squeue, sacct …), as far as we asked for them. */
  readonly schedulerCommands: number
  readonly roundTrips: number
}

export interface SubmitRequest {
  readonly projectId: number
  readonly projectPath: string
  readonly runId: string
  readonly jobId: string
  readonly attemptId: string
  /** Counts from 1. */
  readonly attempt: number
  /** How many attempts of it have begun before this one; left out: none. */
  readonly restart?: number
  /** Ids of the other attempts of the job, all that are known. */
  readonly siblings: readonly string[]
  readonly branch: string
  readonly sha: string
  readonly parentBranch: string | null
  /** The run of the parent that it computes from, where that is on this account of the cluster. */
  readonly parentRunId: string | null
  readonly person: string | null
  /** For the file `about`. */
  readonly origin: {
    readonly gitlab: string
    readonly cause: Cause
    readonly how: string
    readonly by: Person | null
    readonly createdAt: Date
  }
  readonly spec: JobSpec
  /** Files that it takes from its parent, as they lie on this cluster. */
  readonly inputs?: readonly InputFile[]
  /** Values of the secrets that the spec names. */
  readonly secrets: Readonly<Record<string, string>>
  /** The tasks that this attempt hands over; only where the job is an array. */
  readonly array?: AttemptArray | null
  /** Native ids. */
  readonly dependsOn: readonly string[]
  /** The checkout as a local tar file. */
  readonly source: { readonly sha: string; readonly path: string; readonly size: number }
  /** Packages that the service has fetched for the job, as a local tar file. */
  readonly bundle?: Bundle | null
}

export interface Bundle {
  /** Of the tar. */
  readonly sha256: string
  readonly path: string
  readonly size: number
}

export interface ReuseRequest extends AttemptIds {
  readonly source: SubmitRequest['source']
  readonly from: { readonly runId: string; readonly jobId: string; readonly attemptId: string }
  /** What was listed when it ended. */
  readonly outputs: readonly OutputFile[]
}

export type ReuseOutcome =
  | { readonly kind: 'reused' }
  /** It is not what it was: behind the words `its result is not reused: `. */
  | { readonly kind: 'gone'; readonly why: string }
  | { readonly kind: 'given up' }
  | { readonly kind: 'transient'; readonly message: string }

export interface Plan {
  /** What is submitted. */
  readonly script: string
  /** The researcher's commands, a file beside it. */
  readonly userScript: string
  /** What a person wants to see of both, and where each value came from. */
  readonly lines: readonly { readonly text: string; readonly from: string | null }[]
}

export type SubmitOutcome =
  | { readonly kind: 'accepted'; readonly nativeId: string; readonly roundTrips: number }
  /** The scheduler's own words, and ours. The same attempt is refused again whenever it is asked for. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Fenced by a cancellation before it was submitted: it never will be. */
  | { readonly kind: 'given up' }
  /** A job may exist or not: ask again, nothing is submitted twice. */
  | { readonly kind: 'unsure'; readonly message: string; readonly askAgainInMs: number }
  /** Not submitted: the job has an attempt there that is not among the siblings. The database was put back. */
  | { readonly kind: 'overtaken'; readonly message: string }
  /** Surely not submitted; it may go better later. */
  | { readonly kind: 'transient'; readonly message: string }

export interface WatchedAttempt {
  readonly projectId: number
  readonly runId: string
  readonly jobId: string
  /** The attempt's own id. */
  readonly id: string
  readonly nativeId: string | null
  /** Of an array: its tasks that have not ended. */
  readonly tasks?: readonly WatchedTask[] | undefined
}

export interface WatchedTask {
  /** The researcher's number, by which its files are named. */
  readonly index: number
  /** The scheduler's. */
  readonly native: number
}

/** Of an attempt that was asked to end, by its own id. */
export type Fate = 'gone' | 'still there' | { readonly begunAs: string }

export interface Round {
  readonly at: Date
  /** By attempt id, of those that are no arrays. */
  readonly seen: ReadonlyMap<string, Seen>
  /** Of arrays: by attempt id, then by the researcher's number, of the tasks that were asked for. */
  readonly tasks?: ReadonlyMap<string, ReadonlyMap<number, Seen>>
  /** Ids of attempts that nobody asked for and that the queue has under our name, waiting or running. */
  readonly others?: ReadonlySet<string>
  /** Scheduler commands it took: the queue, and accounting where some had left it. A ping is counted with the queue. */
  readonly commands: number
}

export interface ClusterOptions {
  readonly name: string
  readonly dialect: Dialect
  readonly remote: Remote
  /** Where large data go, if not through the login node; it must share `root`. */
  readonly transfer?: Remote | null
  /** How many login nodes `remote` may be at; they must share `root`. Default 1. */
  readonly nodes?: number
  /** Where the word is remembered that all of them must show. Default: in this process alone. */
  readonly mark?: RootMark
  /** Nothing is changed there, so it is not made sure that they share `root`: only for `examine`. Default: no. */
  readonly lookOnly?: boolean
  /** Where everything lies on the cluster; absolute. */
  readonly root: string
  /** Seconds after which a submission that nobody heard of made no job. More than the 60 that sbatch itself is given. Default 90. */
  readonly settle?: number
  /** Directories put before PATH on the cluster, where the scheduler's commands are not on it. */
  readonly shellPath?: string
  /** Whether jobs leave news of their own (events.ts). Default: no. */
  readonly events?: boolean
  /** What a round is dated by. Default: this machine's clock. */
  readonly now?: () => Date
}
