import { isNotNull } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { type CapacityRow, claimCapacity, saveCapacity, saveCapacityTrouble } from '../store/capacities.ts'
import { holdOf } from '../store/holds.ts'
import { connections } from '../store/schema.ts'

/** Seconds for which an answer is believed, and a cluster is left alone. */
export const capacityAge = 60

/**
 * Asks a cluster for its queues and nodes because somebody looks, unless that was done within a minute, by whomever. Changes no state of any job. Not
 * asked are clusters that do not answer (the poll notices their return), that are paused, or where a person must sign in first.
 */
export async function askCapacity(context: Context, cluster: string): Promise<void> {
  const { db, log } = context
  const connection = await connectionFor(context, cluster)
  if (connection === null || (await holdOf(db, connection))?.mode === 'pause') return
  const there = context.clusterOf(connection)
  if (!there.tellsCapacity || (await there.needsSession()) !== null) return
  if (!(await claimCapacity(db, cluster, capacityAge))) return
  try {
    await saveCapacity(db, cluster, await there.capacity())
  } catch (error) {
    log.info({ step: 'capacity', connection, err: describeError(error) }, `${cluster} does not tell of its nodes`)
    await saveCapacityTrouble(db, cluster, describeError(error, 300))
  }
}

/** Whether a cluster tells what it has; asks it, for whoever looks next, where what it told is a minute old. Nobody who looks waits for a cluster. */
export function lookAtCapacity(context: Context, cluster: string, known: CapacityRow | undefined): boolean {
  const tells = context
    .connections()
    .some(name => name.split('#')[0] === cluster && context.clusterOf(name).tellsCapacity)
  const due = known === undefined || context.clock.now().getTime() - known.askedAt.getTime() >= capacityAge * 1_000
  if (tells && due && !context.stopping.aborted)
    askCapacity(context, cluster).catch(error =>
      context.log.warn({ step: 'capacity', cluster, err: describeError(error) }, 'what a cluster has cannot be kept'),
    )
  return tells
}

/** An account of ours there that answers, as far as we know. */
async function connectionFor({ db, connections: all }: Context, cluster: string): Promise<string | null> {
  const away = await db
    .select({ name: connections.name })
    .from(connections)
    .where(isNotNull(connections.unreachableSince))
  return all().find(name => name.split('#')[0] === cluster && !away.some(one => one.name === name)) ?? null
}
