import { z } from 'zod'
import type { AttemptArray } from './array.ts'
import type { ReusedFrom } from './cache-key.ts'
import type { Approval } from './cost.ts'
import type { ComputationSpec, JobSpec, ResolvedInclude, SpecProblem } from './job-spec.ts'
import type { FailureReason, JobState } from './job-state.ts'
import type { Asked } from './ladder.ts'
import type { AccountingRow, Collected, Progress } from './observation.ts'
import type { InputTaken, ParentOfRun } from './parent.ts'
import type { Removal } from './retention.ts'

/** Why a run exists; unique with (project, ref, sha). */
export type Cause =
  | `head:${number}`
  | `note:${string}`
  | `tick:${string}`
  | `api:${string}`
  | `ci:${number}`
  /** A new result of its parent: that run, and when it ended. */
  | `parent:${string}`

/** A person, as GitLab names them. */
export interface Person {
  readonly id: number
  readonly username: string
  readonly name: string
}

export const Person = z.object({ id: z.number(), username: z.string(), name: z.string() })

/** One submission of a job. */
export interface Attempt {
  readonly id: string
  readonly number: number
  readonly nativeId: string | null
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
  readonly queue: string | null
  readonly nodes: readonly string[]
  readonly submittedAt: Date | null
  readonly queuedAt: Date | null
  readonly startedAt: Date | null
  readonly endedAt: Date | null
  readonly exitCode: number | null
  readonly signal: number | null
  readonly accounting: AccountingRow | null
  /** How far it last said that it is, while it runs. */
  readonly progress?: Progress | null
  readonly collected: Collected | null
  readonly scriptSha256: string | null
  /** What it took from the parent's run. */
  readonly inputs?: readonly InputTaken[]
  readonly restarts: number
  /** What it asked for differently from its job. */
  readonly asked?: Asked | null
  /** The tasks that it handed over; only where the job is an array. */
  readonly array?: AttemptArray
  /** Nothing ran: it has the result of this job. */
  readonly reused?: ReusedFrom
}

/** A task of an array as it stands, in the last attempt that had it. */
export interface Task {
  readonly index: number
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
  readonly exitCode: number | null
  readonly attempt: number
  /** As people know it on the cluster: `4711_7`. */
  readonly nativeId: string | null
  readonly startedAt: Date | null
  readonly endedAt: Date | null
  readonly maxRss: number | null
  readonly node: string | null
}

/** A job with its attempts, newest last. */
export interface Job {
  readonly id: string
  readonly name: string
  readonly spec: JobSpec
  readonly cluster: string
  /** e.g. `slurm 22.05.8`; null until the cluster was reached. */
  readonly scheduler: string | null
  readonly state: JobState
  readonly reason: FailureReason | null
  /** Why it waits, what failed: a sentence for people. */
  readonly message: string | null
  readonly attempts: readonly Attempt[]
  /** Of an array, by number; those that were not handed over yet are not among them. */
  readonly tasks?: readonly Task[]
}

/** One commit's work on one computation branch for one cause, with all that is shown of it. */
export interface Run {
  readonly id: string
  readonly projectId: number
  readonly projectPath: string
  readonly branch: string
  readonly sha: string
  readonly cause: Cause
  readonly causedBy: Person | null
  readonly causedHow: string
  readonly commit: { readonly author: string; readonly subject: string } | null
  readonly parent: ParentOfRun | null
  /** The run of the parent that it is computed from. */
  readonly parentRunId?: string | null
  readonly spec: { readonly sha256: string; readonly problems: readonly SpecProblem[] } | null
  /** Why there are no jobs (the file is wrong, the sources cannot be had …); null where all is well. */
  readonly problem: string | null
  /** Files of other projects that it was made of. */
  readonly includes?: readonly ResolvedInclude[]
  readonly state: JobState
  readonly createdAt: Date
  readonly endedAt: Date | null
  readonly jobs: readonly Job[]
  readonly supersededBy: string | null
  /** That it costs more than may begin unasked, and who approved it. */
  readonly approval?: Approval | null
  /** Its directories on clusters that were removed by age. */
  readonly removed?: readonly Removal[]
}

export type { ComputationSpec }
