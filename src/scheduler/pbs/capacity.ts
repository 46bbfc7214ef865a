import { z } from 'zod'
import { UnreadableError } from '../../errors.ts'
import type { Capacity, GpuShare, NodeState } from '../../model/capacity.ts'
import { capacityPart, countGpus, countNodes, gives, readCapacity } from '../capacity.ts'
import { show } from './values.ts'

/** qstat(1B) `-Q` and pbsnodes(8B) `-a`, both as JSON: no text of a researcher stands in these, unlike in those of jobs. Reservations are left out. */
const capacityShell = `${capacityPart}
scheduler_capacity() {
  capacity_part queues cat qstat -Q -f -F json
  capacity_part nodes cat pbsnodes -a -F json
}`

export const pbsCapacity = {
  shell: capacityShell,
  commands: 2,
  read: (text: string): Capacity => readCapacity(text, { queues: readQueues, nodes: readNodes }),
}

const number = z.union([z.number(), z.string().regex(/^\d{1,9}$/)]).transform(Number)
const resources = z.object({ ncpus: number.optional(), ngpus: number.optional(), walltime: z.string().optional() })
const queueList = z.object({
  Queue: z.record(
    z.string(),
    z.object({
      queue_type: z.string().optional(),
      state_count: z.string().optional(),
      enabled: z.string().optional(),
      started: z.string().optional(),
      resources_max: resources.optional(),
    }),
  ),
})
const nodeList = z.object({
  nodes: z.record(
    z.string(),
    z.object({
      state: z.string(),
      resources_available: resources.optional(),
      resources_assigned: resources.optional(),
    }),
  ),
})

function parsed<T>(program: string, shape: z.ZodType<T>, text: string): T {
  try {
    return shape.parse(JSON.parse(text.slice(Math.max(0, text.indexOf('{')))))
  } catch (error) {
    throw new UnreadableError(`${program} did not answer as it should: ${show(text.trim())}`, { cause: error })
  }
}

/** `state_count` is `Transit:0 Queued:3 Held:0 …` (pbs_queue_attributes(7B)); a routing queue hands its jobs on and is none to compute in. */
function readQueues(text: string): Capacity {
  const found = Object.entries(parsed('qstat -Q', queueList, text).Queue).filter(
    ([, one]) => one.queue_type !== 'Route',
  )
  const queues = found.map(([name, one]) => {
    const open = one.enabled === 'True' && one.started === 'True'
    const waiting = /(?:^| )Queued:(\d{1,9})(?: |$)/.exec(one.state_count ?? '')?.[1]
    return {
      name,
      open,
      state: open ? 'open' : one.enabled === 'True' ? 'stopped' : 'closed',
      limit: seconds(one.resources_max?.walltime),
      ...{ nodes: null, cores: null },
      waiting: waiting === undefined ? null : { jobs: Number(waiting), cores: null },
    }
  })
  const jobs = queues.reduce((all, one) => all + (one.waiting?.jobs ?? 0), 0)
  return { queues, ...(queues.some(one => one.waiting !== null) ? { waiting: { jobs, cores: null } } : {}) }
}

/** Of what nobody uses PBS leaves out how much is in use. ngpus is a resource of the site, without types. */
function readNodes(text: string): Capacity {
  const gpus: GpuShare[] = []
  const nodes = Object.values(parsed('pbsnodes', nodeList, text).nodes).map(node => {
    const [has, taken] = [node.resources_available, node.resources_assigned]
    const cores = has?.ncpus ?? null
    const used = taken?.ncpus ?? 0
    const state = stateOf(node.state, used, cores)
    if (has?.ngpus !== undefined && has.ngpus > 0)
      gpus.push({
        type: null,
        total: has.ngpus,
        free: gives(state) ? Math.max(0, has.ngpus - (taken?.ngpus ?? 0)) : 0,
      })
    return { state, cores, free: cores === null ? null : Math.max(0, cores - used) }
  })
  if (nodes.length === 0) throw new UnreadableError('pbsnodes lists no node')
  return { ...countNodes(nodes), gpus: countGpus(gpus) }
}

/** Several words by commas, the worst counts (pbs_node_attributes(7B), state). */
function stateOf(text: string, used: number, cores: number | null): NodeState {
  const words = text.toLowerCase().split(/[\s,]+/)
  const has = (...some: string[]) => some.some(word => words.includes(word))
  if (has('down', 'state-unknown', 'unresolvable', 'stale', 'sleep')) return 'down'
  if (has('offline', 'provisioning', 'wait-provisioning')) return 'draining'
  if (has('maintenance', 'resv-exclusive')) return 'reserved'
  if (has('job-busy', 'job-exclusive', 'busy')) return 'allocated'
  if (has('free', 'job-sharing')) return used === 0 ? 'idle' : cores !== null && used >= cores ? 'allocated' : 'mixed'
  return 'unknown'
}

function seconds(text: string | undefined): number | null {
  const found = /^(\d{1,6}):(\d\d):(\d\d)$/.exec(text ?? '')
  return found === null ? null : Number(found[1]) * 3_600 + Number(found[2]) * 60 + Number(found[3])
}
