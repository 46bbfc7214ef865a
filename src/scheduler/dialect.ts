import type { Capacity } from '../model/capacity.ts'
import type { JobSpec, Resources } from '../model/job-spec.ts'
import type { AccountingRow, ClusterFacts, QueueRow } from '../model/observation.ts'
import type { InputFile } from './inputs.ts'

/**
 * One scheduler's language: text in, text out. A dialect never opens a connection; `cluster/` carries its words there and back.
 *
 * Duties of every dialect, asked by one suite (test/scheduler/dialect.test.ts):
 * 1. What it cannot read is an UnreadableError, never a guess and never "nothing".
 * 2. Every value that enters a directive or an argument is checked; none holds a newline.
 * 3. The name of a job, `compops-<attempt id>`, finds it again in the queue, and in accounting where there is one.
 * 4. An answer of the queue shows that it is whole even when it holds no job: a head line, and the scheduler's answer to a ping.
 * 5. A refusal is only called a refusal when no job was made; in doubt it is `unknown`, and the job is looked for by name.
 * 6. Its shell text is POSIX sh (dash, bash, busybox) and constant: values come as arguments or on standard input.
 */
export interface Dialect {
  readonly name: string
  /** What begins a directive line of a script, e.g. `#SBATCH`; null where there are none. */
  readonly prefix: string | null
  /** What a native id looks like. Nothing else is ever sent back to the scheduler. */
  readonly nativeId: RegExp
  readonly nativeDependencies: boolean
  /** Its {@link Dialect.directives} know `exclude`: nodes that a job keeps away from. Left out: they do not. */
  readonly excludesNodes?: boolean
  /** Its {@link Dialect.directives} know `checkpoint`: the scheduler itself sends the signal, to the script alone. Left out: the script does it. */
  readonly sendsSignals?: boolean
  /** `scheduler_past` knows something even where {@link ClusterFacts} say that there is no accounting. */
  readonly pastWithoutAccounting: boolean
  /** Commands of the scheduler that one look at the queue takes, for those who count them; left out: one. */
  readonly commandsPerLook?: number
  /**
   * Shell functions for the programs of `cluster/`:
   * `scheduler_probe`                   prints what {@link Dialect.readFacts} reads
   * `scheduler_submit SCRIPT ARG…`      submits; prints the scheduler's answer; its exit code is the scheduler's
   * `scheduler_try OPTION…`             may be left out: says as the scheduler whether it would take such a job, and makes none; its exit code is the scheduler's
   * `scheduler_submitted`               from that answer (stdin) prints the native id; fails where there is not exactly one
   * `scheduler_judge RC`                from the error text (stdin) prints refused, transient or unknown: {@link Dialect.judgeRefusal}
   * `scheduler_find NAME [past]`        prints the native ids of jobs with our name in the queue, with `past` also in accounting; fails where it cannot be known
   * `scheduler_queue`                   prints what {@link Dialect.readQueue} reads
   * `scheduler_past`                    reads lines `<native id> <name> <directory>`, prints what {@link Dialect.readPast} reads
   * `scheduler_active`                  prints `<native id> <name>` of every job that has not ended
   * `scheduler_kill`                    reads lines `<native id> <name> <directory>` and ends those jobs; asked again afterwards by the caller
   */
  readonly shell: string
  /** bash text at the head of the wrapper: sets compops_native, compops_index (empty outside arrays), compops_restarts, compops_nodes. */
  readonly identify: string
  /** bash text that may redefine the wrapper's hooks: compops_launch, compops_pass_on, compops_after. */
  readonly hooks: string
  /** The options a job's resources and raw directives come to, each checked. Throws CompopsError naming the bad value. */
  directives(spec: DirectiveSpec): readonly Directive[]
  /** The directive lines of an existing batch script, only as far as the scheduler itself reads them. */
  readDirectives(text: string): BatchDirectives
  /** Whether a site's list of globs allows a raw directive; else the reason why not. */
  allowedDirective(allowed: readonly string[], directive: string): true | string
  readonly array: ArrayDialect
  /** Arguments behind the script's path for `scheduler_submit`. */
  submitArguments(request: JobRequest): readonly string[]
  /** The native id in the scheduler's answer. Throws UnreadableError. */
  readSubmit(answer: string): string
  judgeRefusal(rc: number, stderr: string): Refusal
  readFacts(text: string): ClusterFacts
  /** Rows come one by one, so that a long answer can be read in turns. Throws UnreadableError where the answer is not whole. */
  readQueue(text: string): Iterable<QueueRow>
  readPast(text: string): Iterable<PastRow>
  /** Why a job waits, for people. */
  reasonInWords(reason: string): string
  /** The whole cluster, for people: queues, nodes, what is free. Left out: the scheduler cannot tell, and the page says so. */
  readonly capacity?: CapacityDialect
}

export interface CapacityDialect {
  /** `scheduler_capacity` prints what {@link CapacityDialect.read} reads; it may call what {@link Dialect.shell} defines, and no other program carries it. */
  readonly shell: string
  /** Commands of the scheduler that `scheduler_capacity` runs, for those who count them. */
  readonly commands: number
  /** Its answer; a part that the scheduler does not tell, or that cannot be read, is left out. Throws UnreadableError where that is all. */
  read(text: string): Capacity
}

export type DirectiveSpec = Pick<JobSpec, 'resources' | 'directives' | 'exclude' | 'checkpoint'>

/** How a scheduler numbers the tasks of an array. */
export interface ArrayDialect {
  /** The variable in which a task finds its number, e.g. SLURM_ARRAY_TASK_ID. Tasks whose number here is not the researcher's get it set to that. */
  readonly variable: string
  /**
   * Whether it can give tasks these numbers (ascending). Where not, they are numbered 1, 2, 3 … there, and the wrapper translates: LSF and Grid
   * Engine know no 0, PBS and Grid Engine no list.
   */
  canNumber(tasks: readonly number[], maxArraySize: ClusterFacts['maxArraySize']): boolean
}

export type Refusal = 'refused' | 'transient' | 'unknown'

export type PastRow =
  | { readonly kind: 'accounting'; readonly row: AccountingRow }
  /** Where there is no accounting: what is still known of an ended job. */
  | { readonly kind: 'queue'; readonly row: QueueRow }

/** One option of a submission, and the key of the job's `origins` that says where it came from. */
export interface Directive {
  readonly option: string
  readonly key: string
}

/** What an existing batch script asks for in its own directive lines. Line numbers count from 1. */
export interface BatchDirectives {
  readonly resources: Resources
  /** Key of `resources` to the line it came from. */
  readonly lines: Readonly<Record<string, number>>
  /** Options we have no key for, in their canonical long form; each still needs to be allowed by the site. */
  readonly directives: readonly { readonly directive: string; readonly line: number }[]
  /** Its tasks, where it is an array, in the words of `array:` (model/array.ts): numbers, ranges, `%` how many at once. */
  readonly array?: { readonly text: string; readonly line: number }
  /** Lines that would break the contract with our wrapper (it redirects output, names the job …), with the reason. */
  readonly dropped: readonly DroppedDirective[]
}

export interface DroppedDirective {
  readonly directive: string
  readonly line: number
  readonly reason: string
  /** Without it something else would be computed (an array would be one task): the file is refused instead. */
  readonly essential?: boolean
}

/** Everything a script and a submission are made of. Paths are absolute and on the cluster. */
export interface JobRequest {
  /** `compops-<attempt id>` */
  readonly name: string
  /** For people who read the scheduler's lists. */
  readonly comment: string
  /** The attempt's own directory. */
  readonly directory: string
  /** The checkout, shared by the jobs of a run. */
  readonly work: string
  /** COMPOPS_OUTPUT_DIR */
  readonly outputDirectory: string
  /** COMPOPS_CACHE: what jobs of the project keep for later ones, environments and images. */
  readonly cache: string
  /** COMPOPS_CHECKPOINT_DIR: what the attempts of a job leave for the next; left out: it has none. */
  readonly checkpoints?: string
  /** Where it leaves news of itself; left out: nowhere. */
  readonly events?: string
  readonly spec: JobSpec
  /** Files that it takes from its parent; left out: none. */
  readonly inputs?: readonly InputFile[]
  /** `COMPOPS_…` for the job, without those that only the job itself can know. */
  readonly variables: Readonly<Record<string, string>>
  /** Native ids that must have completed first. */
  readonly dependsOn: readonly string[]
  /** The scheduler's own numbers of the tasks, ascending, and how many may run at once; null where the job is no array. */
  readonly array: {
    readonly numbers: readonly number[]
    readonly throttle: number | null
    /** The researcher's number of each, where those are others: the wrapper translates. */
    readonly indexes?: readonly number[]
  } | null
}

/** Separates records and fields in what we ask schedulers to print; they occur in no name, reason or node list. */
export const recordMark = '\x1e'
export const fieldMark = '\x1f'
export const sectionMark = '\x1d'
