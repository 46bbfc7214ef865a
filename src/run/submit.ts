import { createHash } from 'node:crypto'
import { and, eq, type SQL, sql } from 'drizzle-orm'
import type { SubmitRequest } from '../cluster/cluster.ts'
import { type ProjectConfig, projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError, toError } from '../errors.ts'
import { readTasks } from '../model/array.ts'
import { describeHold } from '../model/hold.ts'
import type { JobSpec } from '../model/job-spec.ts'
import { isFinal } from '../model/job-state.ts'
import type { Asked } from '../model/ladder.ts'
import { holdOf } from '../store/holds.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { type Db, first, transact } from '../store/open.ts'
import { findProject, type ProjectRow } from '../store/projects.ts'
import { upToDate } from '../store/recovery.ts'
import {
  type AttemptRow,
  attemptsOf,
  findRun,
  type JobRow,
  type RunRow,
  shortBranch,
  touchRuns,
} from '../store/runs.ts'
import { attempts, jobs } from '../store/schema.ts'
import { settleArrays } from '../store/settle-arrays.ts'
import { claim, putBack } from '../store/work.ts'
import { bundleOf } from './bundle.ts'
import { keepIds } from './cancel.ts'
import { ciVariablesFor } from './ci-variables.ts'
import { setReachable, setTroubled, setUnreachable } from './connection.ts'
import { takeOut } from './dependants.ts'
import { inputsOf, inputsTaken } from './inputs.ts'
import { nowKnown } from './known-secrets.ts'
import { asOutage } from './outage.ts'
import { dependenciesNow } from './prepare.ts'
import { foundOld } from './recovering.ts'
import { takeOverResult } from './reuse.ts'
import { sourceOf } from './source.ts'

/**
 * Step 3: brings the jobs of one account on a cluster to its scheduler. `submitting` is committed before anything is asked of the cluster,
 * and whatever stays in doubt is asked again: the guarded command gives the same native id however often. Returns how many were asked.
 */
export async function submitJobs(context: Context, connection: string): Promise<number> {
  const hold = await holdOf(context.db, connection)
  if (hold?.mode === 'pause') {
    // What is being handed over waits where it is; in doubt it is asked about when the cluster goes on.
    await say(context, eq(jobs.connection, connection), describeHold(hold))
    return 0
  }
  const claimed = await claim(context.db, attempts, {
    claimant: context.claimant,
    seconds: 180,
    limit: 20,
    condition: and(
      eq(attempts.connection, connection),
      eq(attempts.state, 'submitting'),
      eq(attempts.final, false),
      upToDate(context.db, attempts.projectId),
    ),
  })
  for (const attempt of claimed.sort((a, b) => (a.id < b.id ? -1 : 1))) {
    mustHold(context.lease)
    await submitJob(context, attempt)
  }
  return claimed.length
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
  if (attempt.reused !== null) return takeOverResult(context, job, attempt)
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
    if (thrown instanceof LeaseLost) throw thrown
    const error = asOutage(thrown)
    log.warn({ step: 'submit', err: describeError(error) }, `${job.name} could not be prepared`)
    // What no repetition mends (a submodule that cannot be had, a value no scheduler takes) is told at once.
    if (error instanceof CompopsError && !error.transient)
      return refuseUnprepared(context, job, attempt, describeError(error))
    context.metrics.failures.inc({ verb: 'submit' })
    await putBack(
      context.db,
      attempts,
      attempt,
      new CompopsError(describeError(error), { transient: true, cause: error }),
    )
    await say(context, eq(jobs.id, attempt.jobId), describeError(error))
    return
  }
  try {
    const facts = await cluster.facts()
    mustHold(context.lease)
    const outcome = await cluster.submit(request)
    context.metrics.submissions.inc({ connection, outcome: outcome.kind })
    if (outcome.kind === 'accepted' || outcome.kind === 'refused')
      await setReachable(context, connection, { accepts: true })
    switch (outcome.kind) {
      case 'accepted':
        await accepted(context, attempt, outcome.nativeId, request, script, facts.version)
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
      case 'given up':
        await givenUp(context, attempt)
        log.info({ step: 'submit' }, `${job.name} was given up before it was submitted`)
        break
      case 'overtaken':
        await foundOld(context, connection, outcome.message)
        await putBack(context.db, attempts, attempt, new CompopsError(outcome.message, { transient: true }))
        break
      case 'unsure':
      case 'transient':
        await putBack(
          context.db,
          attempts,
          attempt,
          new CompopsError(outcome.message, { transient: true }),
          outcome.kind === 'unsure' ? outcome.askAgainInMs : 2_000,
        )
        await say(context, eq(jobs.id, attempt.jobId), outcome.message)
        await setTroubled(context, connection, outcome.message)
        log.warn({ step: 'submit', err: outcome.message }, `${job.name}: ${outcome.kind}, asked again later`)
    }
  } catch (thrown) {
    if (thrown instanceof LeaseLost) throw thrown
    // Perhaps it was submitted, perhaps not: only asking again can tell, and asking again is safe.
    const error = toError(thrown)
    context.metrics.failures.inc({ verb: 'submit' })
    log.warn({ step: 'submit', err: describeError(error) }, 'submission failed, asked again later')
    if (error instanceof CompopsError) await setUnreachable(context, connection, error)
    await putBack(
      context.db,
      attempts,
      attempt,
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

export async function submitRequest(
  context: Context,
  job: JobRow,
  attempt: Pick<AttemptRow, 'id' | 'number' | 'dependsOn' | 'createdAt' | 'array' | 'asked'>,
): Promise<SubmitRequest> {
  const run = (await findRun(context.db, job.runId))!
  const project = (await findProject(context.db, run.projectId))!
  const rule = projectFor(context.config, project.path)
  const others = (await attemptsOf(context.db, [job.id])).filter(row => row.id !== attempt.id)
  if (rule === null) throw new CompopsError(`no rule of the configuration matches ${project.path} any more`)
  const secrets = await secretsFor(context, rule, project, run.ref, job)
  nowKnown(context, attempt.id)
  return {
    projectId: project.id,
    projectPath: project.path,
    runId: run.id,
    jobId: job.id,
    attemptId: attempt.id,
    attempt: attempt.number,
    restart: others.filter(other => isEarlierStart(other, attempt)).length,
    siblings: others.map(row => row.id),
    branch: shortBranch(run.ref),
    sha: run.sha,
    parentBranch: run.parent?.branch ?? null,
    parentRunId: await parentRunOn(context.db, run, job.connection),
    person: run.causedBy?.username ?? null,
    origin: {
      gitlab: context.config.gitlab.url,
      cause: run.cause,
      how: run.causedHow,
      by: run.causedBy,
      createdAt: attempt.createdAt,
    },
    spec: specFor(job.spec, attempt.asked),
    inputs: await inputsOf(context, run, job),
    secrets,
    array: attempt.array,
    dependsOn: attempt.dependsOn,
    source: await sourceOf(context, project, run.sha),
    bundle: await bundleOf(context, job, run.sha),
  }
}

/** Of an array only what had tasks of this attempt. */
function isEarlierStart(other: AttemptRow, attempt: Pick<AttemptRow, 'number' | 'array'>): boolean {
  if (other.number >= attempt.number || other.startedAt === null) return false
  if (attempt.array === null || other.array === null) return true
  const tasks = new Set(readTasks(attempt.array.tasks))
  return readTasks(other.array.tasks).some(index => tasks.has(index))
}

function specFor(spec: JobSpec, asked: Asked | null): JobSpec {
  if (asked === null) return spec
  const { resources, exclude = [] } = asked
  return {
    ...spec,
    resources: { ...spec.resources, ...resources },
    ...(exclude.length === 0 ? {} : { exclude }),
  }
}

/** The run that it computes from, where its directory is on the same account of the cluster. */
async function parentRunOn(db: Db, run: RunRow, connection: string): Promise<string | null> {
  const { parentGate, parentRunId } = run
  if (parentGate !== 'passed' || parentRunId === null) return null
  const found = await first(
    db,
    sql`select 1 from attempts a where a.run_id = ${parentRunId} and a.connection = ${connection} and (a.native_id is not null or a.reused is not null)
      and not exists (select 1 from run_directories d where d.run_id = a.run_id and d.connection = a.connection) limit 1`,
  )
  return found === undefined ? null : parentRunId
}

/** Read again each time, since a site may replace them. A name that is gone from the configuration is no secret any more. */
async function secretsFor(
  context: Context,
  rule: ProjectConfig,
  project: ProjectRow,
  ref: string,
  job: JobRow,
): Promise<Record<string, string>> {
  const values: Record<string, string> = {}
  const named = job.spec.secrets ?? []
  const ofSite = (name: string) => (Object.hasOwn(rule.secrets, name) ? rule.secrets[name] : undefined)
  const ofProject = named.every(name => ofSite(name) !== undefined)
    ? new Map<string, string>()
    : await ciVariablesFor(context, rule, project, ref)
  for (const name of named) {
    const value = (await ofSite(name)?.source.read()) ?? ofProject.get(name)
    if (value === undefined)
      throw new CompopsError(
        rule.ciVariables === undefined
          ? `the secret ${name}, which ${job.name} needs, stands in the configuration no more`
          : `the secret ${name}, which ${job.name} needs, stands neither in the configuration nor among the CI variables of this branch any more`,
      )
    values[name] = value
    context.secrets.add(value)
  }
  return values
}

async function accepted(
  context: Context,
  attempt: AttemptRow,
  nativeId: string,
  { dependsOn, inputs = [] }: Pick<SubmitRequest, 'dependsOn' | 'inputs'>,
  script: string,
  scheduler: string,
): Promise<void> {
  await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const saved = await tx
      .update(attempts)
      .set({
        nativeId,
        dependsOn,
        state: 'queued',
        message: null,
        submittedAt: sql`now()`,
        queuedAt: sql`now()`,
        inputs: inputsTaken(inputs),
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
  for (const topic of ['poll', 'compose', 'prepare'] as const) context.wake.call(topic)
}

/** At the first ask nothing was handed over yet; later an earlier ask may have been answered while nobody listened: the cluster decides. */
async function refuseUnprepared(context: Context, job: JobRow, attempt: AttemptRow, message: string): Promise<void> {
  if (attempt.attempts <= 1) return refused(context, attempt, message)
  try {
    mustHold(context.lease)
    const fates = await context.clusterOf(attempt.connection).cancel([attempt])
    if (fates.get(attempt.id) === 'gone') return refused(context, attempt, message)
    await keepIds(context, [{ job, attempt }], fates)
    if (fates.get(attempt.id) === 'still there')
      await putBack(context.db, attempts, attempt, new CompopsError(message, { transient: true }))
  } catch (thrown) {
    if (!(thrown instanceof CompopsError)) throw thrown
    await setUnreachable(context, attempt.connection, thrown)
    await putBack(
      context.db,
      attempts,
      attempt,
      new CompopsError(describeError(thrown), { transient: true, cause: thrown }),
    )
  }
}

/** The scheduler's no is the end of the attempt, and of its job. */
async function refused(context: Context, attempt: AttemptRow, message: string): Promise<void> {
  await close(context, attempt, { state: 'failed', reason: 'submit', message })
}

/**
 * A cancellation fenced the attempt and could not write that down (it was killed, or the commit was wanted again meanwhile): the attempt is as
 * canceled as if it had. Its job waits anew where somebody wants it.
 */
async function givenUp(context: Context, attempt: AttemptRow): Promise<void> {
  await close(context, attempt, { state: 'canceled', reason: null, message: 'given up before it was submitted' })
}

/** Ends an attempt that was never handed over. Whoever has closed it meanwhile (a cancellation) has the last word. */
async function close(
  context: Context,
  attempt: AttemptRow,
  { state, reason, message }: { state: 'failed' | 'canceled'; reason: 'submit' | null; message: string },
): Promise<void> {
  const told = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const closed = await tx
      .update(attempts)
      .set({
        state,
        reason,
        message,
        final: true,
        endedAt: sql`now()`,
        leaseUntil: null,
        collectProblem: 'it never started',
      })
      .where(and(eq(attempts.id, attempt.id), eq(attempts.state, 'submitting'), eq(attempts.final, false)))
      .returning({ id: attempts.id })
    if (closed.length === 0) return null
    if (attempt.array !== null) {
      // What the scheduler does not take of an array it will not take of the rest either.
      await tx.update(jobs).set({ tasksLeft: null }).where(eq(jobs.id, attempt.jobId))
      await touchRuns(tx, [attempt.runId])
      return (await settleArrays(tx, [attempt.jobId]))[0] ?? null
    }
    const again = sql`${jobs.runAgain}`
    const after = await tx
      .update(jobs)
      .set({
        state: sql`case when ${again} then 'waiting' when ${jobs.cancelReason} is not null then 'canceled' else ${state}::text end`,
        reason: sql`case when ${again} or ${jobs.cancelReason} is not null then null else ${reason}::text end`,
        message: sql`case when ${again} then null else coalesce(${jobs.cancelReason}, ${message}::text) end`,
        cancelReason: sql`case when ${again} then null else ${jobs.cancelReason} end`,
        runAgain: false,
      })
      .where(and(eq(jobs.id, attempt.jobId), eq(jobs.state, 'submitting')))
      .returning({ state: jobs.state, reason: jobs.reason })
    await touchRuns(tx, [attempt.runId])
    return after[0] ?? null
  })
  if (told === null) return
  if (isFinal(told.state))
    context.metrics.jobsEnded.inc({ connection: attempt.connection, state: told.state, reason: told.reason ?? '' })
  for (const topic of ['compose', 'prepare', 'finish'] as const) context.wake.call(topic)
}

/** A sentence for people at the jobs that are being handed over, of those that are meant. */
async function say(context: Context, which: SQL, message: string): Promise<void> {
  await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const changed = await tx
      .update(jobs)
      .set({ message })
      .where(and(which, eq(jobs.state, 'submitting'), sql`${jobs.message} is distinct from ${message}`))
      .returning({ runId: jobs.runId })
    await touchRuns(
      tx,
      changed.map(row => row.runId),
    )
  })
}
