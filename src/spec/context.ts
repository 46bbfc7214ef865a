import type { Place } from '../config/yaml.ts'
import type { ComputationSpec, ParamValue, ResolvedInclude, Resources, SpecProblem } from '../model/job-spec.ts'
import type { Policy } from '../model/policy.ts'
import type { LeftOut } from './present.ts'
import type { RuleVariable } from './rules.ts'

/** What a batch script's own directive lines say, as the dialect of a cluster reads them. Line numbers count from 1. */
export interface BatchDirectives {
  readonly resources: Resources
  /** Key of `resources` to the line it came from. */
  readonly lines: Readonly<Record<string, number>>
  /** Options there is no key for, kept as they stand; each still has to be allowed by the site. */
  readonly directives: readonly { readonly directive: string; readonly line: number }[]
  /** Its tasks, as parseArray reads them, e.g. `0-9%4`; where it is an array. */
  readonly array?: { readonly text: string; readonly line: number }
  /** Left out, with the reason, e.g. `--output`: the service redirects. No mistake, but worth telling. */
  readonly dropped: readonly {
    readonly directive: string
    readonly line: number
    readonly reason: string
    /** Without it something else would be computed: a mistake after all. */
    readonly essential?: boolean
  }[]
}

/** A cluster that the project may use. */
export interface SpecCluster {
  readonly name: string
  /** e.g. `slurm`, for messages. */
  readonly dialectName: string
  /** What begins a directive line of a batch script, e.g. `#SBATCH`; null where the dialect has none. */
  readonly directivePrefix: string | null
  readonly defaults: Resources
  readonly allowDirectives: readonly string[]
  /** Names of its partitions where they are known: others are refused. */
  readonly partitions?: readonly string[]
}

export interface SpecLimits {
  readonly bytes: number
  readonly lines: number
  readonly jobs: number
  /** Characters of all jobs together, with `defaults` applied to each. */
  readonly weight: number
  /** Bytes of a batch script. */
  readonly batchFile: number
}

export const specLimits: SpecLimits = {
  bytes: 262_144,
  lines: 10_000,
  jobs: 200,
  weight: 4_194_304,
  batchFile: 1_048_576,
}

/** What `.compops.yml` is read against. */
export interface SpecContext<File = string | null> {
  /** Allowed for the project; the first is the default. */
  readonly clusters: readonly SpecCluster[]
  /** The text of a file of the same commit; null where there is none. What it throws goes on to the caller: it is not the file's fault. */
  readFile(path: string): File
  /** The directive lines of a batch script in the language of a cluster. A CompopsError it throws becomes a mistake of the file. */
  readBatchDirectives(cluster: SpecCluster, text: string): BatchDirectives
  /** true, or the reason why a raw option of the scheduler is not allowed. */
  allowedDirective(cluster: SpecCluster, directive: string): true | string
  /** A file of another project at a ref (null: its default branch), or why it cannot be had. Left out: there are none. */
  readShared?(project: string, ref: string | null, path: string): Promise<SharedFile>
  /** Why and for what the file is read: `rules` ask it. Left out: every job is there. */
  readonly occasion?: Occasion
  readonly templates: Templates
  /** Names of the secrets that jobs of this branch may have. */
  readonly secrets: readonly string[]
  /** The site's limits for the project; left out: those of the clusters alone. */
  readonly policy?: Policy
  readonly limits?: Partial<SpecLimits>
  /** What a person says beside the file, see {@link import('./overrides.ts').applyOverrides}. */
  readonly overrides?: Readonly<Record<string, string>>
}

export type SharedFile =
  | { readonly ok: true; readonly text: string; readonly sha: string }
  | { readonly ok: false; readonly message: string; readonly remedy: string | null }

export interface Occasion {
  readonly variables: Readonly<Record<RuleVariable, string | null>>
  /** Paths that differ from a branch, or by null from what was there before; null: everything counts as changed. */
  changed(compareTo: string | null): Promise<readonly string[] | null>
  /** All files of the commit. */
  files(): Promise<readonly string[]>
}

/** Prepared environments by name: shell text for a job's `setup`. */
export interface Templates {
  readonly names: readonly string[]
  /** Throws CompopsError where the template itself is wrong. */
  render(name: string, job: TemplateJob): string
}

export interface TemplateJob {
  /** e.g. `slurm` */
  readonly scheduler: string
  readonly resources: Resources
  readonly params: Readonly<Record<string, ParamValue>>
}

export type SpecResult =
  | {
      readonly spec: ComputationSpec
      /** Of the text of the file. */
      readonly sha256: string
      /** What was left out, and why: for the plan. */
      readonly notices: readonly string[]
      /** Jobs that their `rules` leave out on this occasion; the notices tell of them too. */
      readonly leftOut: readonly LeftOut[]
      /** Files of other projects, and the commits that their refs were at. */
      readonly includes: readonly ResolvedInclude[]
      /** Where `parent` stands. Whether there is such a branch the reader cannot know. */
      readonly parentPlace?: Place
    }
  | {
      /** All mistakes at once, sorted by line. */
      readonly problems: readonly SpecProblem[]
      readonly sha256: string
    }
