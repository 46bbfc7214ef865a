import { createHash } from 'node:crypto'
import type { JobSpec, Resources } from './job-spec.ts'
import type { OutputFile } from './observation.ts'

/** A finished job whose result another one took over. */
export interface ReusedFrom {
  readonly runId: string
  readonly jobId: string
  readonly attemptId: string
  readonly job: string
  readonly sha: string
}

/** e.g. `reused from run 0190f3c2-… (solve, 1adad2a7)` */
export function reusedInWords({ runId, job, sha }: ReusedFrom): string {
  return `reused from run ${runId} (${job}, ${sha.slice(0, 8)})`
}

/** A file of the commit, by git's name for its content. */
export interface InputFile {
  readonly path: string
  readonly mode: string
  readonly oid: string
}

/** What a job gets from one that it needs: the files that came out of it, or, where it names none, what it is itself. */
export type NeededInput =
  | { readonly job: string; readonly outputs: readonly Pick<OutputFile, 'path' | 'size' | 'sha256'>[] }
  | { readonly job: string; readonly key: string }

export interface CacheInputs {
  readonly spec: JobSpec
  readonly files: readonly InputFile[]
  readonly needs: readonly NeededInput[]
  /** The run of the parent whose outputs it may read; null where there is none. */
  readonly parent: string | null
}

/**
 * What a result depends on, as one digest: equal keys promise equal results. What only says when, how long or in whose name a job runs is not part of it, nor
 * is where it stands in the file. null: it depends on something of which there is no digest.
 */
export function cacheKey({ spec, files, needs, parent }: CacheInputs): string | null {
  const needed = needs
    .toSorted((a, b) => compare(a.job, b.job))
    .map(need => {
      if ('key' in need) return [need.job, need.key]
      if (need.outputs.some(output => output.sha256 === null)) return null
      const outputs = need.outputs.map(({ path, size, sha256 }) => [path, size, sha256] as const)
      return [need.job, outputs.toSorted((a, b) => compare(a[0], b[0]))]
    })
  if (needed.includes(null)) return null
  const text = canonical({
    version: 1,
    modules: spec.modules ?? [],
    setup: spec.setup,
    script: spec.script,
    file: spec.file,
    env: spec.env,
    params: spec.params,
    outputs: spec.outputs,
    metrics: spec.metrics,
    directives: spec.directives,
    image: spec.image ?? null,
    secrets: spec.secrets ?? [],
    fail_on: spec.fail_on ?? [],
    // Left out where there is none: keys of before it stay.
    chain: spec.chain,
    resources: Object.fromEntries(telling.map(name => [name, spec.resources[name] ?? null])),
    files: files.map(({ path, mode, oid }) => [path, mode, oid]).toSorted((a, b) => compare(a[0]!, b[0]!)),
    needs: needed,
    inputs: spec.inputs ?? [],
    parent,
  })
  return createHash('sha256').update(text).digest('hex')
}

/** Resources of which a result may depend: how many work on it, and on what. */
const telling = [
  'nodes',
  'ntasks',
  'ntasks_per_node',
  'cpus_per_task',
  'gpus',
  'gpus_per_node',
  'gres',
  'constraint',
] as const satisfies readonly (keyof Resources)[]

/** The same value is the same text, whatever the order of its keys. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value ?? null)
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .toSorted(([a], [b]) => compare(a, b))
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`
}

/** By code units: the same everywhere, whatever the language of the machine. */
const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** Whether a path counts for one of these: `src` and all below it, `src/**`, `*.toml`. `.compops.yml` itself never does: of it what this job says is known. */
export function isInput(
  path: string,
  wanted: readonly string[] | null,
  matches: (glob: string, path: string) => boolean,
): boolean {
  if (path === '.compops.yml') return false
  if (wanted === null) return true
  return wanted.some(glob => {
    const plain = glob.replace(/\/+$/, '')
    return path === plain || path.startsWith(`${plain}/`) || matches(glob, path)
  })
}
