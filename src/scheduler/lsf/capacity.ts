import { UnreadableError } from '../../errors.ts'
import type { Capacity, NodeState, QueueCapacity } from '../../model/capacity.ts'
import { capacityPart, countNodes, readCapacity, sum } from '../capacity.ts'
import { show } from './values.ts'

/** bqueues(1) and bhosts(1), with `-w` so that no name is cut. GPUs and reservations LSF-compatible systems do not tell; they are left out. */
const capacityShell = `${capacityPart}
scheduler_capacity() {
  capacity_part queues cat bqueues -w
  capacity_part hosts cat bhosts -w
}`

export const lsfCapacity = {
  shell: capacityShell,
  commands: 2,
  read: (text: string): Capacity => readCapacity(text, { queues: readQueues, hosts: readHosts }),
}

type Row = Readonly<Record<string, string>>

/** Columns by the words of the head line: sites and versions have different ones. */
function table(section: string, program: string, first: string): Row[] {
  const all = section.split('\n').filter(line => line.trim() !== '')
  const at = all.findIndex(line => line.startsWith(first))
  if (at === -1) throw new UnreadableError(`${program} answered without its head line: ${show(section.trim())}`)
  const head = all[at]!.trim().split(/\s+/)
  return all.slice(at + 1).map(line => {
    const words = line.trim().split(/\s+/)
    if (words.length !== head.length) throw new UnreadableError(`not a line of ${program}: ${show(line)}`)
    return Object.fromEntries(head.map((name, i) => [name, words[i]!]))
  })
}

/** PEND is in slots, of all jobs that wait (bqueues(1)). `Open:Inact`: takes jobs and starts none. */
function readQueues(section: string): Capacity {
  const queues = table(section, 'bqueues', 'QUEUE_NAME').map((row): QueueCapacity => {
    const state = row.STATUS ?? ''
    return {
      name: row.QUEUE_NAME!,
      open: /^Open:Active$/i.test(state),
      state,
      limit: null,
      ...{ nodes: null, cores: null },
      waiting: { jobs: null, cores: count(row.PEND) },
    }
  })
  return { queues, waiting: { jobs: null, cores: sum(queues.map(one => one.waiting?.cores ?? null)) } }
}

/** MAX is `-` where there is no limit of slots, and then nobody knows what is free (bhosts(1)). */
function readHosts(section: string): Capacity {
  const hosts = table(section, 'bhosts', 'HOST_NAME')
  if (hosts.length === 0) throw new UnreadableError('bhosts lists no host')
  return countNodes(
    hosts.map(row => {
      const most = count(row.MAX)
      const taken = (count(row.NJOBS) ?? 0) + (count(row.RSV) ?? 0)
      return {
        state: stateOf(row.STATUS ?? '', taken, most),
        cores: most,
        free: most === null ? null : Math.max(0, most - taken),
      }
    }),
  )
}

function stateOf(word: string, taken: number, most: number | null): NodeState {
  if (/^ok$/i.test(word)) return taken === 0 ? 'idle' : most !== null && taken >= most ? 'allocated' : 'mixed'
  if (/^(?:unavail|unreach|closed_LIM)/i.test(word)) return 'down'
  // Full, taken by one job alone, or too busy to be given another.
  if (/^closed_(?:Full|Excl|cu_excl|Busy)/i.test(word)) return 'allocated'
  if (/^closed/i.test(word)) return 'draining'
  return 'unknown'
}

function count(word: string | undefined): number | null {
  return word !== undefined && /^\d{1,9}$/.test(word) ? Number(word) : null
}
