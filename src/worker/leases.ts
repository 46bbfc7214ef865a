import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { fencedLease, holdLeases, type Lease, processLease, releaseLeases, unshared } from '../store/leases.ts'
import type { Topic } from '../wake.ts'

/** Which clusters and which shared duties are this process's own. Of several replicas one owns each; when it dies another takes it over. */
export interface Leases {
  /** null while another process has it, or may have it. */
  of(name: string): Lease | null
  /** That this process lives: what it claims is its own as long as this is held. */
  readonly process: Lease
  renew(): Promise<void>
  /** ms from one renewal to the next. */
  readonly renewEvery: number
  release(): Promise<void>
}

/** Who has just become owner looks at once, whatever the former one left. */
const topics = (name: string): readonly Topic[] =>
  name.startsWith('cluster ')
    ? ['recover', 'prepare', 'submit', 'collect', 'cancel', 'poll']
    : name === 'heads'
      ? ['recover', 'heads', 'sweep']
      : ['evidence']

export function createLeases(context: Context): Leases {
  const life = processLease(context.holder)
  const lasts = context.config.intervals.lease
  const names = [life, 'heads', 'evidence', ...context.connections().map(connection => `cluster ${connection}`)]
  const held = new Map<string, { lease: Lease; until: Times }>()

  const isHeld = (name: string) => {
    const until = held.get(name)?.until
    return until !== undefined && before(until)
  }

  async function renew(): Promise<void> {
    // Counted from before the asking: we stop in time even where the database does not answer.
    const until = timesIn((lasts * 5) / 6)
    const fences = await holdLeases(context.db, names, context.holder, lasts / 1000)
    for (const name of names) {
      const fence = fences.get(name)
      if (fence === undefined) {
        held.delete(name)
        continue
      }
      const isNew = !isHeld(name)
      held.set(name, { lease: fencedLease(name, context.holder, fence, () => isHeld(name)), until })
      if (!isNew || name === life) continue
      context.log.info({ step: 'lease', name, fence }, `${name} is ours`)
      for (const topic of topics(name)) context.wake.call(topic)
    }
  }

  return {
    of: name => (isHeld(name) ? (held.get(name)?.lease ?? null) : null),
    process: { ...unshared, name: life, held: () => isHeld(life) },
    async renew() {
      try {
        // One that is not answered is given up, so that the next can go another way.
        await within(lasts / 3, renew())
      } catch (error) {
        context.log.warn({ step: 'lease', err: describeError(error) }, 'leases could not be renewed')
      }
    },
    renewEvery: lasts / 4,
    release: () => releaseLeases(context.db, context.holder),
  }
}

interface Times {
  readonly steady: number
  readonly wall: number
}

// By two clocks, whichever is later: the steady one stands still while a machine sleeps, the other can be set back.
const timesIn = (ms: number): Times => ({ steady: performance.now() + ms, wall: Date.now() + ms })
const before = (until: Times): boolean => performance.now() < until.steady && Date.now() < until.wall

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the database did not answer in ${ms / 1000} s`)), ms)
  })
  // Whatever comes of it later is nobody's error.
  work.catch(() => {})
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
