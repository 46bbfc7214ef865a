import { inArray, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { whyKept } from '../model/retention.ts'
import { mustHold } from '../store/leases.ts'
import { transact } from '../store/open.ts'
import { directoriesBeingRemoved, markRemoved, type RunOnCluster, runsOnCluster } from '../store/run-directories.ts'
import { touchRuns } from '../store/runs.ts'
import { runDirectories, runs } from '../store/schema.ts'

/** In one round: trees of a million files take their time, and nobody waits for it. */
const some = 20
const page = 100

/**
 * Retention: removes old run directories of one account of a cluster. The row says that it is being removed before anything is, under a lock on the run, so
 * that a branch which comes back at this moment either stops it or computes anew; a kill in between leaves the row, and the deed is repeated.
 */
async function removeDirectories(context: Context, connection: string): Promise<number> {
  const days = context.clusterConfig(connection).keepDays
  if (days === undefined) return 0
  let begun = await directoriesBeingRemoved(context.db, connection, some)
  if (begun.length === 0) {
    await begin(context, connection, days)
    begun = await directoriesBeingRemoved(context.db, connection, some)
  }
  let removed = 0
  for (const [projectId, group] of Map.groupBy(begun, one => one.projectId)) {
    mustHold(context.lease)
    removed += await remove(
      context,
      connection,
      projectId,
      group.map(one => one.runId),
    )
  }
  return removed
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

async function begin(context: Context, connection: string, days: number): Promise<void> {
  const endedBy = new Date(context.clock.now().getTime() - days * 86_400_000)
  let after: string | null = null
  for (let begun = 0; begun < some; ) {
    const found: RunOnCluster[] = await runsOnCluster(context.db, connection, { after, endedBy, limit: page })
    for (const { id, facts } of found) {
      if (begun >= some || whyKept(facts, days, context.clock.now()) !== null) continue
      if (await markRemoving(context, connection, id, days)) begun++
    }
    if (found.length < page) return
    after = found.at(-1)!.id
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

async function remove(
  context: Context,
  connection: string,
  projectId: number,
  ids: readonly string[],
): Promise<number> {
  const log = context.log.child({ step: 'retention', connection, project: projectId })
  const { gone, kept } = await context.clusterOf(connection).directories.removeRuns(projectId, ids)
  for (const [run, why] of kept) log.warn({ run }, `the directory of run ${run} cannot be removed: it ${why}`)
  const done = ids.filter(id => gone.has(id))
  if (done.length === 0) return 0
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
  return done.length
}
