import { setImmediate as turn } from 'node:timers/promises'
import { and, eq, isNotNull, notInArray, sql } from 'drizzle-orm'
import type { Cluster } from '../cluster/cluster.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError, toError, UnreadableError } from '../errors.ts'
import { isFinal, type JobState, mayFollow } from '../model/job-state.ts'
import { nextState } from '../model/next-state.ts'
import type { ClusterFacts, Conclusion, Seen } from '../model/observation.ts'
import { type AttemptChange, attemptsUnderWay, type WatchedRow, writeAttempts, writeJobs } from '../store/attempts.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { type Db, transact } from '../store/open.ts'
import { finalStates, touchRuns } from '../store/runs.ts'
import { connections, jobs } from '../store/schema.ts'
import { settleArrays } from '../store/settle-arrays.ts'
import { type TaskChange, tasksOfAttempts, writeTasks } from '../store/tasks.ts'
import { isAway, setReachable, setUnreachable } from './connection.ts'
import { hasLooked, isFirstLook, removeOrphans } from './orphans.ts'
import { concludeArray, tasksToWatch } from './poll-array.ts'

export interface PollResult {
  readonly watched: number
  readonly changed: number
  /** An end waits for accounting, or a submission is fresh: look again soon. */
  readonly due: boolean
  /** What became of each; empty where the round was not whole. */
  readonly states: ReadonlyMap<string, JobState>
  /** Of the scheduler. */
  readonly commands: number
}

const nothingSeen = { changed: 0, due: false, states: new Map<string, JobState>(), commands: 1 }

/** Step 4: one round for all jobs of one account on a cluster. A round that is not whole says nothing about any job. */
export async function pollCluster(context: Context, connection: string): Promise<PollResult> {
  const watched = await attemptsUnderWay(context.db, connection)
  if (
    watched.length === 0 &&
    !(await isAway(context, connection)) &&
    // A person must sign in: that is for jobs to ask.
    (!(await isFirstLook(context, connection)) || (await context.clusterOf(connection).needsSession()) !== null)
  )
    return { ...nothingSeen, watched: 0 }
  const cluster = context.clusterOf(connection)
  const log = context.log.child({ step: 'poll', connection })
  try {
    const facts = await cluster.facts()
    const arrays = await tasksOfAttempts(
      context.db,
      watched.filter(attempt => attempt.array !== null).map(attempt => attempt.id),
    )
    const known = (attempt: WatchedRow) => arrays.get(attempt.id) ?? new Map()
    const round = await cluster.observe(
      watched.map(attempt =>
        attempt.array === null ? attempt : { ...attempt, tasks: tasksToWatch(attempt.array, known(attempt)) },
      ),
    )
    mustHold(context.lease)
    await rememberRound(context, connection, facts)
    hasLooked(context, connection)
    await removeOrphans(context, connection, round.others ?? new Set())
    context.metrics.pollRounds.inc({ connection, result: 'whole', reason: '' })
    const cancelling = await cancelRequested(context.db, connection)
    const options = {
      facts,
      now: round.at,
      accountingWait: context.config.intervals.accounting,
      inWords: cluster.inWords,
    }
    // It may quote what a job printed.
    const shown = <T extends { readonly message: string | null }>(one: T): T =>
      one.message === null ? one : { ...one, message: context.secrets.redact(one.message) }
    const changes: Change[] = []
    const states = new Map<string, JobState>()
    const tasks: TaskChange[] = []
    let due = false
    for (const attempt of watched) {
      const cancelRequested = cancelling.has(attempt.jobId)
      if (attempt.array !== null) {
        const seen = round.tasks?.get(attempt.id) ?? new Map()
        const concluded = concludeArray(attempt, known(attempt), seen, { ...options, cancelRequested })
        const { copy, stuck } = concluded
        const after = shown(concluded.after)
        const row = shown(concluded.row)
        if (concluded.due || cancelRequested || fresh(attempt, round.at)) due = true
        states.set(attempt.id, after.state)
        tasks.push(...concluded.tasks.map(shown))
        if (concluded.tasks.length > 0 || arrayChangedBy(attempt, row))
          changes.push({ attempt, after, row, copy, stuck })
        continue
      }
      const seen = round.seen.get(attempt.id)
      if (seen === undefined) continue
      const before = {
        state: attempt.state,
        nativeId: attempt.nativeId,
        restarts: attempt.restarts,
        misses: attempt.misses,
        missedSince: attempt.missedSince,
        awaiting: attempt.awaiting,
        cancelRequested,
      }
      const after = shown(nextState(before, seen, options))
      states.set(attempt.id, after.state)
      if (after.awaiting !== null || after.misses > 0 || cancelRequested || fresh(attempt, round.at)) due = true
      if (changedBy(attempt, after, seen))
        changes.push({
          attempt,
          after,
          row: toAttemptChange({ attempt, after, seen, at: round.at }),
          copy: isCopy(attempt, seen),
          stuck: isFinal(after.state) && seen.queue?.verdict === 'never started' && seen.exit === null,
        })
    }
    // Before their attempts: an attempt that has ended takes no more of them. What a crash leaves out here is concluded again.
    for (let start = 0; start < tasks.length; start += 500) {
      const part = tasks.slice(start, start + 500)
      await transact(context.db, async tx => {
        await context.lease.assertHeld(tx)
        await writeTasks(tx, part)
      })
      await turn()
    }
    const later = await removeStuck(context, cluster, changes)
    const written: Change[] = []
    const certain = changes.filter(change => !later.has(change))
    for (let start = 0; start < certain.length; start += 200) {
      written.push(...(await writeChanges(context, certain.slice(start, start + 200))))
      await turn()
    }
    for (const { attempt, after, copy } of written) {
      if (copy) context.metrics.copiesFenced.inc({ connection })
      if (after.state === attempt.state) continue
      log.info(
        {
          run: attempt.runId,
          job: attempt.jobId,
          attempt: attempt.id,
          nativeId: attempt.nativeId,
          from: attempt.state,
          to: after.state,
          reason: after.reason,
        },
        after.message ?? after.state,
      )
      if (isFinal(after.state))
        context.metrics.jobsEnded.inc({ connection, state: after.state, reason: after.reason ?? '' })
    }
    return {
      watched: watched.length,
      changed: written.filter(change => change.after.state !== change.attempt.state).length,
      due,
      states,
      commands: round.commands,
    }
  } catch (thrown) {
    const error = toError(thrown)
    if (error instanceof LeaseLost) throw error
    context.metrics.pollRounds.inc({ connection, result: 'not whole', reason: reasonOf(error) })
    // Trouble with our own database is not the cluster's.
    if (!(error instanceof CompopsError)) throw error
    context.metrics.failures.inc({ verb: 'poll' })
    await setUnreachable(context, connection, error)
    log.warn({ err: describeError(error) }, 'the round was not whole: no job changes state')
    return { ...nothingSeen, watched: watched.length }
  }
}

/** What kept a round from being whole, in few words: the kinds of RemoteError, an answer that cannot be read, our own database. */
function reasonOf(error: Error): string {
  if (!(error instanceof CompopsError)) return 'store'
  if (error instanceof UnreadableError) return 'unreadable'
  return 'kind' in error ? String(error.kind) : 'other'
}

/** The fence was passed by another copy than the one we knew: one of them was turned away. */
function isCopy(attempt: WatchedRow, { started }: Seen): boolean {
  return started !== null && attempt.nativeId !== null && started.nativeId !== attempt.nativeId
}

/** Submitted or begun in the last two minutes: it may soon move again. */
function fresh(attempt: WatchedRow, at: Date): boolean {
  const last = attempt.startedAt ?? attempt.submittedAt
  return last !== null && at.getTime() - last.getTime() < 120_000
}

interface Change {
  readonly attempt: WatchedRow
  readonly after: Conclusion
  readonly row: AttemptChange
  /** Another copy than the one we knew has passed the fence. */
  readonly copy: boolean
  /** It has ended without a start and may still stand in the queue. */
  readonly stuck: boolean
}

/**
 * A job that its scheduler gave up may stay in the queue (Grid Engine's Eqw) until an operator lets it run after all. It is fenced and removed
 * before its end is written, so that a kill in between has the next round ask again. Returns those for which that did not work: they wait.
 */
async function removeStuck(
  context: Context,
  cluster: Cluster,
  changes: readonly Change[],
): Promise<ReadonlySet<Change>> {
  const stuck = changes.filter(change => change.stuck)
  if (stuck.length === 0) return new Set()
  try {
    await cluster.cancel(
      stuck.map(({ attempt }) => attempt),
      { fence: true },
    )
    return new Set()
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    context.log.warn({ step: 'poll', err: describeError(error) }, 'jobs that never started are removed later')
    return new Set(stuck)
  }
}

async function rememberRound(context: Context, connection: string, facts: ClusterFacts): Promise<void> {
  await context.db
    .insert(connections)
    .values({ name: connection, facts, lastRoundAt: sql`now()` })
    .onConflictDoUpdate({ target: connections.name, set: { facts, lastRoundAt: sql`now()` } })
  await setReachable(context, connection)
}

async function cancelRequested(db: Db, connection: string): Promise<Set<string>> {
  const found = await db
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(eq(jobs.connection, connection), isNotNull(jobs.cancelReason), notInArray(jobs.state, finalStates)))
  return new Set(found.map(row => row.id))
}

function changedBy(attempt: WatchedRow, after: Conclusion, seen: Seen): boolean {
  return (
    after.state !== attempt.state ||
    after.message !== attempt.message ||
    after.misses !== attempt.misses ||
    after.awaiting?.getTime() !== attempt.awaiting?.getTime() ||
    (seen.started !== null && (attempt.startedAt === null || seen.started.nativeId !== attempt.nativeId)) ||
    (seen.queue !== null &&
      (seen.queue.restarts > attempt.restarts || (seen.queue.nodes.length > 0 && attempt.nodes.length === 0)))
  )
}

function arrayChangedBy(attempt: WatchedRow, row: AttemptChange): boolean {
  return (
    row.state !== attempt.state ||
    row.message !== attempt.message ||
    row.nativeId !== attempt.nativeId ||
    row.restarts > attempt.restarts ||
    row.nodes.length > attempt.nodes.length ||
    (row.startedAt !== null && attempt.startedAt === null)
  )
}

/**
 * Changes of a round in one transaction. Whoever closed an attempt meanwhile (a cancellation, a dependant taken out) has the last word on its
 * job. Returns what was really written.
 */
async function writeChanges(context: Context, changes: readonly Change[]): Promise<readonly Change[]> {
  if (changes.length === 0) return []
  const written = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const ids = await writeAttempts(
      tx,
      changes.filter(({ attempt, after }) => mayFollow(attempt.state, after.state)).map(change => change.row),
    )
    const done = changes.filter(({ attempt }) => ids.has(attempt.id))
    const visible = done.filter(
      ({ attempt, after }) =>
        attempt.array === null && (after.state !== attempt.state || after.message !== attempt.message),
    )
    const options = { retryInterval: context.config.intervals.retry }
    await settleArrays(
      tx,
      done.filter(({ attempt }) => attempt.array !== null).map(({ attempt }) => attempt.jobId),
      options,
    )
    await writeJobs(
      tx,
      visible.map(({ attempt, after: { state, reason, message } }) => ({ id: attempt.jobId, state, reason, message })),
      options,
    )
    await touchRuns(
      tx,
      visible.map(({ attempt }) => attempt.runId),
    )
    return done
  })
  context.wake.call('compose')
  if (written.some(change => isFinal(change.after.state)))
    for (const topic of ['collect', 'prepare', 'finish'] as const) context.wake.call(topic)
  // What needs no more of a job than its begin.
  else if (written.some(({ attempt, after }) => after.state === 'running' && attempt.state !== 'running'))
    context.wake.call('prepare')
  return written
}

function toAttemptChange({
  attempt,
  after,
  seen,
  at,
}: Pick<Change, 'attempt' | 'after'> & { seen: Seen; at: Date }): AttemptChange {
  const accounted = seen.accounting === 'off' ? null : seen.accounting
  const nodes = accounted !== null && accounted.nodes.length > 0 ? accounted.nodes : (seen.queue?.nodes ?? [])
  const ran = after.state === 'running' || after.state === 'suspended'
  const started =
    accounted?.startedAt ?? seen.started?.at ?? (ran ? (seen.queue?.startAt ?? at) : null) ?? attempt.startedAt
  const neverStarted = started === null && seen.exit === null
  return {
    id: attempt.id,
    state: after.state,
    reason: after.reason,
    message: after.message,
    // The fence was passed by another copy of this attempt than the one we knew: that one is the job.
    nativeId: seen.started?.nativeId ?? attempt.nativeId,
    misses: after.misses,
    missedSince: after.misses === 0 ? null : (attempt.missedSince ?? at),
    awaiting: after.awaiting,
    restarts: Math.max(attempt.restarts, seen.queue?.restarts ?? 0, seen.exit?.restarts ?? 0),
    nodes: nodes.length > 0 ? nodes : attempt.nodes,
    queue: accounted?.queue ?? seen.queue?.queue ?? attempt.queue,
    startedAt: after.state === 'queued' ? null : started,
    reached: after.state === 'completed' && seen.exit?.ended?.kind === 'reached',
    end: isFinal(after.state)
      ? {
          at: accounted?.endedAt ?? seen.exit?.at ?? seen.queue?.endAt ?? at,
          exitCode: after.exitCode,
          signal: accounted?.signal ?? null,
          accounting: accounted,
          collectProblem: neverStarted ? 'it never started' : null,
        }
      : null,
  }
}
