import { createHash } from 'node:crypto'
import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { SubmitRequest } from '../cluster/cluster.ts'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError, toError } from '../errors.ts'
import { newId } from '../model/id.ts'
import { type NeedingJob, readiness } from '../model/needs.ts'
import { type Db, first, rows, transact } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { type AttemptRow, attemptsOf, type JobRow, jobsOf, shortBranch, touchRuns } from '../store/runs.ts'
import { attempts, jobs, runs } from '../store/schema.ts'
import { claimable, leaseFor, putBack } from '../store/work.ts'
import { setReachable, setUnreachable } from './connection.ts'
import { takeOut } from './dependants.ts'
import { asOutage } from './outage.ts'
import { sourceOf } from './source.ts'

/**
 * Step 3: brings the jobs of one account on a cluster to its scheduler. `submitting` is committed before anything is asked of the cluster,
 * and whatever stays in doubt is asked again: the guarded command gives the same native id however often. Returns how many were asked.
 */
export async function submitJobs(context: Context, connection: string): Promise<number> {
  const claimed = await context.db
    .update(attempts)
    .set({ leaseUntil: leaseFor(180), attempts: sql`${attempts.attempts} + 1` })
    .where(
      inArray(
        attempts.id,
        claimable(
          context.db,
          attempts,
          and(eq(attempts.connection, connection), eq(attempts.state, 'submitting'), eq(attempts.final, false)),
          20,
        ),
      ),
    )
    .returning()
  for (const attempt of claimed.sort((a, b) => (a.id < b.id ? -1 : 1))) await submitJob(context, attempt)
  return claimed.length
}

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
        and not exists (select 1 from jobs n where n.run_id = j.run_id and (j.spec->'needs') @> to_jsonb(n.name) and n.state in ${blocking})
      order by j.run_id limit 500`,
  )
  if (candidates.length === 0) return 0
  const limit = context.clusterConfig(connection).maxSubmitted
  let submitted = await countSubmitted(context.db, connection)
  let moved = 0
  for (const { run_id: runId } of candidates) {
    const all = await jobsOf(context.db, runId)
    const latest = latestAttempts(
      await attemptsOf(
        context.db,
        all.map(job => job.id),
      ),
    )
    const byName = new Map(all.map(job => [job.name, needing(job, latest.get(job.id))]))
    for (const job of all) {
      if (
        job.connection !== connection ||
        (job.state !== 'waiting' && job.state !== 'held') ||
        job.cancelReason !== null
      )
        continue
      const ready = readiness(byName.get(job.name)!, byName, nativeDependencies)
      let changed = false
      if (ready.kind === 'never') {
        changed = await settle(context.db, job, 'skipped', ready.because)
        byName.set(job.name, { ...byName.get(job.name)!, state: 'skipped' })
      } else if (ready.kind === 'waits') {
        changed = await settle(context.db, job, 'waiting', `waits for ${ready.for.join(', ')}`)
      } else if (submitted >= limit) {
        changed = await settle(
          context.db,
          job,
          'held',
          `${job.cluster} has ${limit} jobs of this service, its limit (max_submitted)`,
        )
      } else {
        changed = await beginAttempt(
          context.db,
          job,
          ready.native.map(name => byName.get(name)!.nativeId!),
        )
        if (changed) submitted++
      }
      if (changed) moved++
    }
  }
  if (moved > 0) for (const topic of ['handover', 'compose', 'finish'] as const) context.wake.call(topic)
  return moved
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

async function settle(db: Db, job: JobRow, state: 'skipped' | 'waiting' | 'held', message: string): Promise<boolean> {
  if (job.state === state && job.message === message) return false
  return transact(db, async tx => {
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
async function beginAttempt(db: Db, job: JobRow, dependsOn: readonly string[]): Promise<boolean> {
  return transact(db, async tx => {
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

async function submitJob(context: Context, attempt: AttemptRow): Promise<void> {
  const { connection } = attempt
  const log = context.log.child({ run: attempt.runId, job: attempt.jobId, attempt: attempt.id, connection })
  const job = (await context.db.select().from(jobs).where(eq(jobs.id, attempt.jobId)))[0]!
  if (job.cancelReason !== null) {
    // In doubt and no longer wanted: `cancel` fences it and asks the cluster.
    await context.db
      .update(attempts)
      .set({ leaseUntil: null, nextAt: sql`now() + interval '30 seconds'` })
      .where(eq(attempts.id, attempt.id))
    context.wake.call('cancel')
    return
  }
  const cluster = context.clusterOf(connection)
  let request: SubmitRequest
  let script: string
  try {
    const dependsOn = await dependenciesNow(context, job)
    if (dependsOn === null) {
      await takeOut(context, connection, [attempt])
      return
    }
    request = await submitRequest(context, job, { ...attempt, dependsOn })
    script = cluster.plan(request).script
  } catch (thrown) {
    const error = asOutage(thrown)
    log.warn({ step: 'submit', err: describeError(error) }, `${job.name} could not be prepared`)
    // Nothing was handed over yet: what no repetition mends (a submodule that cannot be had, a value no scheduler takes) is told at once.
    if (error instanceof CompopsError && !error.transient) return refused(context, attempt, describeError(error))
    context.metrics.failures.inc({ verb: 'submit' })
    await putBack(
      context.db,
      attempts,
      attempt.id,
      new CompopsError(describeError(error), { transient: true, cause: error }),
    )
    await say(context.db, attempt, describeError(error))
    return
  }
  try {
    const facts = await cluster.facts()
    const outcome = await cluster.submit(request)
    context.metrics.submissions.inc({ connection, outcome: outcome.kind })
    await setReachable(context, connection)
    switch (outcome.kind) {
      case 'accepted':
        await accepted(context, attempt, outcome.nativeId, request.dependsOn, script, facts.version)
        log.info(
          { step: 'submit', nativeId: outcome.nativeId, roundTrips: outcome.roundTrips },
          `submitted ${job.name} as ${outcome.nativeId}`,
        )
        auditSubmission(context, job, request, outcome.nativeId, 'accepted')
        break
      case 'refused':
        await refused(context, attempt, outcome.message)
        log.warn({ step: 'submit', err: outcome.message }, `${job.name} was not accepted`)
        auditSubmission(context, job, request, null, `refused: ${outcome.message}`)
        break
      case 'unsure':
      case 'transient':
        await putBack(
          context.db,
          attempts,
          attempt.id,
          new CompopsError(outcome.message, { transient: true }),
          outcome.kind === 'unsure' ? outcome.askAgainInMs : 2_000,
        )
        await say(context.db, attempt, outcome.message)
        log.warn({ step: 'submit', err: outcome.message }, `${job.name}: ${outcome.kind}, asked again later`)
    }
  } catch (thrown) {
    // Perhaps it was submitted, perhaps not: only asking again can tell, and asking again is safe.
    const error = toError(thrown)
    context.metrics.failures.inc({ verb: 'submit' })
    log.warn({ step: 'submit', err: describeError(error) }, 'submission failed, asked again later')
    if (error instanceof CompopsError) await setUnreachable(context, connection, error)
    await putBack(
      context.db,
      attempts,
      attempt.id,
      new CompopsError(describeError(error), { transient: true, cause: error }),
      1_000,
    )
  }
}

function auditSubmission(
  context: Context,
  job: JobRow,
  request: SubmitRequest,
  nativeId: string | null,
  result: string,
): void {
  context.audit.record({
    act: 'job submitted',
    by: request.person ?? 'compops',
    project: request.projectPath,
    ref: request.branch,
    sha: request.sha,
    run: request.runId,
    job: job.name,
    cluster: job.cluster,
    nativeId,
    result,
  })
}

/** The native dependencies as things stand at this ask: what has completed since is left out. null: it may not be submitted any more. */
async function dependenciesNow(context: Context, job: JobRow): Promise<readonly string[] | null> {
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

export async function submitRequest(
  context: Context,
  job: JobRow,
  attempt: Pick<AttemptRow, 'id' | 'number' | 'dependsOn'>,
): Promise<SubmitRequest> {
  const run = (await context.db.select().from(runs).where(eq(runs.id, job.runId)))[0]!
  const project = (await findProject(context.db, run.projectId))!
  const rule = projectFor(context.config, project.path)
  if (rule === null) throw new CompopsError(`no rule of the configuration matches ${project.path} any more`)
  return {
    projectId: project.id,
    projectPath: project.path,
    runId: run.id,
    jobId: job.id,
    attemptId: attempt.id,
    attempt: attempt.number,
    branch: shortBranch(run.ref),
    sha: run.sha,
    parentBranch: run.parent?.branch ?? null,
    parentDir: null,
    person: run.causedBy?.username ?? null,
    spec: job.spec,
    dependsOn: attempt.dependsOn,
    source: await sourceOf(context, project, run.sha),
  }
}

async function accepted(
  context: Context,
  attempt: AttemptRow,
  nativeId: string,
  dependsOn: readonly string[],
  script: string,
  scheduler: string,
): Promise<void> {
  await transact(context.db, async tx => {
    const saved = await tx
      .update(attempts)
      .set({
        nativeId,
        dependsOn,
        state: 'queued',
        message: null,
        submittedAt: sql`now()`,
        queuedAt: sql`now()`,
        scriptSha256: createHash('sha256').update(script).digest('hex'),
        leaseUntil: null,
        lastError: null,
        attempts: 0,
        nextAt: sql`now()`,
      })
      .where(and(eq(attempts.id, attempt.id), eq(attempts.state, 'submitting'), eq(attempts.final, false)))
      .returning({ id: attempts.id })
    if (saved.length === 0) return
    await tx
      .update(jobs)
      .set({ state: 'queued', message: null, scheduler })
      .where(and(eq(jobs.id, attempt.jobId), eq(jobs.state, 'submitting')))
    await touchRuns(tx, [attempt.runId])
  })
  for (const topic of ['poll', 'compose', 'submit'] as const) context.wake.call(topic)
}

/** Whoever has closed the attempt meanwhile (a cancellation, whose fence also looks like a refusal) has the last word. */
async function refused(context: Context, attempt: AttemptRow, message: string): Promise<void> {
  const told = await transact(context.db, async tx => {
    const closed = await tx
      .update(attempts)
      .set({
        state: 'failed',
        reason: 'submit',
        message,
        final: true,
        endedAt: sql`now()`,
        leaseUntil: null,
        collectProblem: 'it never started',
      })
      .where(and(eq(attempts.id, attempt.id), eq(attempts.state, 'submitting'), eq(attempts.final, false)))
      .returning({ id: attempts.id })
    if (closed.length === 0) return false
    const again = sql`${jobs.runAgain}`
    await tx
      .update(jobs)
      .set({
        state: sql`case when ${again} then 'waiting' when ${jobs.cancelReason} is not null then 'canceled' else 'failed' end`,
        reason: sql`case when ${again} or ${jobs.cancelReason} is not null then null else 'submit' end`,
        message: sql`case when ${again} then null else coalesce(${jobs.cancelReason}, ${message}::text) end`,
        runAgain: false,
      })
      .where(and(eq(jobs.id, attempt.jobId), eq(jobs.state, 'submitting')))
    await touchRuns(tx, [attempt.runId])
    return true
  })
  if (!told) return
  context.metrics.jobsEnded.inc({ connection: attempt.connection, state: 'failed', reason: 'submit' })
  for (const topic of ['compose', 'submit', 'finish'] as const) context.wake.call(topic)
}

/** A sentence for people while a submission is under way. */
async function say(db: Db, attempt: AttemptRow, message: string): Promise<void> {
  await transact(db, async tx => {
    const changed = await tx
      .update(jobs)
      .set({ message })
      .where(
        and(eq(jobs.id, attempt.jobId), eq(jobs.state, 'submitting'), sql`${jobs.message} is distinct from ${message}`),
      )
      .returning({ id: jobs.id })
    if (changed.length > 0) await touchRuns(tx, [attempt.runId])
  })
}
