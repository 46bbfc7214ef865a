import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { type AttemptArray, countTasks, readTasks, writeTasks } from '../model/array.ts'
import { describeHold } from '../model/hold.ts'
import { newId } from '../model/id.ts'
import { isFinal } from '../model/job-state.ts'
import { type Asked, firstStep } from '../model/ladder.ts'
import { type NeedingJob, type Readiness, readiness, waitsFor } from '../model/needs.ts'
import { mayRunAgain } from '../model/retry.ts'
import { branchNeedsStand } from '../store/branch-needs.ts'
import { mayClimb } from '../store/climb.ts'
import { holdOf } from '../store/holds.ts'
import { type Db, first, rows, transact } from '../store/open.ts'
import { type AttemptRow, attemptsOf, finalStates, type JobRow, jobsOf, openStates, touchRuns } from '../store/runs.ts'
import { attempts, jobs, runs } from '../store/schema.ts'
import { settleArrays } from '../store/settle-arrays.ts'
import { listOf, tasksNotRun } from '../store/tasks.ts'
import { eachInTurn } from '../store/work.ts'
import { waitsForPackages } from './bundle.ts'
import { type Lookup, lookForResult } from './cache.ts'
import { setUnreachable } from './connection.ts'
import { heldAsDrafts } from './draft.ts'
import { jobsToFence } from './fence-lost.ts'
import { waitsForInputs } from './inputs.ts'
import { isStillThere } from './reuse.ts'

/** Moves jobs whose needs are met to `submitting`, with an attempt row; those that can never run are skipped, with the reason. Returns how many moved. */
export async function prepareJobs(context: Context, connection: string): Promise<number> {
  const { nativeDependencies } = context.clusterOf(connection)
  // Runs that still wait for a job of their own have nothing to be looked at; they come up when that job has moved.
  const notBegun = sql`('waiting', 'held', 'submitting', 'queued')`
  const blocking = nativeDependencies ? sql`('waiting', 'held', 'submitting')` : sql`${openStates}`
  const needs = (kind: string) =>
    sql`j.spec->'needs' @> jsonb_build_array(jsonb_build_object('job', n.name, 'kind', ${kind}::text))`
  const candidates = await rows<{ run_id: string; superseded: boolean }>(
    context.db,
    sql`select distinct j.run_id, r.superseded_by is not null as superseded from jobs j join runs r on r.id = j.run_id
      where j.connection = ${connection} and j.cancel_reason is null
        and (j.state in ('waiting', 'held') or (j.tasks_left is not null and j.state in ${openStates}))
        and (j.hold is null or j.state = 'waiting'
          or exists (select 1 from jobs n where n.run_id = j.run_id and (j.spec->'needs') @> to_jsonb(n.name) and n.state in ('failed', 'canceled', 'skipped')))
        and not exists (select 1 from projects p where p.id = j.project_id and p.recovering)
        and not exists (select 1 from jsonb_array_elements(j.spec->'branch_needs') w
          join branches wb on wb.project_id = j.project_id and wb.ref = 'refs/heads/' || (w->>'branch')
          join jobs wj on wj.run_id = wb.latest_run_id and wj.name = w->>'job' and wj.state in ${openStates} and w->>'kind' <> 'after')
        and not exists (select 1 from runs g where g.id = j.run_id and g.parent_gate in ('waits', 'skipped'))
        and not exists (select 1 from jobs n where n.run_id = j.run_id and (
          ((j.spec->'needs') @> to_jsonb(n.name) and (n.state in ${blocking} or (n.state in ${openStates} and ${mayClimb(sql`n.spec`)})))
          or (n.state in ${openStates} and (${needs('any')} or ${needs('afternotok')}))
          or (n.state in ${notBegun} and ${needs('after')})))
        and (j.retry_at is null or j.retry_at <= now())
      order by j.run_id limit 500`,
  )
  if (candidates.length === 0) return 0
  const limit = context.clusterConfig(connection).maxSubmitted
  const hold = await holdOf(context.db, connection)
  const count = { submitted: await countSubmitted(context.db, connection), moved: 0 }
  const session = await context.clusterOf(connection).needsSession()
  const unfenced = await jobsToFence(context.db, connection)
  try {
    const ofAll = hold === null ? session : describeHold(hold)
    const drafts = await heldAsDrafts(
      context,
      candidates.map(one => one.run_id),
    )
    await eachInTurn(candidates, ({ run_id: runId, superseded }) =>
      prepareRun(
        context,
        connection,
        { runId, superseded },
        { limit, held: ofAll ?? drafts.get(runId) ?? null, unfenced },
        count,
      ),
    )
  } finally {
    if (count.moved > 0) for (const topic of ['submit', 'compose', 'finish'] as const) context.wake.call(topic)
  }
  return count.moved
}

/** The jobs of one run. What has been handed over counts for all of the account. */
async function prepareRun(
  context: Context,
  connection: string,
  { runId, superseded }: { readonly runId: string; readonly superseded: boolean },
  /** `held`: why nothing may be handed over at present; `unfenced`: jobs of which something lost may still be there. */
  { limit, held, unfenced }: { limit: number; held: string | null; unfenced: ReadonlySet<string> },
  count: { submitted: number; moved: number },
): Promise<void> {
  const { nativeDependencies } = context.clusterOf(connection)
  const all = await jobsOf(context.db, runId)
  const attemptsByJob = await attemptsByJobOf(context.db, all)
  const byName = new Map(all.map(job => [job.name, needing(job, attemptsByJob.get(job.id) ?? [])]))
  const fetching = await packagesAwaited(context, connection, runId, all)
  for (const job of all) {
    if (job.connection !== connection || job.cancelReason !== null || isFinal(job.state)) continue
    const waits = job.state === 'waiting' || job.state === 'held'
    if (!waits && job.tasksLeft === null) continue
    // The push that took over came at the moment when it was found to have a retry left.
    if (superseded && waits && job.ladder !== null) {
      await giveUpRetry(context, job)
      continue
    }
    if (unfenced.has(job.id)) continue
    // What the results of its needs are decides whether it runs at all: the scheduler cannot wait for that.
    const own = readiness(byName.get(job.name)!, byName, nativeDependencies && job.spec.cache === undefined)
    const ready = await withOtherBranches(context.db, job, own)
    const native = () => (ready.kind === 'ready' ? ready.native.map(name => byName.get(name)!.nativeId!) : [])
    let changed = false
    if (!waits && ready.kind !== 'ready') continue
    if (ready.kind === 'never') {
      changed = await settle(context, job, 'skipped', ready.because, ready.elsewhere === true)
      byName.set(job.name, { ...byName.get(job.name)!, state: 'skipped' })
    } else if (job.hold !== null) {
      if (!waits) continue
      changed = await settle(context, job, 'held', job.hold.reason)
    } else if (ready.kind === 'waits') {
      changed = await settle(context, job, 'waiting', ready.words)
    } else if (held !== null) {
      changed = await settle(context, job, 'held', held)
    } else if (waits && fetching.has(job.id)) {
      changed = await settle(context, job, 'held', fetching.get(job.id)!)
    } else if (job.spec.array !== undefined) {
      const mayBegin = job.spec.array.throttle === null || !(attemptsByJob.get(job.id) ?? []).some(one => !one.final)
      if (!mayBegin) continue
      const awaited = waits ? await waitsForInputs(context, job) : null
      if (awaited !== null) {
        if (await settle(context, job, 'held', awaited)) count.moved++
        continue
      }
      const begun = await prepareArray(context, job, native(), limit, limit - count.submitted)
      changed = begun !== 0
      count.submitted += begun === 'said' ? 0 : begun
    } else {
      const found =
        job.spec.cache === undefined ? null : await lookForResult(context, job, attemptsByJob.get(job.id) ?? [])
      if (found?.kind === 'waits') changed = await settle(context, job, 'waiting', found.message)
      else if (found?.kind === 'reuse') changed = await beginAttempt(context, job, [], null, found)
      else if (count.submitted >= limit) changed = await settle(context, job, 'held', heldBy(job, limit))
      else {
        const awaited = await waitsForInputs(context, job)
        if (awaited !== null) changed = await settle(context, job, 'held', awaited)
        else if (await beginAttempt(context, job, native(), null, found)) {
          changed = true
          count.submitted++
        }
      }
    }
    if (changed) count.moved++
  }
}

/** Why jobs whose packages the service fetches cannot be handed over yet, by job. */
async function packagesAwaited(
  context: Context,
  connection: string,
  runId: string,
  all: readonly JobRow[],
): Promise<ReadonlyMap<string, string>> {
  const awaited = new Map<string, string>()
  if (context.clusterConfig(connection).packages === undefined) return awaited
  const [run] = await context.db.select({ sha: runs.sha }).from(runs).where(eq(runs.id, runId))
  for (const job of all) {
    if (job.connection !== connection || (job.state !== 'waiting' && job.state !== 'held')) continue
    const why = await waitsForPackages(context, job, run!.sha)
    if (why !== null) awaited.set(job.id, why)
  }
  return awaited
}

type Ready =
  | Extract<Readiness, { kind: 'ready' }>
  | { readonly kind: 'waits'; readonly words: string }
  /** `elsewhere`: because of another branch, which may still be repaired. */
  | { readonly kind: 'never'; readonly because: string; readonly elsewhere?: boolean }

/** What it needs of its own run first: where that will never be, other branches do not matter. */
async function withOtherBranches(db: Db, job: JobRow, own: Readiness): Promise<Ready> {
  const needs = job.spec.branch_needs ?? []
  const words = own.kind === 'waits' ? waitsFor(own.for) : null
  if (own.kind === 'never' || needs.length === 0) return own.kind === 'waits' ? { kind: 'waits', words: words! } : own
  const stands = await branchNeedsStand(db, job.projectId, needs)
  if (stands.kind === 'never') return { ...stands, elsewhere: true }
  const others = stands.kind === 'waits' ? stands.for.join(', ') : null
  if (words === null && others === null) return own as Extract<Readiness, { kind: 'ready' }>
  return {
    kind: 'waits',
    words: words === null ? `waits for ${others}` : others === null ? words : `${words}, ${others}`,
  }
}

const heldBy = (job: JobRow, limit: number) =>
  `${job.cluster} has ${limit} jobs of this service, its limit (max_submitted)`

/**
 * Hands over as many tasks of an array as the scheduler takes as one and the account has room for; the others follow when there is room again, in portions worth a
 * submission. Each task counts as a job, as it does with schedulers. An array that says how many may run at once has one portion after the other: two side by
 * side would run twice as many. Returns how many tasks, or that only what is said of it has changed.
 */
async function prepareArray(
  context: Context,
  job: JobRow,
  dependsOn: readonly string[],
  limit: number,
  room: number,
): Promise<number | 'said'> {
  const array = job.spec.array!
  const waits = job.state === 'waiting' || job.state === 'held'
  const left = job.tasksLeft === null ? await tasksNotRun(context.db, job.id, array.tasks) : readTasks(job.tasksLeft)
  if (left.length === 0) return waits && (await endAsItWas(context, job)) ? 'said' : 0
  if (room < Math.min(left.length, Math.max(1, Math.ceil(limit / 10))))
    return waits && (await settle(context, job, 'held', heldBy(job, limit))) ? 'said' : 0
  const { connection } = job
  try {
    const chunk = await context.clusterOf(connection).chunk(left, room)
    const rest = left.slice(chunk.tasks.length)
    const handedOver = { tasks: writeTasks(chunk.tasks), throttle: array.throttle, renumbered: chunk.renumbered }
    return (await beginAttempt(context, job, dependsOn, { array: handedOver, rest: listOf(rest) }))
      ? chunk.tasks.length
      : 0
  } catch (error) {
    if (!(error instanceof CompopsError) || !error.transient) throw error
    await setUnreachable(context, connection, error)
    context.log.warn({ step: 'prepare', connection, err: describeError(error) }, `${job.name} waits for the cluster`)
    return 0
  }
}

/** A retry of failed tasks that was given up and taken up again: nothing of the array is missing, and it stands as its tasks had left it. */
async function endAsItWas(context: Context, job: JobRow): Promise<boolean> {
  return transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const changed = await tx
      .update(jobs)
      .set({ state: 'submitting', message: null, runAgain: false })
      .where(
        and(
          eq(jobs.id, job.id),
          isNull(jobs.cancelReason),
          isNull(jobs.hold),
          inArray(jobs.state, ['waiting', 'held']),
        ),
      )
      .returning({ id: jobs.id })
    await settleArrays(
      tx,
      changed.map(row => row.id),
    )
    return changed.length > 0
  })
}

async function attemptsByJobOf(db: Db, all: readonly JobRow[]): Promise<Map<string, AttemptRow[]>> {
  const found = await attemptsOf(
    db,
    all.map(job => job.id),
  )
  return Map.groupBy(found, attempt => attempt.jobId)
}

async function giveUpRetry(context: Context, job: JobRow): Promise<void> {
  await context.db
    .update(jobs)
    .set({ cancelReason: 'superseded by a newer push', cancelQueuedOnly: true })
    .where(and(eq(jobs.id, job.id), inArray(jobs.state, ['waiting', 'held']), isNull(jobs.cancelReason)))
  context.wake.call('cancel')
}

/** A large array, or one that was retried, has no single id that stands for all of it: then we wait ourselves. */
function needing(job: JobRow, attempts: readonly AttemptRow[]): NeedingJob {
  const attempt = attempts.at(-1)
  const whole = job.spec.array === undefined || (attempts.length === 1 && job.tasksLeft === null)
  const nativeId = attempt !== undefined && !attempt.final && whole ? attempt.nativeId : null
  const begun = attempt !== undefined && attempt.startedAt !== null
  const { name, state, connection: cluster, spec } = job
  return { name, state, begun, cluster, needs: spec.needs, nativeId, mayRunAgain: mayRunAgain(spec) }
}

/** What counts for max_submitted: jobs, and of arrays the tasks that have not ended. */
async function countSubmitted(db: Db, connection: string): Promise<number> {
  const row = await first<{ n: number | string; lists: readonly string[] | null; ended: number | string }>(
    db,
    sql`select count(*) filter (where task_array is null) as n, json_agg(task_array->>'tasks') filter (where task_array is not null) as lists,
        (select count(*) from tasks t where t.state in ${finalStates}
          and t.attempt_id in (select o.id from attempts o where o.connection = ${connection} and not o.final and o.task_array is not null)) as ended
      from attempts where connection = ${connection} and not final`,
  )
  const handedOver = (row?.lists ?? []).reduce((sum, list) => sum + countTasks(list), 0)
  return Number(row?.n ?? 0) + handedOver - Number(row?.ended ?? 0)
}

async function settle(
  context: Context,
  job: JobRow,
  state: 'skipped' | 'waiting' | 'held',
  message: string,
  skippedForBranch = false,
): Promise<boolean> {
  if (job.state === state && job.message === message) return false
  return transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const changed = await tx
      .update(jobs)
      .set({ state, message, skippedForBranch })
      .where(
        and(
          eq(jobs.id, job.id),
          inArray(jobs.state, ['waiting', 'held']),
          // What somebody has held back or released since it was read is looked at anew.
          sql`(${jobs.hold} is null) = ${job.hold === null}`,
        ),
      )
      .returning({ id: jobs.id })
    if (changed.length > 0) await touchRuns(tx, [job.runId])
    return changed.length > 0
  })
}

/** The row before the deed: after a crash this attempt is asked for again, and no other is made. */
async function beginAttempt(
  context: Context,
  job: JobRow,
  dependsOn: readonly string[],
  part: { readonly array: AttemptArray; readonly rest: string | null } | null = null,
  cached: Exclude<Lookup, { kind: 'waits' }> | null = null,
): Promise<boolean> {
  const reused = cached?.kind === 'reuse' ? cached.from : null
  const waits = job.state === 'waiting' || job.state === 'held'
  return transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    if (reused !== null && !(await isStillThere(tx, reused))) return false
    const changed = await tx
      .update(jobs)
      .set({
        ...(waits ? { state: 'submitting', message: null, runAgain: false, retryAt: null } : {}),
        tasksLeft: part?.rest ?? null,
        ...(cached === null ? {} : { cacheKey: cached.key }),
      })
      .where(
        and(
          eq(jobs.id, job.id),
          isNull(jobs.cancelReason),
          // Somebody may have held it back since it was read.
          isNull(jobs.hold),
          // The next tasks of a large array, unless it has ended or somebody has handed them over.
          waits
            ? and(inArray(jobs.state, ['waiting', 'held']), sql`(${jobs.retryAt} is null or ${jobs.retryAt} <= now())`)
            : and(inArray(jobs.state, openStates), sql`${jobs.tasksLeft} is not distinct from ${job.tasksLeft}`),
        ),
      )
      .returning({ id: jobs.id })
    if (changed.length === 0) return false
    await tx.insert(attempts).values({
      id: newId(),
      jobId: job.id,
      runId: job.runId,
      projectId: job.projectId,
      connection: job.connection,
      number: sql`(select coalesce(max(a.number), 0) + 1 from attempts a where a.job_id = ${job.id})`,
      state: 'submitting',
      dependsOn,
      array: part?.array ?? null,
      reused,
      asked: askedOf(context, job),
    })
    await touchRuns(tx, [job.runId])
    return true
  })
}

/** What its ladder says, as far as the cluster knows it. */
function askedOf(context: Context, job: JobRow): Asked | null {
  const first = firstStep(job.spec)
  const asked = job.ladder?.asked === undefined ? first : { ...first, ...job.ladder.asked }
  if (asked?.exclude === undefined || context.clusterOf(job.connection).excludesNodes) return asked
  const { exclude, step = '', ...rest } = asked
  const nodes = exclude.join(', ')
  const said = step.replace(`, without ${nodes}`, '')
  return { ...rest, step: `${said}; ${job.cluster} cannot be told to keep it away from ${nodes}` }
}

/** The native dependencies as things stand at this ask: what has completed since is left out. null: it may not be submitted any more. */
export async function dependenciesNow(context: Context, job: JobRow): Promise<readonly string[] | null> {
  if (job.spec.needs.length === 0) return []
  const all = await jobsOf(context.db, job.runId)
  const attemptsByJob = await attemptsByJobOf(context.db, all)
  const byName = new Map(all.map(one => [one.name, needing(one, attemptsByJob.get(one.id) ?? [])]))
  const ready = readiness(byName.get(job.name)!, byName, context.clusterOf(job.connection).nativeDependencies)
  return ready.kind === 'ready' ? ready.native.map(name => byName.get(name)!.nativeId!) : null
}
