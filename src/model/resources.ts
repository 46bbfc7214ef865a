import type { GpuRequest, Resources } from './job-spec.ts'
import { formatWalltime, type Parsed, parseWalltime } from './walltime.ts'

/** How the value of a resource is written. `minutes`, `seconds` and `mebibytes` only stand behind other tools' names, which carry their unit. */
export type ResourceKind =
  | 'word'
  | 'count'
  | 'integer'
  | 'flag'
  | 'time'
  | 'memory'
  | 'gpus'
  | 'minutes'
  | 'seconds'
  | 'mebibytes'

interface ResourceRow {
  readonly kind: ResourceKind
  readonly meaning: string
  /** Names other tools use for the same, accepted silently: name to how its value is written. */
  readonly aliases: Readonly<Record<string, ResourceKind>>
}

/** What a job may ask for. Names are Slurm's long options; each alias is the name in PBS, LSF, AiiDA, OOD, PSI/J, snakemake, dstack, SkyPilot or Nextflow. */
export const resourceKeys = {
  partition: row('word', 'The queue (partition) the job waits in.', ['queue', 'queue_name', 'slurm_partition']),
  account: row('word', 'The account that is charged.', ['project', 'accounting_id', 'slurm_account', 'bank']),
  qos: row('word', 'Quality of service.'),
  time: row(
    'time',
    'Wall time limit: 90m, 1h30m, 2d, or "hh:mm:ss" in quotes.',
    ['walltime', 'wall_time', 'max_duration', 'duration'],
    {
      runtime: 'minutes',
      max_wallclock_seconds: 'seconds',
    },
  ),
  nodes: row('count', 'Number of nodes.', ['num_machines', 'node_count']),
  ntasks: row('count', 'Number of tasks (MPI ranks) in all.', ['tasks']),
  ntasks_per_node: row('count', 'Tasks (MPI ranks) on each node.', ['num_mpiprocs_per_machine', 'processes_per_node']),
  cpus_per_task: row('count', 'CPU cores for each task.', ['cpus', 'cpu', 'cores']),
  mem: row('memory', 'Memory on each node: 512M, 2G, 1.5T.', ['memory'], { mem_mb: 'mebibytes' }),
  mem_per_cpu: row('memory', 'Memory for each CPU core: 512M, 2G. Instead of mem.'),
  gpus: row('gpus', 'GPUs in all: 2, a100 or a100:2.', ['gpu', 'accelerators']),
  gpus_per_node: row('gpus', 'GPUs on each node: 2, a100 or a100:2.'),
  gres: row('word', "Generic resources in the scheduler's own words, for example gpu:a100:2,shard:1."),
  constraint: row('word', 'Features a node must have, for example rome|milan.', ['constraints']),
  reservation: row('word', 'The reservation to run in.'),
  exclusive: row('flag', 'Nobody else on the nodes of this job.'),
  licenses: row('word', 'Licences, for example ansys:2.'),
  nice: row('integer', 'Lowers (positive) the priority of the job.'),
} as const satisfies Record<keyof Resources, ResourceRow>

export type ResourceName = keyof Resources

export const resourceNames = Object.keys(resourceKeys) as ResourceName[]

function row<K extends ResourceKind>(
  kind: K,
  meaning: string,
  same: readonly string[] = [],
  other: Readonly<Record<string, ResourceKind>> = {},
): ResourceRow & { readonly kind: K } {
  return { kind, meaning, aliases: { ...Object.fromEntries(same.map(name => [name, kind])), ...other } }
}

/** One resource read from what a person wrote, in the units of Resources. `quoted` false: a plain YAML scalar (only times care). */
export function readResource(
  kind: ResourceKind,
  value: unknown,
  quoted = true,
): Parsed<string | number | boolean | GpuRequest> {
  switch (kind) {
    case 'word':
      return parseWord(value)
    case 'count':
      return parseWhole(value, 1, 10_000_000)
    case 'integer':
      return parseWhole(value, -2_147_483_645, 2_147_483_645)
    case 'flag':
      if (typeof value === 'boolean') return { ok: true, value }
      return wrong('This is neither true nor false', 'Write `true` or `false` without quotes')
    case 'time':
      return parseWalltime(value, quoted)
    case 'memory':
      return parseMemory(value)
    case 'gpus':
      return parseGpus(value)
    case 'minutes':
      return scaled(parseWhole(value, 1, 5_256_000), 60)
    case 'seconds':
      return parseWhole(value, 1, 315_360_000)
    case 'mebibytes':
      return parseWhole(value, 1, 1_000_000_000)
  }
}

function scaled(parsed: Parsed<number>, by: number): Parsed<number> {
  return parsed.ok ? { ok: true, value: parsed.value * by } : parsed
}

// Everything a scheduler's own reader of directive lines, or a shell, could take for something else.
const unsafeInWord = /[\s\u0000-\u001f\u007f-\u009f'"`\\$;<>#]/

function parseWord(value: unknown): Parsed<string> {
  if (typeof value === 'number' || typeof value === 'boolean')
    return wrong('This must be a text', `Write it in quotes: "${String(value)}"`)
  if (typeof value !== 'string') return wrong('This must be a text', 'Write one word')
  if (value === '') return wrong('This is empty', 'Write a value or leave the key out')
  if (value.startsWith('-'))
    return wrong('This begins with a dash, which schedulers read as another option', 'Leave the dash out')
  if (unsafeInWord.test(value))
    return wrong('Spaces, line ends, quotes and `$ ; < > # \\` cannot stand here', 'Write one word, lists with commas')
  if (value.length > 255) return wrong('This is longer than 255 characters', 'Write a shorter value')
  return { ok: true, value }
}

function parseWhole(value: unknown, least: number, most: number): Parsed<number> {
  if (typeof value === 'string' && /^-?\d{1,12}$/.test(value))
    return wrong('This must be a number', `Write ${value} without quotes`)
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    return wrong('This must be a whole number', `Write for example ${Math.max(1, least)}`)
  if (value < least || value > most)
    return wrong(`${value} is out of range`, `Write a whole number from ${least} to ${most}`)
  return { ok: true, value }
}

const memoryUnits: Readonly<Record<string, number>> = { K: 1 / 1_024, M: 1, G: 1_024, T: 1_048_576 }

/** Memory in MiB, rounded up, from `512M`, `2G`, `1.5T`. Units are binary, as all the schedulers take them: G, GB and GiB are the same. Bare numbers are refused: Slurm reads MB, LSF whatever the site says. */
export function parseMemory(value: unknown): Parsed<number> {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string') return wrong('Memory is a text with a unit', 'Write for example `512M`, `2G` or `1.5T`')
  const parts = /^(\d{1,12}(?:\.\d{1,6})?)\s*([KMGT])(?:i?B)?$/i.exec(text.trim())
  if (parts === null) {
    const bare = /^\d{1,12}(\.\d+)?$/.exec(text.trim())
    if (bare !== null && Number(bare[0]) === 0)
      return wrong(
        'Memory of 0 means all of a node to Slurm and nothing to others',
        'Write how much, or `exclusive: true`',
      )
    if (bare !== null) return wrong(`${bare[0]} has no unit`, `Write \`${bare[0]}M\` or \`${bare[0]}G\``)
    return wrong(
      'This is not an amount of memory',
      'Write for example `512M`, `2G` or `1.5T`; the units are K, M, G and T',
    )
  }
  const [, amount = '0', unit = 'M'] = parts
  // A rounding error of floating point must not make 1.1 G one MiB larger than itself.
  const mebibytes = Math.ceil(Number((Number(amount) * (memoryUnits[unit.toUpperCase()] ?? 1)).toFixed(6)))
  if (mebibytes === 0)
    return wrong(
      'Memory of 0 means all of a node to Slurm and nothing to others',
      'Write how much, or `exclusive: true`',
    )
  if (mebibytes > 1_073_741_824) return wrong('This is more than 1024 T', 'Write for example `512M`, `2G` or `1.5T`')
  return { ok: true, value: mebibytes }
}

/** MiB as text. `people`: `512 M`, `2.1 G`, rounded to one decimal. `exact`: `1536M`, `2G`, as .compops.yml and Slurm take it. */
export function formatMemory(mebibytes: number, style: 'people' | 'exact' = 'people'): string {
  if (style === 'exact') {
    for (const unit of ['T', 'G'] as const) {
      const size = memoryUnits[unit] ?? 1
      if (mebibytes >= size && mebibytes % size === 0) return `${mebibytes / size}${unit}`
    }
    return `${Math.ceil(mebibytes)}M`
  }
  // 1023.96 G would print as 1024.0 G: go up a unit as soon as rounding gets there.
  const unit = mebibytes >= 1_048_576 - 52 ? 'T' : mebibytes >= 1_024 - 0.05 ? 'G' : 'M'
  const amount = mebibytes / (memoryUnits[unit] ?? 1)
  return `${unit === 'M' ? Math.ceil(amount) : Number(amount.toFixed(1))} ${unit}`
}

/** GPUs from `2`, `a100` (one) or `a100:2`. */
export function parseGpus(value: unknown): Parsed<GpuRequest> {
  if (typeof value === 'number') {
    const count = parseWhole(value, 1, 100_000)
    return count.ok ? { ok: true, value: { type: null, count: count.value } } : count
  }
  const parts =
    typeof value === 'string'
      ? /^(?:([A-Za-z][A-Za-z0-9_.-]{0,62})(?::(\d{1,6}))?|(\d{1,6}))$/.exec(value.trim())
      : null
  const count = Number(parts?.[3] ?? parts?.[2] ?? (parts === null ? 0 : 1))
  if (parts === null || count === 0)
    return wrong('This is not a number or kind of GPUs', 'Write `2`, `a100` or `a100:2`')
  return { ok: true, value: { type: parts[1] ?? null, count } }
}

/** `people`: `2 GPUs`, `2 × a100`. `exact`: `2`, `a100:2`, as .compops.yml and Slurm take it. */
export function formatGpus(gpus: GpuRequest, style: 'people' | 'exact' = 'people'): string {
  if (style === 'exact') return gpus.type === null ? String(gpus.count) : `${gpus.type}:${gpus.count}`
  if (gpus.type !== null) return `${gpus.count} × ${gpus.type}`
  return gpus.count === 1 ? '1 GPU' : `${gpus.count} GPUs`
}

/** The value as a person would write it in `.compops.yml`; times as `1h30m`. */
export function formatResource<K extends ResourceName>(name: K, value: NonNullable<Resources[K]>): string {
  const { kind } = resourceKeys[name]
  if (kind === 'time') return formatWalltime(value as number, 'units')
  if (kind === 'memory') return formatMemory(value as number, 'exact')
  if (typeof value === 'object') return formatGpus(value, 'exact')
  return String(value)
}

function wrong(message: string, remedy: string): Parsed<never> {
  return { ok: false, message: `${message}.`, remedy: `${remedy}.` }
}
