import type { ArraySpec } from './array.ts'
import type { MatrixInstance } from './matrix.ts'
import type { BranchNeed, Need } from './needs.ts'
import type { ChainSpec, CheckpointSpec, OnExhausted, RetrySpec } from './retry.ts'
import type { Supersede } from './supersede.ts'

/** Where a value of a job came from, in words a person can follow, e.g. `.compops.yml line 12`, `#SBATCH line 3 of jobs/simulate.sh`, `default of cluster falcon`. */
export type Origin = string

/** What a job asks of the scheduler. Keys are Slurm's long names; units are fixed here so that dialects only print. */
export interface Resources {
  readonly partition?: string
  readonly account?: string
  readonly qos?: string
  /** Wall time limit in seconds. */
  readonly time?: number
  readonly nodes?: number
  readonly ntasks?: number
  readonly ntasks_per_node?: number
  readonly cpus_per_task?: number
  /** Memory per node, MiB. */
  readonly mem?: number
  /** Memory per CPU, MiB. */
  readonly mem_per_cpu?: number
  readonly gpus?: GpuRequest
  readonly gpus_per_node?: GpuRequest
  readonly gres?: string
  readonly constraint?: string
  readonly reservation?: string
  readonly exclusive?: boolean
  readonly licenses?: string
  readonly nice?: number
}

/** Which way a metric is good. */
export type MetricWish = 'lower' | 'higher'

export interface GpuRequest {
  readonly type: string | null
  readonly count: number
}

export type ParamValue =
  | string
  | number
  | boolean
  | null
  | readonly ParamValue[]
  | { readonly [key: string]: ParamValue }

/** An existing batch script of the repository, run as it stands. */
export interface BatchFile {
  readonly path: string
  /** From its `#!` line, e.g. `['/bin/bash']`; ['/bin/sh'] where there is none. */
  readonly interpreter: readonly string[]
}

/** Outputs of the parent's run, by globs. */
export interface InputsFrom {
  readonly from: 'parent'
  readonly paths: readonly string[]
}

/** One job of a run with every default applied: what is stored, planned, submitted and written into the evidence. */
export interface JobSpec {
  readonly name: string
  readonly cluster: string
  /** What must have happened before. */
  readonly needs: readonly Need[]
  /** Only where a `parallel: matrix` has made it. */
  readonly matrix?: MatrixInstance
  /** What must have happened in other branches before. */
  readonly branch_needs?: readonly BranchNeed[]
  /** Environment modules, loaded on the node before everything else. */
  readonly modules?: readonly string[]
  /** The name of the template; left out: none, or a shell file of the project. */
  readonly template?: string
  /** The lines of the template, and the job's own. */
  readonly setup: readonly string[]
  /** Exactly one of `script` and `file` is set. */
  readonly script: readonly string[] | null
  readonly file: BatchFile | null
  readonly resources: Resources
  readonly env: Readonly<Record<string, string>>
  readonly params: Readonly<Record<string, ParamValue>>
  readonly outputs: readonly string[]
  readonly metrics: string | null
  /** Which way its metrics are good, of those of which somebody said so. */
  readonly better?: Readonly<Record<string, MetricWish>>
  /** A difference of a metric up to this ratio says nothing. */
  readonly noise?: number
  /** Raw scheduler options, each already allowed by the site, e.g. `--hint=nomultithread`. From the file's `directives` and from a batch script's own lines. */
  readonly directives: readonly string[]
  /** The scheduler's own requeue after node failure or preemption. */
  readonly requeue: boolean
  /** Ours: which ends are followed by another attempt. */
  readonly retry?: RetrySpec
  readonly checkpoint?: CheckpointSpec
  readonly chain?: ChainSpec
  /** Left out: it fails. */
  readonly on_exhausted?: OnExhausted
  /** Nodes that an attempt keeps away from; the file never says it. */
  readonly exclude?: readonly string[]
  /** What the commands run in: a URI such as `docker://…`, or the path of an image file, on the cluster or in the checkout. Left out: on the node itself. */
  readonly image?: string
  /** Names of the site's secrets that it gets as variables. The values are never part of a spec. */
  readonly secrets?: readonly string[]
  /** Files of other computations that are put into the checkout before it begins. */
  readonly inputs?: readonly InputsFrom[]
  /** Extended regular expressions: a line of the job's output that one of them matches ends the job as failed. */
  readonly fail_on?: readonly string[]
  /** Seconds without output after which it is ended as stalled. */
  readonly stall_timeout?: number
  /** An extended regular expression: lines of its output that tell how far it is. */
  readonly progress?: string
  /** Only where the job is an array: the commands run once for each of its tasks. */
  readonly array?: ArraySpec
  /** `false`: a merge neither waits for its end nor is held up by its failure. Left out: it does. */
  readonly gate?: boolean
  /** Its result may be that of an equal job with equal inputs; see model/cache-key.ts. */
  readonly cache?: CacheSpec
  /** Key (e.g. `time`, `env.OMP_NUM_THREADS`, `directives[0]`) to where its value came from. */
  readonly origins: Readonly<Record<string, Origin>>
}

export interface CacheSpec {
  /** Globs of what it reads of the repository; null: perhaps everything. */
  readonly paths: readonly string[] | null
}

/** One mistake in `.compops.yml`: where, what, and what to do. `line` and `column` count from 1. */
export interface SpecProblem {
  /** The file that it is in, where that is one that `.compops.yml` includes. */
  readonly file?: string
  readonly path: string
  readonly line: number | null
  readonly column: number | null
  readonly message: string
  readonly remedy: string | null
}

/** What `.compops.yml` says, with every default applied. */
export interface ComputationSpec {
  readonly parent: string | null
  /** What it does to older runs of its branch; left out: what the site says. */
  readonly supersede?: Supersede
  /** A new result of the parent has it computed again; left out: it is only marked. */
  readonly onStale?: 'rerun'
  /** Those that are for this occasion: `rules` may leave some out, even all. */
  readonly jobs: readonly JobSpec[]
  readonly schedule?: Schedule
}

/** When a branch is computed without a push. */
export interface Schedule {
  /** Five fields, or `@daily` and the like. */
  readonly cron: string
  readonly timezone: string
  /** Globs of the branches that it is for: whoever makes a branch from one with a schedule would otherwise have the same. Left out: any. */
  readonly branches?: readonly string[]
}

/** A file of another project that was included, and the commit that its ref was at. */
export interface ResolvedInclude {
  readonly project: string
  readonly ref: string
  readonly sha: string
  readonly file: string
}
