import { eq, sql } from 'drizzle-orm'
import { jobName, pathsOf } from '../../src/cluster/layout.ts'
import type { Context } from '../../src/context.ts'
import { newId } from '../../src/model/id.ts'
import { attempts, branches, jobs, runs } from '../../src/store/schema.ts'

export interface RunToSeed {
  readonly branch: string
  readonly sha: string
}

export interface SeededJob {
  readonly id: string
  readonly name: string
  readonly directory: string
}

/** Runs whose `count` jobs each are running, in the likeness of the first one in the store; returns what their scheduler would know of them. */
export async function seedRuns(
  context: Context,
  wanted: readonly RunToSeed[],
  count: number,
  root: string,
): Promise<SeededJob[]> {
  const { db } = context
  const run = (await db.select().from(runs).orderBy(runs.id).limit(1))[0]!
  const job = (await db.select().from(jobs).where(eq(jobs.runId, run.id)).limit(1))[0]!
  const { projectId } = run
  const seeded: SeededJob[] = []
  for (const { branch, sha } of wanted) {
    const ref = `refs/heads/${branch}`
    const runId = newId()
    const branchId = newId()
    const shown = { headSha: sha, latestRunId: runId, state: 'active' as const }
    const [kept] = await db
      .insert(branches)
      .values({ id: branchId, projectId, ref, ...shown })
      .onConflictDoUpdate({ target: [branches.projectId, branches.ref], set: shown })
      .returning({ id: branches.id })
    await db.insert(runs).values({
      ...run,
      id: runId,
      branchId: kept!.id,
      ref,
      sha,
      cause: `api:${runId}`,
      state: 'running',
      createdAt: sql`now()` as never,
      endedAt: null,
      pipelineId: null,
      version: 1,
      reportedVersion: 0,
    })
    const list = Array.from({ length: count }, (_, n) => ({ jobId: newId(), attemptId: newId(), name: `j${n}`, n }))
    await db.insert(jobs).values(
      list.map(({ jobId, name, n }) => ({
        ...job,
        id: jobId,
        runId,
        position: n,
        name,
        spec: { ...job.spec, name },
        state: 'running' as const,
        message: null,
      })),
    )
    const rows = list.map(({ jobId, attemptId }) => {
      const native = String(500_000 + nativeIds++)
      const { attempt } = pathsOf(root, { projectId, runId, jobId, attemptId })
      seeded.push({ id: native, name: jobName(attemptId), directory: attempt })
      return {
        id: attemptId,
        jobId,
        runId,
        projectId,
        connection: job.connection,
        number: 1,
        nativeId: native,
        state: 'running' as const,
        submittedAt: sql`now()` as never,
        startedAt: sql`now()` as never,
      }
    })
    await db.insert(attempts).values(rows)
  }
  for (const topic of ['compose', 'poll'] as const) context.wake.call(topic)
  return seeded
}

let nativeIds = 0
