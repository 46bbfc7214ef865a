import { UnreadableError } from '../../errors.ts'
import type { Capacity, GpuShare, NodeState, QueueCapacity, Waiting } from '../../model/capacity.ts'
import { capacityPart, countGpus, countNodes, gives, readCapacity, sum } from '../capacity.ts'
import { fieldMark } from '../dialect.ts'
import { readDuration, readTime, show } from './values.ts'

/** sinfo(1) `-O`, fields and their widths: only there GresUsed is known. Each is cut at its width, and none of these holds a blank. */
const nodeFields = [
  ['NodeList', 64],
  ['StateLong', 24],
  ['CPUsState', 32],
  ['Gres', 160],
  ['GresUsed', 240],
] as const

const cutFields = nodeFields.map(([, width], i) => {
  const from = 1 + nodeFields.slice(0, i).reduce((all, [, one]) => all + one, 0)
  return `word(substr($0, ${from}, ${width}))`
})

/**
 * - sinfo(1) `-o`: a row for a partition where no state of nodes is asked for; `%F` and `%C` are allocated/idle/other/total.
 * - sinfo(1) `-N`: a row for each node and partition; the first of a node stays.
 * - squeue(1): what waits is summed up there, a row for each partition; `%K` holds the tasks of an array that wait.
 * - scontrol(1) `show reservation -o`
 */
const capacityShell = `unset SINFO_ALL SINFO_FEDERATION SINFO_FORMAT SINFO_LOCAL SINFO_PARTITION SINFO_SORT
${capacityPart}
slurm_nodes() {
  awk 'function word(text) { sub(/ +$/, "", text); return text }
    { name = word(substr($0, 1, ${nodeFields[0][1]})) }
    !seen[name]++ { print ${cutFields.map(field => field).join(` "${fieldMark}" `)} }'
}
slurm_waiting() {
  awk -F "$slurm_us" '
    NR == 1 { print; next }
    NF == 3 {
      tasks = 1
      if ($3 ~ /^[0-9]/) {
        tasks = 0
        sub(/%.*/, "", $3)
        count = split($3, part, ",")
        for (i = 1; i <= count; i++) {
          step = split(part[i], end, /[-:]/) > 2 ? end[3] + 0 : 1
          tasks += end[2] == "" || step < 1 ? 1 : int((end[2] - end[1]) / step) + 1
        }
      }
      jobs[$1] += tasks
      cores[$1] += tasks * $2
    }
    END { for (name in jobs) printf "%s%s%.0f%s%.0f\\n", name, FS, jobs[name], FS, cores[name] }'
}
scheduler_capacity() {
  capacity_part partitions cat sinfo -h -o "%P\${slurm_us}%a\${slurm_us}%l\${slurm_us}%F\${slurm_us}%C"
  capacity_part nodes slurm_nodes sinfo -h -N -O ${nodeFields.map(([name, width]) => `${name}:${width}`).join(',')}
  capacity_part waiting slurm_waiting squeue -t PD --noconvert -o "%P\${slurm_us}%C\${slurm_us}%K"
  capacity_part reservations cat scontrol show reservation -o
}`

export const slurmCapacity = {
  shell: capacityShell,
  commands: 4,
  read(text: string): Capacity {
    let byQueue: ReadonlyMap<string, Waiting> | null = null
    const capacity = readCapacity(text, {
      partitions: section => ({ queues: lines(section).map(readPartition) }),
      nodes: readNodes,
      waiting(section) {
        const found = readWaiting(section)
        byQueue = found.byQueue
        return { waiting: found.all }
      },
      reservations: section => ({ reservations: readReservations(section) }),
    })
    const { queues } = capacity
    if (queues === undefined || byQueue === null) return capacity
    const waiting: ReadonlyMap<string, Waiting> = byQueue
    return {
      ...capacity,
      queues: queues.map(one => ({ ...one, waiting: waiting.get(one.name) ?? { jobs: 0, cores: 0 } })),
    }
  },
}

/** No cluster has no partition and no node: an empty answer is none. */
function lines(section: string): string[] {
  const found = section.split('\n').filter(line => line.trim() !== '' && !/^(?:sinfo|squeue|scontrol): /.test(line))
  if (found.length === 0) throw new UnreadableError('sinfo printed nothing')
  return found
}

/** `main*|up|1-00:00:00|2/4/0/6|12/52/0/64` */
function readPartition(line: string): QueueCapacity {
  const [name = '', state = '', limit = '', nodes = '', cores = '', ...more] = line.split(fieldMark)
  if (more.length > 0 || !/^[\w.+@-]{1,200}\*?$/.test(name) || !/^[a-z]{1,20}$/.test(state))
    throw new UnreadableError(`not a partition of sinfo: ${show(line)}`)
  const open = state === 'up'
  return {
    name: name.replace(/\*$/, ''),
    open,
    state,
    limit: limit === 'infinite' || limit === 'n/a' ? null : readDuration(limit),
    nodes: share(nodes),
    cores: share(cores),
    waiting: null,
  }
}

/** `allocated/idle/other/total` */
function share(text: string): { total: number; free: number } {
  const found = /^(\d{1,9})\/(\d{1,9})\/(\d{1,9})\/(\d{1,9})$/.exec(text)
  if (found === null) throw new UnreadableError(`not allocated/idle/other/total of sinfo: ${show(text)}`)
  return { total: Number(found[4]), free: Number(found[2]) }
}

function readNodes(section: string): Capacity {
  const nodes = lines(section).map(line => {
    const [name = '', word = '', cores = '', gres = '', used = '', ...more] = line.split(fieldMark)
    if (name === '' || more.length > 0) throw new UnreadableError(`not a node of sinfo: ${show(line)}`)
    const state = readState(word)
    const { total, free } = share(cores)
    return { state, cores: total, free, gpus: gpusOf(gres, used, gives(state)) }
  })
  return { ...countNodes(nodes), gpus: countGpus(nodes.flatMap(node => node.gpus)) }
}

/** Words and suffixes: sinfo(1), NODE STATE CODES. Of two the worse counts: a node that is `idle*` does not answer. */
export function readState(text: string): NodeState {
  const [, word = '', flags = ''] = /^([a-z_]{1,40})([^a-z\s]{0,4})$/.exec(text.toLowerCase()) ?? []
  if (word === '') throw new UnreadableError(`not a state of a node: ${show(text)}`)
  if (flags.includes('*')) return 'down'
  const state = states[word] ?? 'unknown'
  return gives(state) && flags.includes('$') ? 'reserved' : state
}

const states: Readonly<Record<string, NodeState>> = {
  idle: 'idle',
  // Powered off or kept free by the backfill: a job could have it.
  power_down: 'idle',
  powered_down: 'idle',
  planned: 'idle',
  mixed: 'mixed',
  allocated: 'allocated',
  completing: 'allocated',
  powering_up: 'allocated',
  reserved: 'reserved',
  maint: 'reserved',
  drained: 'draining',
  draining: 'draining',
  blocked: 'draining',
  fail: 'down',
  failing: 'down',
  down: 'down',
  error: 'down',
  reboot: 'down',
  reboot_issued: 'down',
  reboot_requested: 'draining',
  perfctrs: 'allocated',
  powering_down: 'draining',
  future: 'unknown',
}

/** `gpu:a100:4(S:0-1),gpu:v100:2` of a node, and in use `gpu:a100:1(IDX:0),…`: a type, or none (gres.conf(5)). */
function gpusOf(gres: string, used: string, usable: boolean): GpuShare[] {
  const inUse = gpuCounts(used)
  const has = gpuCounts(gres)
  return [...has].map(([type, total]) => {
    // An older sinfo says how many are in use without saying of which type.
    const taken = inUse.get(type) ?? (has.size === 1 ? (sum([...inUse.values()]) ?? 0) : 0)
    return { type, total, free: usable ? Math.max(0, total - taken) : 0 }
  })
}

function gpuCounts(text: string): Map<string | null, number> {
  const counts = new Map<string | null, number>()
  for (const part of text.replace(/\([^()]*\)/g, '').split(',')) {
    const [, type, n] = /^gpu(?::([^:,\s]{1,100}))?(?::no_consume)?:(\d{1,6})$/.exec(part) ?? []
    if (n !== undefined) counts.set(type ?? null, (counts.get(type ?? null) ?? 0) + Number(n))
  }
  return counts
}

/** A head line, then a row for each partition; a job that names several waits in each of them, and once in all. */
function readWaiting(section: string): { byQueue: ReadonlyMap<string, Waiting>; all: Waiting } {
  const [head = '', ...rows] = lines(section)
  if (!head.startsWith('PARTITION')) throw new UnreadableError(`squeue answered without its head line: ${show(head)}`)
  const byQueue = new Map<string, { jobs: number; cores: number }>()
  const all = { jobs: 0, cores: 0 }
  for (const row of rows) {
    const [names = '', jobs = '', cores = ''] = row.split(fieldMark)
    if (!/^\d{1,12}$/.test(jobs) || !/^\d{1,15}$/.test(cores))
      throw new UnreadableError(`not a sum of squeue: ${show(row)}`)
    for (const sums of [all, ...names.split(',').map(name => sumsOf(byQueue, name))]) {
      sums.jobs += Number(jobs)
      sums.cores += Number(cores)
    }
  }
  return { byQueue, all }
}

function sumsOf(map: Map<string, { jobs: number; cores: number }>, name: string) {
  const known = map.get(name) ?? { jobs: 0, cores: 0 }
  map.set(name, known)
  return known
}

/** A line each: `ReservationName=maint StartTime=… EndTime=… NodeCnt=4 … Flags=MAINT,SPEC_NODES … State=INACTIVE` */
function readReservations(section: string): Capacity['reservations'] {
  const found = section.split('\n').filter(line => line.startsWith('ReservationName='))
  if (found.length === 0 && !/^No reservations in the system$/m.test(section))
    throw new UnreadableError(`not the reservations of scontrol: ${show(section.trim())}`)
  return found.map(line => {
    // The name comes first: one that pretends to be further fields would hold blanks, which Slurm refuses.
    const field = (name: string) => new RegExp(`(?:^| )${name}=(\\S*)`).exec(line)?.[1] ?? ''
    return {
      name: field('ReservationName'),
      maintenance: field('Flags').split(',').includes('MAINT'),
      from: readTime(field('StartTime'))?.toISOString() ?? null,
      to: readTime(field('EndTime'))?.toISOString() ?? null,
      nodes: /^\d{1,9}$/.test(field('NodeCnt')) ? Number(field('NodeCnt')) : null,
    }
  })
}
