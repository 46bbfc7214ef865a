import { and, asc, desc, eq, inArray } from 'drizzle-orm'
import { isFinal } from '../model/job-state.ts'
import { stateOfRun } from '../model/needs.ts'
import { reportState } from '../model/report-state.ts'
import { standingOf } from '../model/standing.ts'
import type { Chain, CiStep, DeliveryStep, JobStep, PeerOfJob, ReportStep, RunStep, Step, Work } from '../model/why.ts'
import { evidencePath } from '../render/links.ts'
import type { CiJobRow } from '../store/ci-jobs.ts'
import type { DeliveryRow } from '../store/deliveries.ts'
import type { Db } from '../store/open.ts'
import { findProject, type ProjectRow } from '../store/projects.ts'
import {
  type AttemptRow,
  attemptsOf,
  findRun,
  type JobRow,
  jobsOf,
  type RunRow,
  removalsOf,
  shortBranch,
} from '../store/runs.ts'
import { ciJobs, connections, deliveries, reports, runs } from '../store/schema.ts'
import type { Target } from './find.ts'

/** How often a connection is asked, ms; null where nobody asks. */
export type PollEvery = (connection: string) => readonly [number, number] | null

export interface Known {
  readonly pollEvery: PollEvery
  /** By the database's clock, which leases go by. */
  readonly now: Date
}

/** The rows behind one delivery or run, as the steps of the path. `job` leaves the others out. null where the row is gone. */
export async function chainOf(
  db: Db,
  target: Target,
  job: string | null,
  { pollEvery, now }: Known,
): Promise<Chain | null> {
  const run = target.kind === 'run' ? await findRun(db, target.id) : null
  const deliveryId = target.kind === 'delivery' ? target.id : (run?.deliveryId ?? null)
  const delivery = deliveryId === null ? null : await deliveryOf(db, deliveryId)
  if (target.kind === 'ci') return refusedChain(db, target.id, now)
  if (run === null && delivery === null) return null
  const told = run ?? (delivery === null ? null : await runBehind(db, delivery))
  const projectId = told?.projectId ?? delivery?.projectId ?? null
  const project = projectId === null ? null : await findProject(db, projectId)

  const steps: Step[] = []
  if (delivery !== null) steps.push(deliveryStep(delivery, project, now))
  if (told !== null) {
    const all = await jobsOf(db, told.id)
    const shown = job === null ? all : all.filter(one => one.name === job)
    const removed = (await removalsOf(db, told.id)).map(({ problem, ...one }) => ({
      ...{ ...one, at: iso(one.at) },
      problem: problem === undefined ? null : { why: problem.why, nextAt: problem.nextAt.toISOString() },
    }))
    steps.push(...(await ciSteps(db, told.id, all, now)))
    steps.push({ ...runStep(told, all, now), keptBy: told.keptBy, removed })
    steps.push(...(await jobSteps(db, shown, project, { pollEvery, now })))
    const sent = await db.select().from(reports).where(eq(reports.runId, told.id)).orderBy(asc(reports.id))
    steps.push(
      ...sent.filter(row => job === null || concerns(row, job)).map(row => reportStep(row, told, project, now)),
    )
  }
  const ref = told?.ref ?? delivery?.ref ?? null
  return {
    project: project?.path ?? delivery?.projectPath ?? 'unknown project',
    branch: ref === null ? null : shortBranch(ref),
    sha: told?.sha ?? delivery?.sha ?? null,
    steps,
    stands: standingOf(steps),
  }
}

/** A CI job that has no run: it was refused, or the run is being written. */
async function refusedChain(db: Db, id: string, now: Date): Promise<Chain | null> {
  const [row] = await db.select().from(ciJobs).where(eq(ciJobs.id, id))
  if (row === undefined) return null
  const steps = [ciStep(row, [], now)]
  const project = await findProject(db, row.projectId)
  return {
    project: project?.path ?? 'unknown project',
    ...{ branch: row.branch, sha: row.sha, steps, stands: standingOf(steps) },
  }
}

/** The newest of those that asked for a run. */
const mostCiJobs = 20

async function ciSteps(db: Db, runId: string, jobs: readonly JobRow[], now: Date): Promise<CiStep[]> {
  const found = await db
    .select()
    .from(ciJobs)
    .where(eq(ciJobs.runId, runId))
    .orderBy(desc(ciJobs.ciJobId))
    .limit(mostCiJobs)
  return found.reverse().map(row => ciStep(row, jobs, now))
}

function ciStep(row: CiJobRow, jobs: readonly JobRow[], now: Date): CiStep {
  const wanted = row.wanted === null ? jobs : jobs.filter(job => row.wanted!.includes(job.name))
  return {
    kind: 'ci',
    ...{ id: row.id, ciJob: row.ciJobId, pipeline: row.pipelineId, name: row.name },
    ...{ mode: row.asked.mode, gate: row.asked.gate, gateEarly: row.gateEarly, by: row.by.username },
    ...{ askedAt: row.createdAt.toISOString(), wanted: row.wanted, started: row.runId !== null },
    ...{ heardAt: row.heardAt.toISOString(), beginsBy: iso(row.beginsBy) },
    ...{ result: row.result, endedAt: iso(row.endedAt) },
    over: row.runId !== null && wanted.every(job => isFinal(job.state)),
    work: workOf(row, row.endedAt === null, now),
  }
}

async function deliveryOf(db: Db, id: string): Promise<DeliveryRow | null> {
  return (await db.select().from(deliveries).where(eq(deliveries.id, id)))[0] ?? null
}

/** The run that a delivery started, else the one that its result names ("already computed in run …"). */
async function runBehind(db: Db, delivery: DeliveryRow): Promise<RunRow | null> {
  if (delivery.projectId !== null) {
    const own = and(eq(runs.projectId, delivery.projectId), eq(runs.deliveryId, delivery.id))
    const started = (await db.select().from(runs).where(own).limit(1))[0]
    if (started !== undefined) return started
  }
  const named = /\brun ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b/.exec(delivery.result ?? '')?.[1]
  return named === undefined ? null : findRun(db, named)
}

const iso = (date: Date | null): string | null => date?.toISOString() ?? null

type WorkColumns = Pick<DeliveryRow, 'attempts' | 'lastError' | 'nextAt' | 'parkedAt' | 'leaseUntil'>

function workOf(row: WorkColumns, due: boolean, now: Date): Work {
  return {
    tries: row.attempts,
    lastError: due ? row.lastError : null,
    nextAt: due && row.parkedAt === null ? iso(row.nextAt) : null,
    parkedAt: due ? iso(row.parkedAt) : null,
    busy: due && row.leaseUntil !== null && row.leaseUntil > now,
  }
}

function deliveryStep(row: DeliveryRow, project: ProjectRow | null, now: Date): DeliveryStep {
  const author = row.event !== null && 'author' in row.event ? row.event.author.username : null
  return {
    kind: 'delivery',
    id: row.id,
    key: row.key,
    event: row.kind,
    ref: row.ref,
    by: author,
    receivedAt: row.receivedAt.toISOString(),
    outcome: row.outcome,
    reason: row.reason,
    result: row.result,
    doneAt: iso(row.doneAt),
    work: workOf(row, row.doneAt === null, now),
    recovering: project?.recovering ?? false,
  }
}

function runStep(row: RunRow, all: readonly JobRow[], now: Date): RunStep {
  return {
    kind: 'run',
    id: row.id,
    state: all.length === 0 ? row.state : stateOfRun(all),
    cause: row.cause,
    how: row.causedHow,
    by: row.causedBy?.username ?? null,
    jobs: all.length,
    createdAt: row.createdAt.toISOString(),
    endedAt: iso(row.endedAt),
    supersededBy: row.supersededBy,
    problem: row.problem,
    mistakes: row.problems.map(
      one =>
        `${one.file === undefined ? '' : `${one.file}, `}${one.line === null ? '' : `line ${one.line}: `}${one.message}`,
    ),
    composing: row.version > row.reportedVersion ? workOf(row, true, now) : null,
  }
}

async function jobSteps(
  db: Db,
  list: readonly JobRow[],
  project: ProjectRow | null,
  { pollEvery, now }: Known,
): Promise<JobStep[]> {
  const all = await attemptsOf(
    db,
    list.map(job => job.id),
    'collected',
  )
  const latest = new Map(all.map(attempt => [attempt.jobId, attempt]))
  const counts = Map.groupBy(all, attempt => attempt.jobId)
  const names = [...new Set(list.map(job => job.connection))]
  const peers = names.length === 0 ? [] : await db.select().from(connections).where(inArray(connections.name, names))
  const peerOf = (name: string): PeerOfJob => {
    const row = peers.find(peer => peer.name === name)
    return {
      unreachableSince: iso(row?.unreachableSince ?? null),
      troubledSince: iso(row?.troubledSince ?? null),
      lastError: row?.lastError ?? null,
      lastRoundAt: iso(row?.lastRoundAt ?? null),
      pollEvery: pollEvery(name),
      recovering: (row?.recovering ?? false) || (project?.recovering ?? false),
    }
  }
  return list.map(job => {
    const attempt = latest.get(job.id) ?? null
    const doing = doingOf(job, attempt)
    return {
      kind: 'job',
      id: job.id,
      name: job.name,
      state: job.state,
      reason: job.reason,
      message: job.message,
      cluster: job.cluster,
      connection: job.connection,
      nativeId: attempt?.nativeId ?? null,
      attempts: counts.get(job.id)?.length ?? 0,
      attemptId: attempt?.id ?? null,
      since: iso(sinceOf(job, attempt)),
      cancelling: isFinal(job.state) ? null : job.cancelReason,
      retryAt: job.state === 'waiting' ? iso(job.retryAt) : null,
      hold: job.state === 'held' ? (job.hold?.kind ?? null) : null,
      doing,
      work:
        doing === null || attempt === null
          ? null
          : doing === 'cancel'
            ? { tries: 0, lastError: null, nextAt: iso(job.cancelNextAt), parkedAt: null, busy: false }
            : workOf(attempt, true, now),
      peer: isFinal(job.state) && doing === null ? null : peerOf(job.connection),
    }
  })
}

function doingOf(job: JobRow, attempt: AttemptRow | null): JobStep['doing'] {
  if (!isFinal(job.state) && job.cancelReason !== null) return 'cancel'
  if (attempt === null) return null
  if (!attempt.final) return attempt.state === 'submitting' ? 'submit' : null
  return attempt.collected === null && attempt.collectProblem === null ? 'collect' : null
}

function sinceOf(job: JobRow, attempt: AttemptRow | null): Date | null {
  if (attempt === null) return null
  switch (job.state) {
    case 'submitting':
      return attempt.createdAt
    case 'queued':
      return attempt.queuedAt ?? attempt.submittedAt
    case 'running':
    case 'suspended':
      return attempt.startedAt
    default:
      return attempt.endedAt
  }
}

type ReportRow = typeof reports.$inferSelect

function concerns(row: ReportRow, job: string): boolean {
  return row.desired.kind !== 'status' || row.desired.name === `compops/${job}`
}

function reportStep(row: ReportRow, run: RunRow, project: ProjectRow | null, now: Date): ReportStep {
  const state = reportState(row)
  const { desired } = row
  const branch = shortBranch(run.ref)
  return {
    kind: 'report',
    id: row.id,
    report: row.kind,
    name:
      desired.kind === 'status'
        ? desired.name
        : desired.kind === 'evidence'
          ? evidencePath({ id: run.id, branch, sha: run.sha })
          : `!${desired.iid}`,
    wants: desired.kind === 'status' ? desired.state : null,
    state,
    sentAt: iso(row.sentAt),
    unsentSince: state === 'told' || state === 'refused' ? null : iso(row.unsentSince),
    refused: state === 'refused' ? row.refused : null,
    work: workOf(row, state === 'not yet' || state === 'parked', now),
    recovering: state === 'not yet' && (project?.recovering ?? false),
  }
}
