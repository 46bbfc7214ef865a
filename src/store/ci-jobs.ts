import { and, desc, eq, isNull, lt, type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import { type CiOrder, ciJobOfRef, ciRefPrefix, type JobEnd } from '../model/ci.ts'
import { newId } from '../model/id.ts'
import type { Person } from '../model/run.ts'
import type { Db } from './open.ts'
import { findRun, jobsOf } from './runs.ts'
import { attempts, ciJobs, ciTokens, jobs } from './schema.ts'

export type CiJobRow = typeof ciJobs.$inferSelect

/** Whether a ref is of what a CI job brought, and so no branch. */
export const ofCiJob = (ref: SQLWrapper): SQL => sql`starts_with(${ref}, ${ciRefPrefix})`

/** True for the first who shows a token, and whenever the same holder shows it again. */
export async function bindToken(
  db: Db,
  token: { jti: string; holder: string; projectId: number; ciJobId: number; expiresAt: Date },
): Promise<boolean> {
  await db.insert(ciTokens).values(token).onConflictDoNothing()
  const [known] = await db.select({ holder: ciTokens.holder }).from(ciTokens).where(eq(ciTokens.jti, token.jti))
  return known?.holder === token.holder
}

/** An expired token is refused whoever shows it. */
export async function pruneTokens(db: Db): Promise<void> {
  await db.delete(ciTokens).where(lt(ciTokens.expiresAt, sql`now() - interval '1 hour'`))
}

export interface CiJobToKeep {
  readonly projectId: number
  readonly ciJobId: number
  readonly pipelineId: number
  readonly name: string
  readonly branch: string
  readonly sha: string
  readonly by: Person
  readonly asked: CiOrder
}

/** The row of a CI job. Once it has a run it keeps what it asked for, whatever it says later. */
export async function keepCiJob(db: Db, job: CiJobToKeep): Promise<CiJobRow> {
  const { maxWait } = job.asked
  const beginsBy = maxWait === null ? null : sql`now() + make_interval(secs => ${maxWait})`
  await db
    .insert(ciJobs)
    .values({ id: newId(), ...job, beginsBy })
    .onConflictDoUpdate({
      target: [ciJobs.projectId, ciJobs.ciJobId],
      // It may have been refused before.
      set: { asked: job.asked, name: job.name, beginsBy, endedAt: null, result: null },
      setWhere: isNull(ciJobs.runId),
    })
  return (await findCiJob(db, job.projectId, job.ciJobId))!
}

/** What had no run, and got none: ended, with the reason. Nothing of one that has a run is changed. */
export async function refuseCiJob(db: Db, job: CiJobToKeep, why: string): Promise<void> {
  const refused = { endedAt: sql`now()`, result: why.slice(0, 2_000) }
  // A token that was refused came with no order.
  const order = job.name === String(job.ciJobId) ? {} : { name: job.name, asked: job.asked }
  await db
    .insert(ciJobs)
    .values({ id: newId(), ...job, ...refused })
    .onConflictDoUpdate({
      target: [ciJobs.projectId, ciJobs.ciJobId],
      set: { ...refused, ...order },
      setWhere: isNull(ciJobs.runId),
    })
}

/** Whether its run is of what it brought itself, and not of a push that it joined. */
export async function broughtItself(db: Db, row: CiJobRow): Promise<boolean> {
  const run = await findRun(db, row.runId!)
  return run !== null && ciJobOfRef(run.ref) !== null
}

export async function findCiJob(db: Db, projectId: number, ciJobId: number): Promise<CiJobRow | null> {
  const [found] = await db
    .select()
    .from(ciJobs)
    .where(and(eq(ciJobs.projectId, projectId), eq(ciJobs.ciJobId, ciJobId)))
  return found ?? null
}

/** The newest order of a pipeline that this manual job is the gate of. */
export async function findByGate(
  db: Db,
  projectId: number,
  pipelineId: number,
  gate: string,
): Promise<CiJobRow | null> {
  const [found] = await db
    .select()
    .from(ciJobs)
    .where(
      and(eq(ciJobs.projectId, projectId), eq(ciJobs.pipelineId, pipelineId), sql`${ciJobs.asked}->>'gate' = ${gate}`),
    )
    .orderBy(desc(ciJobs.ciJobId))
    .limit(1)
  return found ?? null
}

/** Says which run it is about, and which jobs of it. In the transaction that writes the run. */
export async function nameRun(tx: Db, id: string, runId: string, wanted: readonly string[] | null): Promise<void> {
  await tx.update(ciJobs).set({ runId, wanted }).where(eq(ciJobs.id, id))
}

export interface WantedJob extends JobEnd {
  readonly id: string
  readonly connection: string
  /** It has tasks, each with a log of its own. */
  readonly array: boolean
  readonly attemptId: string | null
  readonly nativeId: string | null
  readonly attemptState: string | null
  /** Nothing of its results is still on its way. */
  readonly settled: boolean
}

/** The jobs whose end counts, in the order of the file, each with its last attempt. */
export async function wantedJobs(db: Db, row: Pick<CiJobRow, 'runId' | 'wanted'>): Promise<WantedJob[]> {
  if (row.runId === null) return []
  const all = (await jobsOf(db, row.runId)).filter(job => row.wanted === null || row.wanted.includes(job.name))
  const last = await db
    .selectDistinctOn([attempts.jobId], {
      jobId: attempts.jobId,
      id: attempts.id,
      nativeId: attempts.nativeId,
      state: attempts.state,
      exitCode: attempts.exitCode,
      settled: sql<boolean>`${attempts.final} and (${attempts.collected} is not null or ${attempts.collectProblem} is not null)`,
    })
    .from(attempts)
    .innerJoin(jobs, eq(jobs.id, attempts.jobId))
    .where(eq(jobs.runId, row.runId))
    .orderBy(attempts.jobId, desc(attempts.number))
  return all.map(({ id, name, state, reason, message, connection, spec }) => {
    const attempt = last.find(one => one.jobId === id)
    return {
      ...{ id, name, state, reason, message, connection },
      array: spec.array !== undefined,
      exitCode: attempt?.exitCode ?? null,
      attemptId: attempt?.id ?? null,
      nativeId: attempt?.nativeId ?? null,
      attemptState: attempt?.state ?? null,
      settled: attempt?.settled ?? true,
    }
  })
}
