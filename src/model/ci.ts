import { type FailureReason, failureReasons, isFinal, type JobState } from './job-state.ts'

/** What a CI job asks for and what it is told, as data. */

/** `attach`: the CI job stays and follows. `detach`: it ends at once, the result is a commit status. `gate`: another CI job, manual, is played when the batch jobs have ended. */
export const ciModes = ['attach', 'detach', 'gate'] as const
export type CiMode = (typeof ciModes)[number]

/** The order of one CI job, as its row keeps it. */
export interface CiOrder {
  readonly mode: CiMode
  /** Jobs of `.compops.yml` by name; none, and no work of its own: all of them. */
  readonly jobs: readonly string[]
  /** The text of a `.compops.yml` with one job, where the CI job brings its own work; null: the one of the commit. */
  readonly own: string | null
  /** Seconds that a job may wait for its begin; null: as long as it takes. */
  readonly maxWait: number | null
  /** The manual CI job that is played at the end. */
  readonly gate: string | null
}

/** As far as the end of a job counts for whoever waits for it. */
export interface JobEnd {
  readonly name: string
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
  readonly exitCode: number | null
}

/** Exit codes of a CI job beyond those of the batch job itself; sysexits.h has the first. */
export const ciCodes = { notRun: 75, skipped: 77, timeout: 124, canceled: 130, other: 1 } as const

export interface Verdict {
  readonly state: JobState
  /** What the CI job exits with; null while something is under way. */
  readonly code: number | null
  /** A sentence for people. */
  readonly said: string
}

/** What jobs come to for the CI job that waits for them: 0 only where each of them has completed; else the code of the first that is worst. */
export function verdictOf(jobs: readonly JobEnd[]): Verdict {
  const open = jobs.filter(job => !isFinal(job.state))
  if (jobs.length === 0) return { state: 'failed', code: ciCodes.other, said: 'There is no job.' }
  if (open.length > 0) {
    const first = open.find(job => job.state === 'running') ?? open[0]!
    return { state: first.state, code: null, said: sentence(first) }
  }
  const order: readonly JobState[] = ['failed', 'canceled', 'skipped', 'completed']
  const worst = [...jobs].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state))[0]!
  return { state: worst.state, code: codeOf(worst), said: sentence(worst) }
}

function codeOf({ state, reason, exitCode }: JobEnd): number {
  if (state === 'completed') return 0
  if (state === 'canceled') return ciCodes.canceled
  if (state === 'skipped') return ciCodes.skipped
  if (reason !== null && failureReasons[reason].infrastructure) return ciCodes.notRun
  if (reason === 'timeout') return ciCodes.timeout
  // Never 0 for what has failed, whatever its own code was.
  return exitCode !== null && exitCode >= 1 && exitCode <= 255 ? exitCode : ciCodes.other
}

function sentence({ name, state, reason, message, exitCode }: JobEnd): string {
  const why =
    reason === null
      ? ''
      : `: ${failureReasons[reason].label}${reason === 'exit' && exitCode !== null ? ` ${exitCode}` : ''}`
  const more = message === null || message === '' ? '' : ` (${message})`
  return `${name} is ${state}${why}${more}`
}

export const ciRefPrefix = 'refs/ci/'

/** Where a run stands that a CI job brought of its own: beside the branches, so that neither is taken for the other. The same job of the pipeline retried takes the place of the former. */
export const ciRef = (pipelineId: number, jobName: string): string => `${ciRefPrefix}${pipelineId}/${jobName}`

/** The name of the CI job; null where the ref is of something else. */
export function ciJobOfRef(ref: string): string | null {
  return ref.startsWith(ciRefPrefix) ? ref.slice(ref.indexOf('/', ciRefPrefix.length) + 1) : null
}

/** GitLab has one list of names for CI jobs and statuses of a pipeline. */
export const ciStatusName = (ciJob: string): string => `compops/ci/${ciJob}`.slice(0, 255)

/** Keys of a job in `.compops.yml` that a CI job may say of work of its own. Lists are written a line each. */
export const ownWorkKeys = {
  text: [
    ...(['cluster', 'file', 'template', 'image', 'metrics', 'partition', 'account', 'qos', 'time', 'mem'] as const),
    ...(['mem_per_cpu', 'gpus', 'gpus_per_node', 'gres', 'constraint', 'reservation', 'licenses', 'array'] as const),
  ],
  count: ['nodes', 'ntasks', 'ntasks_per_node', 'cpus_per_task'],
  list: ['setup', 'modules', 'outputs', 'secrets', 'directives'],
} as const

/** Names that jobs for other bridges have (Jacamar at JSC, IT4I and LLNL; CSCS), with the option of Slurm that each stands for. */
export const formerNames: Readonly<Record<string, string>> = {
  SLURM_PARTITION: 'partition',
  SLURM_TIMELIMIT: 'time',
  SLURM_TIME: 'time',
  SLURM_JOB_NUM_NODES: 'nodes',
  SLURM_NTASKS: 'ntasks',
  SLURM_ACCOUNT: 'account',
  SLURM_GRES: 'gres',
}
