import { type ResourceKind, type ResourceName, resourceKeys, resourceNames } from '../model/resources.ts'

/** Keys of a job that are no resources. */
export const ownKeys = {
  cluster: own('The cluster it runs on.', [], false),
  needs: own(
    'Jobs of this file that come before: a name (it must have completed), or { job, kind } with after (it has begun), afterok, afternotok (it failed) or any (it ended).',
    [],
    false,
  ),
  extends: own(
    'Jobs whose keys it has where it does not say otherwise; names that begin with a dot are made for that.',
    [],
    false,
  ),
  parallel: own('One job for each combination of the values under `matrix`: as variables and as params.', [], false),
  rules: own(
    'Whether the job is there: the first rule that applies decides, by `if`, `changes`, `exists` and `when`.',
    [],
    false,
  ),
  setup: own('Commands before the script: modules, environments.', ['before_script', 'prepend_text', 'pre_run']),
  modules: own('Environment modules to load, before everything else.', ['module']),
  template: own(
    'A prepared environment (python, julia, mpi, nccl, hydra or one of the site), or a shell file of the repository.',
    [],
  ),
  image: own('A container image that the commands run in: docker://…, oras://…, or the path of a .sif file.', [
    'container',
  ]),
  secrets: own('Secrets of the site that the job gets as variables.', []),
  script: own('Commands, run one after the other; the first that fails ends the job.', ['commands', 'run'], false),
  file: own(
    'An existing batch script of the repository, instead of `script`. Its directive lines are read and kept.',
    ['sbatch'],
    false,
  ),
  env: own('Variables of the environment.', ['variables', 'envs']),
  params: own('Parameters: given to the job as params.json and COMPOPS_PARAM_<NAME>.', []),
  inputs: own('Files that the parent has computed, put into the checkout before the job begins.', []),
  outputs: own('Files to list as results: globs, relative to the repository.', [
    'collect',
    'retrieve_list',
    'artifacts',
  ]),
  metrics: own(
    'A file of numbers that the job writes: JSON, YAML, or CSV of which the last row counts. As a map also which way they are good, and what is noise.',
    [],
  ),
  directives: own('Raw options of the scheduler that the site allows.', [
    'scheduler_parameters',
    'SCHEDULER_PARAMETERS',
    'clusterOptions',
    'custom_scheduler_commands',
    'native',
    'slurm_extra',
  ]),
  fail_on: own('Patterns (grep -E): a line of the output that one of them matches ends the job as failed.', []),
  stall_timeout: own('The job is ended as stalled when it has written nothing for that long.', []),
  progress: own('A pattern (grep -E) of lines of the output that tell how far the job is.', []),
  array: own(
    'Runs the job once for each of these numbers (COMPOPS_ARRAY_INDEX): 0-9, 0-9%4 (four at once), 0-100:10, 1,3,7-9 or a list.',
    ['job_array_request'],
    false,
  ),
  cache: own(
    'true: an equal job with equal inputs that has completed is not run again, its result is reused; paths: what of the repository it reads.',
    [],
  ),
  gate: own(
    'false: a merge neither waits for its end nor is held up by its failure; only the note tells of it meanwhile.',
    [],
  ),
  retry: own(
    'How often it is tried again by itself: a number for all reasons, or one for each, e.g. { node: 2, memory: { mem: x1.5, max: 64G }, timeout: { time: x2 } }.',
    [],
  ),
  checkpoint: own(
    'It gets a signal that long before its time limit, writes a checkpoint, and is started again from it: { signal: USR1, lead: 5m }.',
    [],
  ),
  chain: own(
    'One long computation in segments, each with its own time limit, until a file is there: { segments: 10, until: converged }.',
    [],
    false,
  ),
  on_exhausted: own('What becomes of it when its retries are used up: fail, or pause, which asks a person.', []),
  requeue: own("The scheduler's own requeue after a node failure or preemption.", []),
} as const

export type OwnKey = keyof typeof ownKeys
export type JobKey = OwnKey | ResourceName

export const ownKeyNames = Object.keys(ownKeys) as OwnKey[]

function own(meaning: string, aliases: readonly string[], inDefaults = true) {
  return { meaning, aliases, inDefaults }
}

/** What a written key stands for: itself, or what another tool's name means here. */
export interface KeyMeaning {
  readonly key: JobKey
  /** How a resource is written under this name; null for other keys. */
  readonly kind: ResourceKind | null
}

const meanings = new Map<string, KeyMeaning>()
for (const key of ownKeyNames)
  for (const name of [key, ...ownKeys[key].aliases]) meanings.set(name, { key, kind: null })
for (const key of resourceNames) {
  meanings.set(key, { key, kind: resourceKeys[key].kind })
  for (const [name, kind] of Object.entries(resourceKeys[key].aliases)) meanings.set(name, { key, kind })
}

export function meaningOf(written: string): KeyMeaning | null {
  return meanings.get(written) ?? null
}

export const canonicalJobKeys: readonly JobKey[] = [...ownKeyNames, ...resourceNames]

export function isInDefaults(key: JobKey): boolean {
  return key in resourceKeys || ownKeys[key as OwnKey].inDefaults
}

export const topKeys = [
  'include',
  'cluster',
  'parent',
  'on_stale',
  'supersede',
  'schedule',
  'defaults',
  'jobs',
] as const

/** Keys that are known and will come; each with what to do until then. */
const later: Readonly<Record<string, string>> = {
  on: 'Write `rules` in each job that is not for every occasion.',
  when: 'Write `needs: [{ job: mesh, kind: afternotok }]` for a job that follows a failure, `kind: any` for one that follows any end.',
  timeout: 'Write the wall time limit as `time: 2h`.',
  workdir: 'Change the directory in the `script`.',
  copy: 'Let the `script` fetch its input; the repository is there already.',
  clean: 'Let the `script` remove what it no longer needs.',
  on_fail: 'Let another job follow: `needs: [{ job: mesh, kind: afternotok }]`.',
  max_wait: 'Leave it out.',
  checks: 'Let the `script` check and `exit 1`.',
  keep: 'Leave it out: run directories stay.',
  notify: 'Leave it out.',
  environment: 'Write variables under `env`.',
  stage: 'Write what must come before under `needs`.',
  stages: 'Write what must come before under `needs` of each job.',
  dependencies: 'Write what must come before under `needs`.',
  allow_failure: 'Let the `script` end with `|| true`.',
  tags: 'Write `cluster` or `partition`.',
}

/** What to do instead of a key that is known but not there yet; null for any other key. */
export function laterRemedy(written: string): string | null {
  return Object.hasOwn(later, written) ? (later[written] ?? null) : null
}
