import type { Capacity } from '../../../src/model/capacity.ts'
import type { Resources } from '../../../src/model/job-spec.ts'
import type { Dialect, Refusal } from '../../../src/scheduler/dialect.ts'

/**
 * What the contract suite (test/scheduler/dialect.test.ts) has to know of a dialect to ask it every question. All of it is text that the real
 * scheduler prints or reads: recorded where it can be, else as its manual page says.
 */
export interface DialectRow {
  readonly dialect: Dialect
  /**
   * Programs of the scheduler that the shell functions call. The suite replaces all of them by ones that fail, say nothing, print a notice of
   * the site …, and no answer may be read out of that. Empty where there are none (local).
   */
  readonly programs: readonly string[]
  readonly nativeIds: readonly string[]
  /** Answers to a submission that made a job. TypeScript and shell must read the same id. */
  readonly accepted: readonly { readonly answer: string; readonly id: string }[]
  /** Answers to a submission that said no, or nothing. TypeScript and shell must judge alike. */
  readonly judged: readonly { readonly rc: number; readonly stderr: string; readonly meaning: Refusal }[]
  readonly queue: {
    /** A whole answer of `scheduler_queue` with jobs of ours; a stranger's row in it is welcome. */
    readonly listed: string
    /** Names of ours in it, in order, with what they are doing. */
    readonly rows: readonly (readonly [name: string, state: string])[]
    /** A whole answer that holds no job, with the proof that the scheduler is there. */
    readonly empty: string
    /** Answers that hold no job and no such proof, beside the empty text. */
    readonly silent: readonly string[]
    /** A whole answer with one job of ours in a state that nobody knows. */
    readonly unheardOf: string | null
  }
  readonly past: {
    /** What `scheduler_past` prints of one job that ended, and its name. */
    readonly ended: string
    readonly name: string
    /** What it prints of an id that nobody knows: no row may come of it. */
    readonly unknown: string
  }
  readonly facts: string
  /** What its programs print to `scheduler_capacity`, each by how its call begins, and what is read of all that. null: it calls none. */
  readonly capacity: {
    readonly printed: readonly (readonly [call: string, text: string])[]
    readonly told: Capacity
  } | null
  /** Each comes back the same when it is written as directive lines and read as those of a batch script. Empty where there are no directives. */
  readonly resources: readonly Resources[]
  /** Raw directives that a site may allow. */
  readonly allowed: readonly string[]
  /** Raw directives that no site can allow: each would break what the service relies on (its log, its job's name, its arrays …). */
  readonly never: readonly string[]
  /** The environment of a job and what `identify` makes of it. */
  readonly identified: readonly {
    readonly env: Readonly<Record<string, string>>
    /** null: cannot be foretold (a pid). */
    readonly native: string | null
    readonly index: string
    readonly restarts: string
  }[]
  readonly array: {
    readonly can: readonly (readonly number[])[]
    readonly cannot: readonly (readonly number[])[]
    readonly maxArraySize: number | null
  }
}

export const ourName = (n: number) => `compops-00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
