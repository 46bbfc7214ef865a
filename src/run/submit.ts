import { createHash } from 'node:crypto'
import { and, asc, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { SubmitRequest } from '../cluster/cluster.ts'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { newId } from '../model/id.ts'
import { type NeedingJob, readiness } from '../model/needs.ts'
import type { Db } from '../store/open.ts'
import { first } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { type AttemptRow, attemptsOf, type JobRow, jobsOf, shortBranch, touchRuns } from '../store/runs.ts'
import { attempts, jobs, runs } from '../store/schema.ts'
import { claimable, leaseFor, putBack } from '../store/work.ts'
import { setReachable, setUnreachable } from './connection.ts'
import { asOutage } from './outage.ts'
import { sourceOf } from './source.ts'

/**
 * Step 3: brings the jobs of one account on a cluster to its scheduler. `submitting` is committed before anything is asked of the cluster,
 * and whatever stays in doubt is asked again: the guarded command gives the same native id however often. Returns how many were asked.
 */
export async function submitJobs(context: Context, connection: string): Promise<number> {
  await prepareJobs(context, connection)
  const claimed = await context.db
    .update(attempts)
    .set({ leaseUntil: leaseFor(600), attempts: sql`${attempts.attempts} + 1` })
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

/** Moves jobs whose needs are met to `submitting`, with an attempt row; those that can never run are skipped, with the reason. */
async function prepareJobs(context: Context, connection: string): Promise<void> {
  const waiting = await context.db
    .selectDistinct({ runId: jobs.runId })
    .from(jobs)
    .where(and(eq(jobs.connection, connection), inArray(jobs.state, ['waiting', 'held']), isNull(jobs.cancelReason)))
    .orderBy(asc(jobs.runId))
    .limit(200)
  if (waiting.length === 0) return
  const limit = context.clusterConfig(connection).maxSubmitted
  let submitted = await countSubmitted(context.db, connection)
  for (const { runId } of waiting) {
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
      const ready = readiness(byName.get(job.name)!, byName, context.clusterOf(connection).nativeDependencies)
      if (ready.kind === 'never') {
        await settle(context.db, job, 'skipped', ready.because)
        byName.set(job.name, { ...byName.get(job.name)!, state: 'skipped' })
        context.wake.call('finish')
      } else if (ready.kind === 'waits') {
        await settle(context.db, job, 'waiting', `waits for ${ready.for.join(', ')}`)
      } else if (submitted >= limit) {
        await settle(
          context.db,
          job,
          'held',
          `${job.cluster} has ${submitted} jobs of this service, its limit (max_submitted)`,
        )
      } else {
        const dependsOn = ready.native.map(name => byName.get(name)!.nativeId!)
        if (await beginAttempt(context.db, job, dependsOn)) submitted++
      }
    }
  }
  context.wake.call('compose')
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

async function settle(db: Db, job: JobRow, state: 'skipped' | 'waiting' | 'held', message: string): Promise<void> {
  if (job.state === state && job.message === message) return
  await db.transaction(async tx => {
    const changed = await tx
      .update(jobs)
      .set({ state, message })
      .where(and(eq(jobs.id, job.id), inArray(jobs.state, ['waiting', 'held'])))
      .returning({ id: jobs.id })
    if (changed.length > 0) await touchRuns(tx as unknown as Db, [job.runId])
  })
}

/** The row before the deed: after a crash this attempt is asked for again, and no other is made. */
async function beginAttempt(db: Db, job: JobRow, dependsOn: readonly string[]): Promise<boolean> {
  return db.transaction(async tx => {
    const changed = await tx
      .update(jobs)
      .set({ state: 'submitting', message: null })
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
    await touchRuns(tx as unknown as Db, [job.runId])
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
  try {
    const request = await submitRequest(context, job, attempt)
    const cluster = context.clusterOf(connection)
    const script = cluster.plan(request).script
    const outcome = await cluster.submit(request)
    context.metrics.submissions.inc({ connection, outcome: outcome.kind })
    await setReachable(context, connection)
    switch (outcome.kind) {
      case 'accepted':
        await accepted(context, attempt, outcome.nativeId, script, (await cluster.facts()).version)
        log.info(
          { step: 'submit', nativeId: outcome.nativeId, roundTrips: outcome.roundTrips },
          `submitted ${job.name} as ${outcome.nativeId}`,
        )
        context.audit.record({
          act: 'job submitted',
          by: request.person ?? 'compops',
          project: request.projectPath,
          ref: request.branch,
          sha: request.sha,
          run: attempt.runId,
          job: job.name,
          cluster: job.cluster,
          nativeId: outcome.nativeId,
          result: 'accepted',
        })
        break
      case 'refused':
        await refused(context, attempt, outcome.message)
        log.warn({ step: 'submit', err: outcome.message }, `${job.name} was not accepted`)
        context.audit.record({
          act: 'job submitted',
          by: request.person ?? 'compops',
          project: request.projectPath,
          run: attempt.runId,
          job: job.name,
          cluster: job.cluster,
          result: `refused: ${outcome.message}`,
        })
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
    const error = asOutage(thrown)
    const transient = error instanceof CompopsError && error.transient
    context.metrics.failures.inc({ verb: 'submit' })
    log.warn({ step: 'submit', transient, err: describeError(error) }, 'submission failed')
    if (error.name === 'RemoteError') {
      await setUnreachable(context, connection, error)
      await putBack(
        context.db,
        attempts,
        attempt.id,
        new CompopsError(error.message, { transient: true, cause: error }),
        1_000,
      )
    } else if (transient) {
      await putBack(context.db, attempts, attempt.id, error)
      await say(context.db, attempt, describeError(error))
    } else {
      await refused(context, attempt, describeError(error))
    }
  }
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
  script: string,
  scheduler: string,
): Promise<void> {
  await context.db.transaction(async tx => {
    await tx
      .update(attempts)
      .set({
        nativeId,
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
      .where(and(eq(attempts.id, attempt.id), eq(attempts.state, 'submitting')))
    await tx
      .update(jobs)
      .set({ state: 'queued', message: null, scheduler })
      .where(and(eq(jobs.id, attempt.jobId), eq(jobs.state, 'submitting')))
    await touchRuns(tx as unknown as Db, [attempt.runId])
  })
  for (const topic of ['poll', 'compose', 'submit'] as const) context.wake.call(topic)
}

async function refused(context: Context, attempt: AttemptRow, message: string): Promise<void> {
  await context.db.transaction(async tx => {
    await tx
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
      .where(eq(attempts.id, attempt.id))
    await tx.update(jobs).set({ state: 'failed', reason: 'submit', message }).where(eq(jobs.id, attempt.jobId))
    await touchRuns(tx as unknown as Db, [attempt.runId])
  })
  context.metrics.jobsEnded.inc({ connection: attempt.connection, state: 'failed', reason: 'submit' })
  for (const topic of ['compose', 'submit', 'finish'] as const) context.wake.call(topic)
}

/** A sentence for people while a submission is under way. */
async function say(db: Db, attempt: AttemptRow, message: string): Promise<void> {
  await db.transaction(async tx => {
    const changed = await tx
      .update(jobs)
      .set({ message })
      .where(and(eq(jobs.id, attempt.jobId), sql`${jobs.message} is distinct from ${message}`))
      .returning({ id: jobs.id })
    if (changed.length > 0) await touchRuns(tx as unknown as Db, [attempt.runId])
  })
}
