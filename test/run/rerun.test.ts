import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { holdJobs } from '../../src/run/hold.ts'
import { rerunMissing, retryJob } from '../../src/run/rerun.ts'
import { stopJobs } from '../../src/run/stop.ts'
import { recordAct } from '../../src/store/acts.ts'
import { jobs, runs, tasks } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { openRows } from '../support/rows.ts'

// A person wants something to run again, or to end.

let rows: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  rows = await openRows()
}, 60_000 * patience)
afterAll(() => rows.close())

const jobOf = async (id: string) => (await rows.db.select().from(jobs).where(eq(jobs.id, id)))[0]!
const completed = { state: 'completed', attempt: { state: 'completed', nativeId: '1' } } as const
const failed = { state: 'failed', attempt: { state: 'failed', nativeId: '2' } } as const
const once = { completedToo: false } as const

describe('running again what is missing', () => {
  test('takes up what failed, was canceled or skipped, and leaves what completed', async () => {
    const { runId } = await rows.run([
      { name: 'mesh', ...completed },
      { name: 'solve', needs: ['mesh'], ...failed },
      { name: 'plot', needs: ['solve'], state: 'skipped' },
      { name: 'movie', state: 'canceled' },
    ])
    await rows.db.update(runs).set({ endedAt: new Date(), state: 'failed' }).where(eq(runs.id, runId))
    expect(await rerunMissing(rows.context, runId)).toEqual(['solve', 'plot', 'movie'])
    expect(await rows.states(runId)).toEqual({
      mesh: 'completed / completed',
      solve: 'waiting / failed',
      plot: 'waiting / null',
      movie: 'waiting / null',
    })
    const [run] = await rows.db.select().from(runs).where(eq(runs.id, runId))
    expect(run).toMatchObject({ endedAt: null, state: 'waiting' })
    expect(await rerunMissing(rows.context, runId)).toEqual([])
  })

  test('of an array the tasks that did not complete', async () => {
    const { runId, ids } = await rows.run([{ name: 'sweep', array: '1-4', ...failed }])
    const { job, attempt } = ids.sweep!
    await rows.db.insert(tasks).values([
      { attemptId: attempt, jobId: job, index: 1, state: 'completed' },
      { attemptId: attempt, jobId: job, index: 2, state: 'failed', reason: 'exit' },
      { attemptId: attempt, jobId: job, index: 3, state: 'completed' },
    ])
    await rerunMissing(rows.context, runId)
    expect(await jobOf(job)).toMatchObject({ tasksLeft: '2,4', message: '2 of its tasks run again' })
  })

  test('takes back a cancellation that is under way, without racing it', async () => {
    const queued = { state: 'queued', attempt: { state: 'queued', nativeId: '3' } } as const
    const { runId, ids } = await rows.run([{ name: 'mesh', ...queued }])
    await stopJobs(rows.context, { runs: [runId] }, 'canceled by alice')
    expect(await rerunMissing(rows.context, runId)).toEqual(['mesh'])
    expect(await jobOf(ids.mesh!.job)).toMatchObject({ state: 'queued', cancelReason: null, runAgain: true })
  })

  test('never gets around an approval', async () => {
    const { runId, ids } = await rows.run([{ name: 'mesh', state: 'waiting' }])
    const approval = { kind: 'approval', by: null, reason: 'waits for an approval', since: '2026-11-27' } as const
    await holdJobs(rows.db, [ids.mesh!.job], approval)
    await rows.db.update(jobs).set({ state: 'canceled' }).where(eq(jobs.id, ids.mesh!.job))
    await rerunMissing(rows.context, runId)
    expect((await jobOf(ids.mesh!.job)).hold).toEqual(approval)
  })

  test('is refused in a run that a newer push has superseded', async () => {
    const { runId } = await rows.run([{ name: 'mesh', ...failed }])
    await rows.db.update(runs).set({ supersededBy: runId }).where(eq(runs.id, runId))
    await expect(rerunMissing(rows.context, runId)).rejects.toThrow('superseded by a newer push')
  })
})

describe('retrying one job', () => {
  test('has what was skipped because of it wait for it anew', async () => {
    const { runId } = await rows.run([
      { name: 'solve', ...failed },
      { name: 'plot', needs: ['solve'], state: 'skipped' },
      { name: 'other', ...failed },
    ])
    await retryJob(rows.context, { runId, name: 'solve' }, once)
    expect(await rows.states(runId)).toMatchObject({ solve: 'waiting / failed', plot: 'waiting / null' })
    expect((await rows.states(runId)).other).toBe('failed / failed')
  })

  test('says why not: it has completed, it is under way, something that it needs has not completed', async () => {
    const { runId } = await rows.run([
      { name: 'mesh', ...completed },
      { name: 'solve', ...failed },
      { name: 'plot', needs: ['solve'], state: 'skipped' },
      { name: 'movie', state: 'running', attempt: { state: 'running', nativeId: '4' } },
    ])
    const retry = (name: string) => retryJob(rows.context, { runId, name }, once)
    await expect(retry('mesh')).rejects.toThrow('mesh has completed')
    await expect(retry('plot')).rejects.toThrow('plot needs solve, but solve failed')
    await expect(retry('movie')).rejects.toThrow('movie is running')
    await expect(retry('film')).rejects.toThrow('the run has no job film')
  })

  test('runs what has completed too, where that is meant', async () => {
    const { runId } = await rows.run([{ name: 'mesh', ...completed }])
    await retryJob(rows.context, { runId, name: 'mesh' }, { completedToo: true })
    expect(await rows.states(runId)).toEqual({ mesh: 'waiting / completed' })
  })

  test('for the same cause is done once, whoever asks and however often', async () => {
    const { runId } = await rows.run([{ name: 'mesh', ...failed }])
    const act = {
      projectId: 1,
      cause: 'note:7',
      verb: 'retry',
      by: { id: 1, username: 'alice', name: 'Alice' },
    } as const
    const retry = () =>
      retryJob(
        rows.context,
        { runId, name: 'mesh' },
        { completedToo: true, within: (tx, said) => recordAct(tx, { ...act, said }) },
      )
    await retry()
    await rows.db.update(jobs).set({ state: 'failed' }).where(eq(jobs.runId, runId))
    await expect(retry()).rejects.toThrow('acted on at the same moment')
    expect(await rows.states(runId)).toEqual({ mesh: 'failed / failed' })
  })
})

test('ending jobs is a wish in their rows, for what waits and for what runs; what has ended is left as it ended', async () => {
  const { runId, ids } = await rows.run([
    { name: 'mesh', ...completed },
    { name: 'solve', state: 'running', attempt: { state: 'running', nativeId: '5' } },
    { name: 'plot', needs: ['solve'], state: 'waiting' },
  ])
  expect(await stopJobs(rows.context, { runs: [runId] }, 'canceled by alice')).toEqual(['solve', 'plot'])
  expect(await jobOf(ids.solve!.job)).toMatchObject({ cancelReason: 'canceled by alice', cancelQueuedOnly: false })
  expect((await jobOf(ids.mesh!.job)).cancelReason).toBeNull()
})
