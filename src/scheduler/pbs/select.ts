import { CompopsError } from '../../errors.ts'
import type { GpuRequest, Resources } from '../../model/job-spec.ts'
import { readCount, readSize } from './values.ts'

/**
 * Where a job runs: what Slurm says of nodes and tasks, PBS says of chunks, each a part of one host (pbs_resources(7B), qsub(1B)).
 *
 *     nodes: 2, ntasks_per_node: 8, cpus_per_task: 4     select=2:ncpus=32:mpiprocs=8:ompthreads=4, place=scatter
 *     ntasks: 8                                          select=8:ncpus=1:mpiprocs=1, place=free: wherever there is room
 *     nodes: 2, ntasks: 5                                select=1:ncpus=3:mpiprocs=3+1:ncpus=2:mpiprocs=2, place=scatter
 */
export interface Placement {
  readonly select: string
  readonly place: string | null
}

const placing = [
  'nodes',
  'ntasks',
  'ntasks_per_node',
  'cpus_per_task',
  'mem',
  'mem_per_cpu',
  'gpus',
  'gpus_per_node',
  'exclusive',
] as const satisfies readonly (keyof Resources)[]

/** The keys of a job that come to `select` and `place`, as far as it has them. */
export function placingKeys(r: Resources): (keyof Resources)[] {
  return placing.filter(key => r[key] !== undefined && r[key] !== false)
}

/** null where nothing is asked for: then the site's defaults hold. */
export function writePlacement(r: Resources): Placement | null {
  const keys = placingKeys(r)
  if (keys.length === 0) return null
  for (const key of placing) checkCount(key, r[key])
  if (r.mem !== undefined && r.mem_per_cpu !== undefined)
    throw new CompopsError(
      'mem_per_cpu: mem is set as well, and a chunk of PBS has one amount of memory: leave one out',
    )
  const { tasks, spread } = spreadTasks(r)
  const chunks = tasks.map(([count, each]) => writeChunk(r, count, each, tasks))
  const place = [spread, r.exclusive === true ? 'exclhost' : null].filter(part => part !== null).join(':')
  return { select: chunks.join('+'), place: place === '' ? null : place }
}

function checkCount(key: string, value: unknown): void {
  if (value === undefined || typeof value === 'boolean' || typeof value === 'object') return
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
    throw new CompopsError(`${key}: ${String(value)} is not a whole number of at least 1`)
}

/** How many chunks have how many tasks each. */
function spreadTasks({ nodes, ntasks, ntasks_per_node: most }: Resources): {
  tasks: (readonly [chunks: number, tasks: number])[]
  spread: string | null
} {
  const hosts = nodes ?? (most === undefined ? undefined : Math.ceil((ntasks ?? most) / most))
  // Tasks without a word of nodes may be anywhere, also side by side.
  if (hosts === undefined) return { tasks: [[ntasks ?? 1, 1]], spread: (ntasks ?? 1) > 1 ? 'free' : null }
  const all = ntasks ?? hosts * (most ?? 1)
  if (all < hosts) throw new CompopsError(`ntasks: ${all} is less than one for each of ${hosts} nodes`)
  const least = Math.floor(all / hosts)
  const larger = all - least * hosts
  if (most !== undefined && least + Math.min(larger, 1) > most)
    throw new CompopsError(`ntasks: ${all} are more than ntasks_per_node: ${most} on each of ${hosts} nodes`)
  const tasks = [
    [larger, least + 1],
    [hosts - larger, least],
  ] as const
  return { tasks: tasks.filter(([chunks]) => chunks > 0), spread: hosts > 1 ? 'scatter' : null }
}

function writeChunk(r: Resources, count: number, tasks: number, all: readonly (readonly [number, number])[]): string {
  const cpus = tasks * (r.cpus_per_task ?? 1)
  const parts = [`${count}`, `ncpus=${cpus}`]
  const chunks = all.reduce((sum, [n]) => sum + n, 0)
  const anyTasks = (r.ntasks ?? r.ntasks_per_node) !== undefined
  if (anyTasks) parts.push(`mpiprocs=${tasks}`)
  // Else PBS sets OMP_NUM_THREADS to all processors of the chunk, for each of its tasks.
  if (anyTasks || r.cpus_per_task !== undefined) parts.push(`ompthreads=${r.cpus_per_task ?? 1}`)
  if (r.mem !== undefined) {
    if (chunks > 1 && r.nodes === undefined && r.ntasks_per_node === undefined)
      throw new CompopsError(
        'mem: it is that of a node, and PBS may put several tasks on one: write nodes too, or mem_per_cpu',
      )
    parts.push(`mem=${r.mem}mb`)
  }
  if (r.mem_per_cpu !== undefined) parts.push(`mem=${r.mem_per_cpu * cpus}mb`)
  const gpus = gpusEach(r, chunks)
  if (gpus !== null) parts.push(`ngpus=${gpus}`)
  return parts.join(':')
}

function gpusEach(r: Resources, chunks: number): number | null {
  const each = r.gpus_per_node === undefined ? null : countOf('gpus_per_node', r.gpus_per_node)
  if (each !== null && chunks > 1 && r.nodes === undefined && r.ntasks_per_node === undefined)
    throw new CompopsError('gpus_per_node: PBS may put several tasks on one node: write nodes too, or gpus')
  if (r.gpus === undefined) return each
  const all = countOf('gpus', r.gpus)
  if (each !== null && each * chunks !== all)
    throw new CompopsError(`gpus: ${all} are not gpus_per_node: ${each} on ${chunks} nodes`)
  if (all % chunks !== 0)
    throw new CompopsError(
      `gpus: ${all} cannot be shared out evenly among ${chunks} ${r.nodes === undefined ? 'tasks' : 'nodes'}: write gpus_per_node, or another number`,
    )
  return all / chunks
}

function countOf(key: string, { type, count }: GpuRequest): number {
  if (!Number.isSafeInteger(count) || count < 1)
    throw new CompopsError(`${key}: ${count} is not a whole number of at least 1`)
  if (type !== null)
    throw new CompopsError(
      `${key}: PBS has no name for a type of GPU that holds everywhere: write the number alone, and the resource of your site as a directive, e.g. directives: ["-l select=1:ncpus=4:ngpus=1:gpu_type=${/^[\w.-]{1,40}$/.test(type) ? type : 'a100'}"]`,
    )
  return count
}

type Writable = { -readonly [Key in keyof Resources]: Resources[Key] }

/**
 * A `select` and its `place` of somebody's script in our keys, when these say the same: one kind of chunk, of what everybody's PBS knows, which
 * is one task of many or a host. null where they do not; then both stay as they are.
 */
export function readPlacement(select: string, place: string | undefined): Resources | null {
  const words = (place ?? '').split(':').filter(word => word !== '')
  if (words.some(word => !['free', 'scatter', 'pack', 'excl', 'exclhost', 'shared'].includes(word))) return null
  const chunk = readChunk(select)
  if (chunk === null) return null
  const { count, cpus, tasks, threads, mem, gpus } = chunk
  const r: Writable = {}
  // Two or more tasks in each of several chunks are meant as hosts; so is whatever is scattered.
  const hosts = count === 1 || words.includes('scatter') || tasks > 1
  if (count > 1 && words.includes('pack')) return null
  if (hosts && count > 1 && words.includes('free')) return null
  if (cpus % tasks !== 0) return null
  const each = cpus / tasks
  if (threads !== null && threads !== each) return null
  if (hosts) r.nodes = count
  if (!hosts) r.ntasks = count
  else if (chunk.saysTasks) r.ntasks_per_node = tasks
  if (each > 1 || threads !== null) r.cpus_per_task = each
  if (mem !== null) {
    if (hosts) r.mem = mem
    else if (mem % cpus === 0) r.mem_per_cpu = mem / cpus
    else return null
  }
  if (gpus !== null) {
    if (hosts) r.gpus_per_node = { type: null, count: gpus }
    else r.gpus = { type: null, count: gpus * count }
  }
  if (words.includes('excl') || words.includes('exclhost')) r.exclusive = true
  return r
}

interface Chunk {
  readonly count: number
  readonly cpus: number
  readonly tasks: number
  readonly saysTasks: boolean
  readonly threads: number | null
  readonly mem: number | null
  readonly gpus: number | null
}

function readChunk(select: string): Chunk | null {
  if (select.includes('+')) return null
  const parts = select.split(':')
  const count = /^[1-9]\d{0,8}$/.test(parts[0] ?? '') ? Number(parts.shift()) : 1
  const values = new Map(parts.map(part => [part.split('=', 1)[0]!, part.slice(part.indexOf('=') + 1)]))
  if (values.size !== parts.length || parts.some(part => !part.includes('='))) return null
  const number = (name: string) => {
    const value = readCount(values.get(name))
    return value === 0 ? null : value
  }
  const mem = readMebibytes(values.get('mem'))
  for (const [name] of values) {
    if (!['ncpus', 'mpiprocs', 'ompthreads', 'mem', 'ngpus'].includes(name)) return null
    if (name === 'mem' ? mem === null : name !== 'ngpus' && number(name) === null) return null
  }
  return {
    count,
    cpus: number('ncpus') ?? 1,
    tasks: number('mpiprocs') ?? 1,
    saysTasks: values.has('mpiprocs'),
    threads: number('ompthreads'),
    mem,
    gpus: number('ngpus'),
  }
}

/** The form before PBS Professional 8, which all still read: `nodes=2:ppn=8`, with `mem` of the whole job. */
export function readOldNodes(nodes: string, mem: string | undefined): Resources | null {
  const found = /^([1-9]\d{0,8})(?::(?:ppn=([1-9]\d{0,8})|ncpus=([1-9]\d{0,8})))?$/.exec(nodes)
  if (found === null) return null
  const count = Number(found[1])
  const r: Writable = { nodes: count }
  if (found[2] !== undefined) r.ntasks_per_node = Number(found[2])
  if (found[3] !== undefined) r.cpus_per_task = Number(found[3])
  if (mem !== undefined) {
    const all = readMebibytes(mem)
    if (all === null) return null
    r.mem = Math.ceil(all / count)
  }
  return r
}

function readMebibytes(text: string | undefined): number | null {
  const bytes = readSize(text)
  return bytes === null || bytes === 0 ? null : Math.ceil(bytes / 2 ** 20)
}
