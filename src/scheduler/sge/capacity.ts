import { UnreadableError } from '../../errors.ts'
import type { Capacity, NodeState, QueueCapacity } from '../../model/capacity.ts'
import { capacityPart, countNodes, readCapacity, sum } from '../capacity.ts'
import { show } from './values.ts'

/**
 * - qhost(1) `-q -xml`: each host with the queues on it, their slots and states.
 * - qhost(1) `-F gpu`: what a consumable of that name, which `gpus` asks for here, has left; only where the site has one.
 * - qstat(1) `-s p`: the jobs of everybody that wait, counted there.
 * Reservations (qrstat) are left out.
 */
const capacityShell = `${capacityPart}
sge_waiting() {
  awk -v RS='<' '
    /^job_info[ >]/ { seen = 1 }
    /^job_list/ { slots = 1; tasks = 1 }
    /^slots>/ { slots = substr($0, 7) + 0 }
    /^tasks>/ {
      list = substr($0, 7)
      gsub(/[ \\t\\r\\n]/, "", list)
      tasks = 0
      count = split(list, part, ",")
      for (i = 1; i <= count; i++) {
        step = split(part[i], end, /[-:]/) > 2 ? end[3] + 0 : 1
        tasks += end[2] == "" || step < 1 ? 1 : int((end[2] - end[1]) / step) + 1
      }
    }
    /^\\/job_list>/ { jobs += tasks; cores += tasks * slots }
    END { if (seen) printf "%.0f %.0f\\n", jobs, cores }'
}
scheduler_capacity() {
  capacity_part hosts cat qhost -q -xml
  capacity_part gpus cat qhost -F gpu
  capacity_part waiting sge_waiting qstat -xml -s p -u '*'
}`

export const sgeCapacity = {
  shell: capacityShell,
  commands: 3,
  read: (text: string): Capacity => readCapacity(text, { hosts: readHosts, gpus: readGpus, waiting: readWaiting }),
}

interface Instance {
  readonly queue: string
  readonly slots: number
  readonly used: number
  readonly state: string
}

function readHosts(section: string): Capacity {
  const xml = section.trim()
  if (!/^<\?xml[^>]*>\s*<qhost\b/.test(xml) || !xml.endsWith('</qhost>'))
    throw new UnreadableError(`qhost -xml answered with no whole list of hosts: ${show(xml)}`)
  const hosts = xml
    .split('<host ')
    .slice(1)
    .map(text => ({
      name: /^name='([^']*)'/.exec(text)?.[1] ?? '',
      cores: count(value(text, 'hostvalue', 'num_proc')),
      answers: value(text, 'hostvalue', 'load_avg') !== '-',
      instances: text.split('<queue ').slice(1).map(readInstance),
    }))
    .filter(host => host.name !== 'global')
  if (hosts.length === 0) throw new UnreadableError('qhost lists no host')
  const nodes = hosts.map(host => {
    const slots = Math.max(0, ...host.instances.map(one => one.slots))
    const used = host.instances.reduce((all, one) => all + one.used, 0)
    return { state: stateOf(host, used, slots), cores: slots, free: Math.max(0, slots - used) }
  })
  return { queues: queuesOf(hosts.flatMap(host => host.instances)), ...countNodes(nodes) }
}

function readInstance(text: string): Instance {
  const queue = /^name='([^']{1,200})'/.exec(text)?.[1]
  const [slots, used] = [count(value(text, 'queuevalue', 'slots')), count(value(text, 'queuevalue', 'slots_used'))]
  if (queue === undefined || slots === null || used === null)
    throw new UnreadableError(`not a queue of qhost: ${show(text)}`)
  return { queue, slots, used, state: value(text, 'queuevalue', 'state_string') ?? '' }
}

/** `<hostvalue name='num_proc'>2</hostvalue>`, `<queuevalue qname='all.q' name='slots'>8</queuevalue>` */
function value(text: string, tag: string, name: string): string | null {
  return new RegExp(`<${tag} (?:qname='[^']*' )?name='${name}'>([^<]*)</${tag}>`).exec(text)?.[1] ?? null
}

/** Letters of a queue's state: u unknown, d and D disabled, s S C suspended, E error, a A too much load (qstat(1)). */
const shut = /[uUdDsSCE]/

function stateOf(host: { answers: boolean; instances: readonly Instance[] }, used: number, slots: number): NodeState {
  const states = host.instances.map(one => one.state)
  if (!host.answers || states.some(state => /u/i.test(state))) return 'down'
  if (states.length === 0) return 'unknown'
  if (states.every(state => shut.test(state))) return 'draining'
  return used === 0 ? 'idle' : used >= slots || states.every(state => /[aA]/.test(state)) ? 'allocated' : 'mixed'
}

function queuesOf(instances: readonly Instance[]): QueueCapacity[] {
  return [...new Set(instances.map(one => one.queue))].sort().map(name => {
    const own = instances.filter(one => one.queue === name)
    const good = own.filter(one => !shut.test(one.state))
    return {
      name,
      open: good.length > 0,
      state: good.length === own.length ? 'open' : good.length > 0 ? 'open in part' : 'disabled',
      limit: null,
      nodes: { total: own.length, free: good.filter(one => one.used === 0).length },
      cores: {
        total: sum(own.map(one => one.slots)),
        free: sum(good.map(one => Math.max(0, one.slots - one.used))),
      },
      waiting: null,
    }
  })
}

/** `    Host Resource(s):      hc:gpu=4.000000`: of a consumable what is left; how many there are is not told. */
function readGpus(section: string): Capacity {
  if (!section.startsWith('HOSTNAME'))
    throw new UnreadableError(`qhost answered without its head line: ${show(section)}`)
  const free = [...section.matchAll(/\bh[a-z]:gpu=(\d{1,6})(?:\.0*)?$/gm)].map(([, n]) => Number(n))
  return { gpus: free.length === 0 ? [] : [{ type: null, total: null, free: sum(free) }] }
}

function readWaiting(section: string): Capacity {
  const [, jobs, cores] = /^(\d{1,12}) (\d{1,15})$/m.exec(section) ?? []
  if (jobs === undefined) throw new UnreadableError('qstat answered with no list of jobs that wait')
  return { waiting: { jobs: Number(jobs), cores: Number(cores) } }
}

function count(word: string | null): number | null {
  return word !== null && /^\d{1,9}$/.test(word) ? Number(word) : null
}
