import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { describeHold, type Hold } from '../model/hold.ts'
import { newId } from '../model/id.ts'
import { type NeedingJob, readiness } from '../model/needs.ts'
import { holdOf } from '../store/holds.ts'
import { type Db, first, rows, transact } from '../store/open.ts'
import { type AttemptRow, attemptsOf, type JobRow, jobsOf, touchRuns } from '../store/runs.ts'
import { attempts, jobs } from '../store/schema.ts'
import { eachInTurn } from '../store/work.ts'

/** Moves jobs whose needs are met to `submitting`, with an attempt row; those that can never run are skipped, with the reason. Returns how many moved. */
export async function prepareJobs(context: Context, connection: string): Promise<number> {
  const { nativeDependencies } = context.clusterOf(connection)
  // Runs that still wait for a job of their own have nothing to be looked at; they come up when that job has moved.
  const blocking = nativeDependencies
    ? sql`('waiting', 'held', 'submitting')`
    : sql`('waiting', 'held', 'submitting', 'queued', 'running', 'suspended')`
  const candidates = await rows<{ run_id: string }>(
    context.db,
    sql`select distinct j.run_id from jobs j
      where j.connection = ${connection} and j.state in ('waiting', 'held') and j.cancel_reason is null
        and not exists (select 1 from projects p where p.id = j.project_id and p.recovering)
        and not exists (select 1 from jobs n where n.run_id = j.run_id and (j.spec->'needs') @> to_jsonb(n.name) and n.state in ${blocking})
      order by j.run_id limit 500`,
  )
  if (candidates.length === 0) return 0
  const limit = context.clusterConfig(connection).maxSubmitted
  const hold = await holdOf(context.db, connection)
  const count = { submitted: await countSubmitted(context.db, connection), moved: 0 }
  try {
    await eachInTurn(candidates, ({ run_id: runId }) => prepareRun(context, connection, runId, { limit, hold }, count))
  } finally {
    if (count.moved > 0) for (const topic of ['submit', 'compose', 'finish'] as const) context.wake.call(topic)
  }
  return count.moved
}

/** The jobs of one run. What has been handed over counts for all of the account. */
async function prepareRun(
  context: Context,
  connection: string,
  runId: string,
  { limit, hold }: { readonly limit: number; readonly hold: Hold | null },
  count: { submitted: number; moved: number },
): Promise<void> {
  const { nativeDependencies } = context.clusterOf(connection)
  const all = await jobsOf(context.db, runId)
  const latest = latestAttempts(
    await attemptsOf(
      context.db,
      all.map(job => job.id),
    ),
  )
  const byName = new Map(all.map(job => [job.name, needing(job, latest.get(job.id))]))
  for (const job of all) {
    if (job.connection !== connection || (job.state !== 'waiting' && job.state !== 'held') || job.cancelReason !== null)
      continue
    const ready = readiness(byName.get(job.name)!, byName, nativeDependencies)
    let changed = false
    if (ready.kind === 'never') {
      changed = await settle(context, job, 'skipped', ready.because)
      byName.set(job.name, { ...byName.get(job.name)!, state: 'skipped' })
    } else if (ready.kind === 'waits') {
      changed = await settle(context, job, 'waiting', `waits for ${ready.for.join(', ')}`)
    } else if (hold !== null) {
      changed = await settle(context, job, 'held', describeHold(hold))
    } else if (count.submitted >= limit) {
      changed = await settle(
        context,
        job,
        'held',
        `${job.cluster} has ${limit} jobs of this service, its limit (max_submitted)`,
      )
    } else {
      changed = await beginAttempt(
        context,
        job,
        ready.native.map(name => byName.get(name)!.nativeId!),
      )
      if (changed) count.submitted++
    }
    if (changed) count.moved++
  }
}

function needing(job: JobRow, attempt: AttemptRow | undefined): NeedingJob {
  const nativeId = attempt !== undefined && !attempt.final ? attempt.nativeId : null
  return { name: job.name, state: job.state, cluster: job.connection, needs: job.spec.needs, nativeId }
}

function latestAttempts(rows: readonly AttemptRow[]): Map<string, AttemptRow> {
  return new Map(rows.map(row => [row.jobId, row]))
}

async function countSubmitted(db: Db, connection: string): Promise<number> {
  const row = await first<{ n: number | string }>(
    db,
    sql`select count(*) as n from attempts where connection = ${connection} and not final`,
  )
  return Number(row?.n ?? 0)
}

async function settle(
  context: Context,
  job: JobRow,
  state: 'skipped' | 'waiting' | 'held',
  message: string,
): Promise<boolean> {
  if (job.state === state && job.message === message) return false
  return transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const changed = await tx
      .update(jobs)
      .set({ state, message })
      .where(and(eq(jobs.id, job.id), inArray(jobs.state, ['waiting', 'held'])))
      .returning({ id: jobs.id })
    if (changed.length > 0) await touchRuns(tx, [job.runId])
    return changed.length > 0
  })
}

/** The row before the deed: after a crash this attempt is asked for again, and no other is made. */
async function beginAttempt(context: Context, job: JobRow, dependsOn: readonly string[]): Promise<boolean> {
  return transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const changed = await tx
      .update(jobs)
      .set({ state: 'submitting', message: null, runAgain: false })
      .where(and(eq(jobs.id, job.id), inArray(jobs.state, ['waiting', 'held']), isNull(jobs.cancelReason)))
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
    })
    await touchRuns(tx, [job.runId])
    return true
  })
}

/** The native dependencies as things stand at this ask: what has completed since is left out. null: it may not be submitted any more. */
export async function dependenciesNow(context: Context, job: JobRow): Promise<readonly string[] | null> {
  if (job.spec.needs.length === 0) return []
  const all = await jobsOf(context.db, job.runId)
  const latest = latestAttempts(
    await attemptsOf(
      context.db,
      all.map(one => one.id),
    ),
  )
  const byName = new Map(all.map(one => [one.name, needing(one, latest.get(one.id))]))
  const ready = readiness(byName.get(job.name)!, byName, context.clusterOf(job.connection).nativeDependencies)
  return ready.kind === 'ready' ? ready.native.map(name => byName.get(name)!.nativeId!) : null
}
