import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FailureReason, JobState } from '../../src/model/job-state.ts'
import { prepareJobs } from '../../src/run/prepare.ts'
import { resumeRun } from '../../src/run/resume.ts'
import { cancelQueued } from '../../src/run/supersede.ts'
import { attempts, branches, jobs, runs, tasks } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { openRows } from '../support/rows.ts'

// Which tasks of an array are handed over, and when no more are.
let rows: Awaited<ReturnType<typeof openRows>>

beforeAll(async () => {
  rows = await openRows()
  rows.cluster = { chunk: async left => ({ tasks: left, renumbered: false }) }
}, 60_000 * patience)
afterAll(() => rows.close())

const jobOf = async (id: string) => (await rows.db.select().from(jobs).where(eq(jobs.id, id)))[0]!
const handedOver = async (id: string) =>
  (await rows.db.select().from(attempts).where(eq(attempts.jobId, id)).orderBy(attempts.number)).map(
    attempt => attempt.array?.tasks,
  )

async function endTasks(
  { job, attempt }: { job: string; attempt: string },
  ends: readonly [index: number, state: JobState, reason?: FailureReason][],
): Promise<void> {
  await rows.db
    .insert(tasks)
    .values(ends.map(([index, state, reason = null]) => ({ attemptId: attempt, jobId: job, index, state, reason })))
}

/** The branch comes back to the commit of this run. */
async function resume(runId: string): Promise<void> {
  const run = (await rows.db.select().from(runs).where(eq(runs.id, runId)))[0]!
  await rows.db
    .insert(branches)
    .values({ id: run.branchId, projectId: 1, ref: `refs/heads/${runId}`, headSha: 'b'.repeat(40) })
  const branch = (await rows.db.select().from(branches).where(eq(branches.id, run.branchId)))[0]!
  await resumeRun(rows.context, { branch, run })
}

describe('an array whose commit is wanted again', () => {
  it('runs what was canceled or what the cluster did not run, not what failed by itself or may still be somewhere', async () => {
    const { runId, ids } = await rows.run([
      { name: 'a', state: 'canceled', array: '1-6', attempt: { state: 'canceled', nativeId: '1' } },
    ])
    await endTasks(ids.a!, [
      [1, 'completed'],
      [2, 'canceled'],
      [3, 'failed', 'node'],
      [4, 'failed', 'lost'],
      [5, 'failed', 'exit'],
      [6, 'skipped'],
    ])
    await resume(runId)
    await prepareJobs(rows.context, 'falcon')
    expect(await handedOver(ids.a!.job)).toEqual(['1-6', '2-3,6'])
    await rows.db.update(jobs).set({ state: 'completed' }).where(eq(jobs.runId, runId))
  })

  it('whose retry had been given up stands as its tasks had left it', async () => {
    const { runId, ids } = await rows.run([
      { name: 'a', state: 'canceled', array: '1-2', attempt: { state: 'failed', nativeId: '1' } },
    ])
    await endTasks(ids.a!, [
      [1, 'completed'],
      [2, 'failed', 'exit'],
    ])
    await resume(runId)
    await prepareJobs(rows.context, 'falcon')
    expect(await jobOf(ids.a!.job)).toMatchObject({ state: 'failed', reason: 'exit' })
    expect(await handedOver(ids.a!.job)).toEqual(['1-2'])
  })
})

describe('an array that runs in a superseded run', () => {
  it('hands over no more of its tasks, and ends with those that run', async () => {
    const { runId, ids } = await rows.run([
      {
        ...{ name: 'between', state: 'running', array: '1-9', tasksLeft: '5-9' },
        attempt: { state: 'completed', nativeId: '1' },
      },
      {
        ...{ name: 'running', state: 'running', array: '1-9', tasksLeft: '5-9' },
        attempt: { state: 'running', nativeId: '2' },
      },
    ])
    expect(await cancelQueued(rows.db, [runId], 'superseded by 12345678')).toBe(2)
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ between: 'canceled / completed', running: 'running / running' })
    expect(await handedOver(ids.running!.job)).toEqual(['1-4'])
    expect((await jobOf(ids.running!.job)).cancelReason).toBeNull()

    // The branch comes back while it runs: the rest follows after all.
    await resume(runId)
    await prepareJobs(rows.context, 'falcon')
    expect(await handedOver(ids.running!.job)).toEqual(['1-4', '5-9'])
    expect(await handedOver(ids.between!.job)).toEqual(['1-4', '5-9'])
    await rows.db.update(jobs).set({ state: 'completed' }).where(eq(jobs.runId, runId))
  })
})
