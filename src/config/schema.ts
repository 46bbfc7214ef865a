import type { CopyLimits } from '../model/copies.ts'
import type { CostLimit } from '../model/cost.ts'
import type { Resources } from '../model/job-spec.ts'
import type { Policy } from '../model/policy.ts'
import type { Supersede } from '../model/supersede.ts'

/** What compops.config.yml says, checked, with every default applied. Paths are absolute, times in the unit their comment names. */
export interface Config {
  /** The file it was read from. */
  readonly file: string
  readonly listen: { readonly host: string; readonly port: number }
  /** Without a slash at the end. */
  readonly publicUrl: string
  readonly dataDir: string
  /** Bytes of all packages that are kept for jobs, in dataDir. */
  readonly bundlesLimit: number
  /** null: the embedded database under dataDir. Holds a password: never to be shown. */
  readonly databaseUrl: string | null
  readonly timeZone: string
  readonly gitlab: GitLabConfig
  readonly clusters: readonly ClusterConfig[]
  /** The first that matches a project holds. */
  readonly projects: readonly ProjectConfig[]
  /** A directory of the site's own job templates, `<name>.sh.hbs`; null: only ours. */
  readonly templates: string | null
  /** null: there are no pages, only what GitLab shows, the API and the command line. */
  readonly dashboard: DashboardConfig | null
  readonly intervals: Intervals
  /** What is not wrong but should be known; `compops check` shows it. */
  readonly warnings: readonly string[]
}

export type DashboardConfig =
  /** An application of GitLab's, by which people sign in. `admins`: usernames, in lower case, of who may hold clusters back and sees what is asked of them. */
  | {
      readonly kind: 'sign in'
      readonly applicationId: string
      readonly secret: SecretSource
      readonly admins: readonly string[]
    }
  /** Everybody on this machine, as the service itself: for a demo. */
  | { readonly kind: 'open' }

export interface GitLabConfig {
  /** Without a slash at the end; may have a path. */
  readonly url: string
  readonly caFile: string | null
  readonly token: SecretSource
  readonly webhookSecret: SecretSource | null
  readonly webhookSigningToken: SecretSource | null
  /** false: GitLab cannot reach us; heads and merge requests are looked at instead, every `pollInterval`. */
  readonly webhook: boolean
  /** Milliseconds; holds where `webhook` is off. */
  readonly pollInterval: number
  /** Seconds to wait for the pipeline of a commit that has a CI file. */
  readonly ciPipelineWait: number
  /** Milliseconds that a call may stay without its answer; git, six times as long without a sign of life. */
  readonly timeout: number
}

/** The names of src/scheduler/index.ts; the contract suite asks that they are the same. */
export const schedulers = ['slurm', 'lsf', 'pbs', 'sge', 'local'] as const

export interface ClusterConfig {
  readonly name: string
  /** A built-in dialect's name, or the absolute path of a file of the site's own. */
  readonly scheduler: string
  /** null: the scheduler's commands run on this machine. */
  readonly ssh: SshConfig | null
  /** Where run directories live, on the cluster. */
  readonly root: string
  /** Milliseconds. */
  readonly pollInterval: number
  readonly maxPollInterval: number
  readonly maxSubmitted: number
  /** Bytes of files from other clusters that are brought for one job. */
  readonly transferLimit: number
  /** Whether jobs leave news beside what polls find. */
  readonly events: boolean
  readonly allowDirectives: readonly string[]
  readonly defaults: Resources
  /** Days after which run directories are removed; left out: never. */
  readonly keepDays?: number
  /** Directories to put before PATH on the cluster, `/opt/slurm/bin:/opt/x/bin`. */
  readonly path?: string
  /** The service fetches the packages of jobs, for nodes without a network; left out: jobs fetch them themselves. */
  readonly packages?: PackagesConfig
}

/** Kinds of packages that the service can fetch, each the name of the template that uses them. */
export const packageKinds = ['python', 'julia'] as const
export type PackageKind = (typeof packageKinds)[number]

export interface PackagesConfig {
  /** By kind: how they are fetched, by the tool of the kind itself or by a program of the site's own, an absolute path. What is not there is left to the jobs. */
  readonly by: Readonly<Partial<Record<PackageKind, string>>>
  /** The cluster's Python, `3.11`, and platforms as pip names them; left out: those of this machine. */
  readonly pythonVersion?: string
  readonly platforms: readonly string[]
  /** Bytes of one bundle. */
  readonly limit: number
  /** Milliseconds for one try. */
  readonly timeout: number
}

/** One machine that is signed in to. */
export interface StationConfig {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly identityFile: string
  readonly passphrase: SecretSource | null
  readonly knownHostsFile: string
}

export type SshConfig = Ssh2Config | OpensshConfig

/** The service's own SSH client. */
export interface Ssh2Config extends StationConfig {
  readonly transport: 'ssh2'
  /** More login nodes of the cluster, which share its root. */
  readonly fallbacks: readonly string[]
  /** In ProxyJump order. */
  readonly jump: readonly StationConfig[]
  /** Where large data go: a file server that shares root. null: the login node. */
  readonly transfer: (StationConfig & { readonly jump: readonly StationConfig[] }) | null
}

/** The system's ssh; null: as its ssh_config says. */
export interface OpensshConfig {
  readonly transport: 'openssh'
  /** May be an alias. */
  readonly host: string
  readonly fallbacks: readonly string[]
  readonly port: number | null
  readonly user: string | null
  readonly identityFile: string | null
  readonly knownHostsFile: string | null
  /** Instead of ~/.ssh/config. */
  readonly configFile: string | null
  /** `required`: only a person signs in (`compops connect`), never the service by itself. */
  readonly session: 'required' | 'when needed'
  readonly transfer: { readonly host: string } | null
}

export interface ProjectConfig {
  /** Glob on path_with_namespace. */
  readonly path: string
  /** Names of the clusters that are allowed; the first is the default. Never empty. */
  readonly clusters: readonly string[]
  /** null: GitLabConfig's. */
  readonly token: SecretSource | null
  readonly webhookSecret: SecretSource | null
  readonly webhookSigningToken: SecretSource | null
  /** This project's own account on the clusters; null: the cluster's. */
  readonly runAs: RunAs | null
  readonly sharedAccount: boolean
  /** Globs of the branches that are computations; null: every branch that has a .compops.yml, except the default branch. */
  readonly branches: readonly string[] | null
  readonly statuses: 'all' | 'final' | 'none'
  /** What a draft merge request means for its branch: `hold`: nothing begins before it is ready. */
  readonly drafts: 'run' | 'hold'
  /** From which cost on somebody must approve a run; left out: none does. */
  readonly approval?: CostLimit
  readonly evidence: { readonly branch: string }
  /** The most that its jobs may ask for; left out: whatever the clusters allow. */
  readonly policy?: Policy
  /** Outputs that come back beside the record. */
  readonly collect: CopyLimits
  readonly notify: 'failed' | 'finished' | 'never'
  /** What a newer commit does to older runs of its branch, where the branch's file does not say. */
  readonly supersede: Supersede
  /** Which CI jobs may ask for computations; left out: `all`. `protected`: only those of protected branches. */
  readonly ci?: 'all' | 'protected' | 'none'
  /** Globs of the manual CI jobs that a CI job may have the service play; left out: `usualGates`. The service may have rights that whoever started the pipeline has not. */
  readonly gates?: readonly string[]
  /** Whether notes on merge requests may hold commands, and whether `/test`, `/hold` and the like count beside `/compops`. */
  readonly commands: { readonly notes: boolean; readonly aliases: boolean }
  /** Globs of other projects that may come in as submodules: they are read with the service's token, which may see more than the person who pushed. */
  readonly submodules: readonly string[]
  /** Globs of other projects whose files a computation may include: they are read with the service's token, too. */
  readonly includes: readonly string[]
  /** What jobs may have as variables, by name. */
  readonly secrets: Readonly<Record<string, JobSecret>>
  /** A Maintainer's token, only to read the project's CI variables: jobs may have these as secrets, too. Left out: they may not. */
  readonly ciVariables?: SecretSource
}

export interface JobSecret {
  readonly source: SecretSource
  /** Only for branches that are protected in GitLab. */
  readonly protected: boolean
}

export interface RunAs {
  readonly user: string
  readonly identityFile: string
  readonly passphrase: SecretSource | null
  readonly root: string
}

/** Milliseconds. For tests and unusual sites; nobody else needs them. */
export interface Intervals {
  /** Between two comparisons of heads. */
  readonly heads: number
  /** Between two edits of a note. */
  readonly note: number
  /** How long the reason of an end is awaited from accounting. */
  readonly accounting: number
  /** How long a submission whose answer was lost may take to appear. */
  readonly settle: number
  /** The least that poll_interval may be where there is a real scheduler. */
  readonly shortestPoll: number
  /** How long the others wait for a replica that says nothing before they take over what it owned. */
  readonly lease: number
  /** Before a job is tried again that the cluster did not finish; twice as long each time. */
  readonly retry: number
}

/** A secret and where it comes from. Files are read again at each read, so that a replaced token needs no restart. */
export interface SecretSource {
  read(): Promise<string>
  /** e.g. `set, from $GITLAB_TOKEN`. Never the value. */
  describe(): string
  /** Every value it has had since the start, for redaction. */
  values(): string[]
}
