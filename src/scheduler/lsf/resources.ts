import { CompopsError } from '../../errors.ts'
import type { GpuRequest, Resources } from '../../model/job-spec.ts'
import { nodeName } from '../../model/retry.ts'
import { show } from './values.ts'

/** What the keys of a job come to in options of bsub(1). A `-R` for each key; bsub is given them as one. */

export interface BsubOption {
  readonly flag: string
  readonly value: string | null
  /** The key of the job's `origins`. */
  readonly key: keyof Resources | 'retry'
}

/** What LSF has nothing for, with what to write instead. */
const without: Partial<Record<keyof Resources, string>> = {
  qos: 'LSF has no QOS; a service class is `directives: ["-sla NAME"]`, an application profile `directives: ["-app NAME"]`',
  gres: 'LSF counts GPUs by gpus or gpus_per_node, and other resources by `directives: [\'-R "rusage[NAME=1]"\']`',
  nice: 'LSF has no nice; its own priority is `directives: ["-sp NUMBER"]`',
}

export function bsubOptions(r: Resources, exclude: readonly string[] = []): BsubOption[] {
  for (const [key, instead] of Object.entries(without))
    if (r[key as keyof Resources] !== undefined)
      throw new CompopsError(`${key}: ${show(String(r[key as keyof Resources]))} cannot be said to LSF: ${instead}`)
  const options: BsubOption[] = []
  const word = (key: 'partition' | 'account' | 'reservation', flag: string) => {
    if (r[key] !== undefined) options.push({ flag, value: checked(key, /^[\w.@%+/][\w.@%+/:-]*$/, r[key]), key })
  }
  word('partition', 'q')
  // -G is the user group of the fair share, which only its members may name: a raw directive.
  word('account', 'P')
  word('reservation', 'U')
  if (r.time !== undefined) options.push({ flag: 'W', value: writeMinutes(r.time), key: 'time' })
  options.push(...slots(r))
  options.push(...memory(r))
  if (r.gpus !== undefined && r.gpus_per_node !== undefined)
    throw new CompopsError('gpus: write either gpus or gpus_per_node')
  if (r.gpus_per_node !== undefined)
    options.push({ flag: 'gpu', value: writeGpus('gpus_per_node', r.gpus_per_node, ''), key: 'gpus_per_node' })
  if (r.gpus !== undefined) options.push({ flag: 'gpu', value: allGpus(r, r.gpus), key: 'gpus' })
  // A name with a dash would be a subtraction without quotes (IBM Spectrum LSF 10.1, "Selection string").
  const away = exclude.map(node => `hname!='${host(node)}'`).join(' && ')
  if (r.constraint !== undefined) {
    const features = checked('constraint', /^[\w.&|!()]+$/, r.constraint)
    const said = features.replace(/&+/g, ' && ').replace(/\|+/g, ' || ')
    options.push({ flag: 'R', value: `select[${away === '' ? said : `(${said}) && ${away}`}]`, key: 'constraint' })
  } else if (away !== '') options.push({ flag: 'R', value: `select[${away}]`, key: 'retry' })
  if (r.licenses !== undefined) {
    const wanted = checked('licenses', /^[\w.]+(?::[1-9]\d*)?(?:,[\w.]+(?::[1-9]\d*)?)*$/, r.licenses)
    const said = wanted.split(',').map(one => one.replace(/^([^:]+)(?::(\d+))?$/, (_, name, n) => `${name}=${n ?? 1}`))
    options.push({ flag: 'R', value: `rusage[${said.join(',')}]`, key: 'licenses' })
  }
  if (r.exclusive === true) options.push({ flag: 'x', value: null, key: 'exclusive' })
  return options
}

function host(name: string): string {
  if (!nodeName.test(name)) throw new CompopsError(`${show(name)} is not the name of a host`)
  return name
}

function checked(key: keyof Resources, pattern: RegExp, value: string): string {
  if (typeof value !== 'string' || !pattern.test(value))
    throw new CompopsError(`${key}: ${show(String(value))} is nothing that bsub takes`)
  return value
}

function count(r: Resources, key: keyof Resources): number | undefined {
  const value = r[key]
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
    throw new CompopsError(`${key}: ${String(value)} is not a whole number of at least 1`)
  return value
}

/** `[hours:]minutes`, rounded up: `-W 0:0:30` is a "Bad RUNLIMIT specification". */
function writeMinutes(seconds: number): string {
  if (!Number.isSafeInteger(seconds) || seconds < 1)
    throw new CompopsError(`time: ${seconds} is not a whole number of seconds of at least 1`)
  const minutes = Math.ceil(seconds / 60)
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}`
}

/** Tasks on how many hosts. LSF knows slots (`-n`), one for each core, and how many of them on a host (`span[…]`). */
interface Shape {
  readonly tasks: number
  readonly cpus: number
  readonly nodes: number | undefined
  readonly tasksPerNode: number | undefined
}

function shapeOf(r: Resources): Shape {
  const nodes = count(r, 'nodes')
  const cpus = count(r, 'cpus_per_task') ?? 1
  let tasksPerNode = count(r, 'ntasks_per_node')
  const tasks = count(r, 'ntasks') ?? (nodes ?? 1) * (tasksPerNode ?? 1)
  if (nodes !== undefined && tasksPerNode !== undefined && tasks !== nodes * tasksPerNode)
    throw new CompopsError(`ntasks: ${tasks} tasks are not ${tasksPerNode} on each of ${nodes} nodes`)
  if (nodes !== undefined && tasksPerNode === undefined) {
    tasksPerNode = Math.ceil(tasks / nodes)
    if (Math.ceil(tasks / tasksPerNode) !== nodes)
      throw new CompopsError(
        `ntasks: ${tasks} tasks cannot be laid out on ${nodes} nodes by LSF, which fills one host after the other: make it a multiple of ${nodes}`,
      )
  }
  return { tasks, cpus, nodes, tasksPerNode }
}

function slots(r: Resources): BsubOption[] {
  const { tasks, cpus, nodes, tasksPerNode } = shapeOf(r)
  const options: BsubOption[] = []
  const key = (['ntasks', 'cpus_per_task', 'nodes', 'ntasks_per_node'] as const).find(one => r[one] !== undefined)
  if (key === undefined) return []
  options.push({ flag: 'n', value: String(tasks * cpus), key })
  if (nodes === 1) options.push({ flag: 'R', value: 'span[hosts=1]', key: 'nodes' })
  else if (tasksPerNode !== undefined)
    options.push({
      flag: 'R',
      value: `span[ptile=${tasksPerNode * cpus}]`,
      key: r.ntasks_per_node === undefined ? 'nodes' : 'ntasks_per_node',
    })
  // The cores of one task are of use to it on one host only (IBM Spectrum LSF 10.1, "Span string").
  else if (cpus > 1)
    options.push({ flag: 'R', value: tasks === 1 ? 'span[hosts=1]' : `span[block=${cpus}]`, key: 'cpus_per_task' })
  return options
}

/**
 * Memory is asked for (rusage) and, where it is that of a whole host, limited (-M), as with Slurm. The unit and what it counts for are written
 * out, since without them both are the site's (LSF_UNIT_FOR_LIMITS, RESOURCE_RESERVE_PER_TASK): units since 10.1.0.2, `/host` and `/task` since
 * 10.1.0.9 (IBM Spectrum LSF 10.1, "Usage string", "bsub -M"). What is older gets them translated where bsub is called (shell.ts).
 */
function memory(r: Resources): BsubOption[] {
  const mem = count(r, 'mem')
  const perCpu = count(r, 'mem_per_cpu')
  if (mem !== undefined && perCpu !== undefined) throw new CompopsError('mem: write either mem or mem_per_cpu')
  if (perCpu !== undefined) return [{ flag: 'R', value: `rusage[mem=${perCpu}MB/task]`, key: 'mem_per_cpu' }]
  if (mem === undefined) return []
  return [
    { flag: 'R', value: `rusage[mem=${mem}MB/host]`, key: 'mem' },
    { flag: 'M', value: `${mem}MB`, key: 'mem' },
  ]
}

/** GPUs in all have to become GPUs of each host, or of each slot. */
function allGpus(r: Resources, gpus: GpuRequest): string {
  const { tasks, cpus, nodes, tasksPerNode } = shapeOf(r)
  const hosts = nodes ?? (tasksPerNode === undefined ? undefined : Math.ceil(tasks / tasksPerNode))
  if (hosts !== undefined || tasks === 1) {
    const on = hosts ?? 1
    if (gpus.count % on === 0) return writeGpus('gpus', { ...gpus, count: gpus.count / on }, '')
    throw new CompopsError(`gpus: ${gpus.count} GPUs are not the same number on each of ${on} nodes`)
  }
  if (cpus === 1 && gpus.count % tasks === 0) return writeGpus('gpus', { ...gpus, count: gpus.count / tasks }, '/task')
  throw new CompopsError(
    `gpus: LSF counts GPUs for each node or each task, and ${gpus.count} for ${tasks} tasks are neither: write nodes, or gpus_per_node`,
  )
}

/** Its GPUs are its own (`j_exclusive`), which the default of LSF is not (bsub(1), -gpu). */
function writeGpus(key: string, { type, count: number }: GpuRequest, each: '' | '/task'): string {
  if (!Number.isSafeInteger(number) || number < 1)
    throw new CompopsError(`${key}: ${number} is not a whole number of at least 1`)
  if (type !== null && !/^[A-Za-z0-9][\w.+-]*$/.test(type))
    throw new CompopsError(`${key}: ${show(type)} is not a type of GPU`)
  return `num=${number}${each}:j_exclusive=yes${type === null ? '' : `:gmodel=${type}`}`
}
