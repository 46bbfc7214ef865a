import { z } from 'zod'

/** A whole cluster as its scheduler tells it, for people: whoever decides where to compute looks at it; no verb of a run does. */

export const nodeStates = ['idle', 'mixed', 'allocated', 'reserved', 'draining', 'down', 'unknown'] as const
/** `mixed`: some of its cores are given out. `reserved`: kept for somebody or for maintenance. `draining`: takes no new jobs. */
export type NodeState = (typeof nodeStates)[number]

/** What a scheduler cannot tell is left out, and a page says so. A list that is empty was told. */
export interface Capacity {
  /** Partitions, or queues. */
  readonly queues?: readonly QueueCapacity[] | undefined
  /** How many nodes are in each state; each counts once, in however many queues it is. */
  readonly nodes?: Readonly<Partial<Record<NodeState, number>>> | undefined
  readonly cores?: Share | undefined
  readonly gpus?: readonly GpuShare[] | undefined
  /** Of everybody. */
  readonly waiting?: Waiting | undefined
  readonly reservations?: readonly Reservation[] | undefined
  /** Of a single machine: how many processes want to run, on average over the last minute. */
  readonly load?: number | undefined
}

export interface Share {
  /** null: not told. */
  readonly total: number | null
  /** What a job could have now. */
  readonly free: number | null
}

export interface GpuShare extends Share {
  /** null: the scheduler has no types. */
  readonly type: string | null
}

/** A job that waits, as the scheduler counts: each task of an array is one. */
export interface Waiting {
  readonly jobs: number | null
  readonly cores: number | null
}

export interface QueueCapacity {
  readonly name: string
  /** Takes jobs and starts them. */
  readonly open: boolean
  /** The scheduler's own word, e.g. `Open:Inact`. */
  readonly state: string
  /** Seconds a job may take there at most; null: no limit, or not told. */
  readonly limit: number | null
  readonly nodes: Share | null
  readonly cores: Share | null
  readonly waiting: Waiting | null
}

export interface Reservation {
  readonly name: string
  readonly maintenance: boolean
  /** ISO 8601 */
  readonly from: string | null
  readonly to: string | null
  readonly nodes: number | null
}

const number = z.number().nullable()
const word = z.string().nullable()
const share = z.object({ total: number, free: number })
const waiting = z.object({ jobs: number, cores: number })
/** The same, for who tells it from outside and for who asks for it over the API. */
export const capacityShape = z.object({
  queues: z
    .array(
      z.object({
        name: z.string(),
        open: z.boolean(),
        state: z.string(),
        limit: number,
        nodes: share.nullable(),
        cores: share.nullable(),
        waiting: waiting.nullable(),
      }),
    )
    .optional(),
  nodes: z.partialRecord(z.enum(nodeStates), z.int().min(0)).optional(),
  cores: share.optional(),
  gpus: z.array(share.extend({ type: word })).optional(),
  waiting: waiting.optional(),
  reservations: z
    .array(z.object({ name: z.string(), maintenance: z.boolean(), from: word, to: word, nodes: number }))
    .optional(),
  load: z.number().optional(),
})

/** Nobody reads more, and what is kept has a size. */
const most = 200

export function bounded(capacity: Capacity): Capacity {
  const word = (text: string) => text.slice(0, 100)
  return {
    ...capacity,
    queues: capacity.queues?.slice(0, most).map(one => ({ ...one, name: word(one.name), state: word(one.state) })),
    gpus: capacity.gpus?.slice(0, most).map(one => ({ ...one, type: one.type === null ? null : word(one.type) })),
    reservations: capacity.reservations?.slice(0, most).map(one => ({ ...one, name: word(one.name) })),
  }
}
