import { inArray, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { whyKept } from '../model/retention.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { transact } from '../store/open.ts'
import {
  directoriesBeingRemoved,
  markRemoved,
  putOffRemoval,
  type RunOnCluster,
  runsOnCluster,
} from '../store/run-directories.ts'
import { touchRuns } from '../store/runs.ts'
import { runDirectories, runs } from '../store/schema.ts'
import { eachInTurn } from '../store/work.ts'

/** In one round: trees of a million files take their time, and nobody waits for it. */
const some = 20
const page = 100
/** Projects whose directories cannot be reached, before the cluster is taken for away. */
const mostSilent = 5

/**
 * Retention: removes old run directories of one account of a cluster. The row says that it is being removed before anything is, under a lock on the run, so
 * that a branch which comes back at this moment either stops it or computes anew; a kill in between leaves the row, and the deed is repeated. What cannot be
 * removed is put off, and is in nobody's way. Returns how many were tried.
 */
async function removeDirectories(context: Context, connection: string): Promise<number> {
  const days = context.clusterConfig(connection).keepDays
  if (days === undefined) return 0
  const waiting = await directoriesBeingRemoved(context.db, connection, some)
  await begin(context, connection, days, some - waiting.length)
  const due = await directoriesBeingRemoved(context.db, connection, some)
  await eachInTurn([...Map.groupBy(due, one => one.projectId)], async ([projectId, group]) => {
    mustHold(context.lease)
    const ids = group.map(one => one.runId)
    try {
      await remove(context, connection, projectId, ids)
    } catch (error) {
      if (!(error instanceof LeaseLost)) await putOffRemoval(context.db, connection, ids, describeError(error))
      throw error
    }
  })
  return due.length
}

/** One round of it, and old sources when nothing else is left: they are brought again where they are missing, so their age alone decides. */
export async function keepTidy(context: Context, connection: string): Promise<{ more: boolean; after?: number }> {
  const days = context.clusterConfig(connection).keepDays
  if (days === undefined) return { more: false }
  try {
    if ((await removeDirectories(context, connection)) > 0) return { more: true }
    await context.clusterOf(connection).directories.removeSources(days)
    return { more: false }
  } catch (error) {
    if (!(error instanceof CompopsError && error.transient)) throw error
    // A cluster that is away is told elsewhere, and nothing is urgent here.
    context.log.info({ step: 'retention', connection, err: describeError(error) }, 'nothing could be removed now')
    return { more: false, after: 600_000 }
  }
}

/** Only where the cluster answers for the project: a row that says `removing` makes a branch that comes back compute anew. */
async function begin(context: Context, connection: string, days: number, most: number): Promise<void> {
  const answers = new Map<number, boolean>()
  const endedBy = new Date(context.clock.now().getTime() - days * 86_400_000)
  let after: string | null = null
  for (let begun = 0; begun < most; ) {
    const found: RunOnCluster[] = await runsOnCluster(context.db, connection, { after, endedBy, limit: page })
    for (const { id, projectId, facts } of found) {
      if (begun >= most || whyKept(facts, days, context.clock.now()) !== null) continue
      if (!answers.has(projectId)) answers.set(projectId, await isReached(context, connection, projectId))
      if (answers.get(projectId) === false) {
        if ([...answers.values()].filter(one => !one).length >= mostSilent) return
        continue
      }
      if (await markRemoving(context, connection, id, days)) begun++
    }
    if (found.length < page) return
    after = found.at(-1)!.id
  }
}

async function isReached(context: Context, connection: string, projectId: number): Promise<boolean> {
  try {
    await context.clusterOf(connection).directories.removeRuns(projectId, [])
    return true
  } catch (error) {
    context.log.warn(
      { step: 'retention', connection, project: projectId, err: describeError(error) },
      'the run directories of a project cannot be reached: none of them is removed',
    )
    return false
  }
}

async function markRemoving(context: Context, connection: string, runId: string, days: number): Promise<boolean> {
  return transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    await tx.execute(sql`select 1 from ${runs} where ${runs.id} = ${runId} for update`)
    const [now] = await runsOnCluster(tx, connection, { run: runId })
    if (now === undefined || whyKept(now.facts, days, context.clock.now()) !== null) return false
    await tx.insert(runDirectories).values({ runId, connection, days }).onConflictDoNothing()
    return true
  })
}

async function remove(context: Context, connection: string, projectId: number, ids: readonly string[]): Promise<void> {
  const log = context.log.child({ step: 'retention', connection, project: projectId })
  const { gone, kept } = await context.clusterOf(connection).directories.removeRuns(projectId, ids)
  for (const [run, why] of kept) log.warn({ run }, `the directory of run ${run} cannot be removed: it ${why}`)
  for (const [why, those] of Map.groupBy(
    ids.filter(id => !gone.has(id)),
    id => kept.get(id) ?? 'was not spoken of',
  ))
    await putOffRemoval(context.db, connection, those, `it ${why}`)
  const done = ids.filter(id => gone.has(id))
  if (done.length === 0) return
  await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    await markRemoved(tx, connection, done)
    await touchRuns(tx, done)
  })
  context.wake.call('compose')
  log.info({ runs: done }, `${done.length} run directories removed`)
  const known = await context.db
    .select({ id: runs.id, ref: runs.ref, sha: runs.sha })
    .from(runs)
    .where(inArray(runs.id, done))
  for (const { id, ref, sha } of known)
    context.audit.record({
      act: 'run directory removed',
      by: 'compops',
      run: id,
      ref,
      sha,
      cluster: connection,
      result: 'removed',
    })
}
