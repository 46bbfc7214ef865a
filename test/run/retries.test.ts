import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { JobSpec } from '../../src/model/job-spec.ts'
import type { Seen, Verdict } from '../../src/model/observation.ts'
import { cancelJobs } from '../../src/run/cancel.ts'
import { fenceLost, jobsToFence } from '../../src/run/fence-lost.ts'
import { finishRuns } from '../../src/run/finish.ts'
import { pollCluster } from '../../src/run/poll.ts'
import { prepareJobs } from '../../src/run/prepare.ts'
import { retryJob } from '../../src/run/rerun.ts'
import { resumeRun } from '../../src/run/resume.ts'
import { cancelAll, supersede } from '../../src/run/supersede.ts'
import { attempts, branches, jobs, runs, tasks } from '../../src/store/schema.ts'
import { inQueue, openRows } from '../support/rows.ts'

// Between two attempts: nobody takes the job for failed, and whoever wants it no more has the last word.
let rows: Awaited<ReturnType<typeof openRows>>

beforeAll(async () => {
  rows = await openRows()
}, 60_000)
afterAll(() => rows.close())
beforeEach(async () => {
  await rows.db.update(jobs).set({ state: 'completed', cancelReason: null })
  await rows.db.update(attempts).set({ final: true, fencedAt: sql`now()` })
})

const memory: Partial<JobSpec> = {
  resources: { mem: 2048 },
  retry: { total: null, rules: { memory: { times: 2 }, node: { times: 1, exclude: true }, lost: { times: 1 } } },
}
const end = (verdict: Verdict, nodes: readonly string[] = ['n1']) =>
  inQueue({ state: 'ended', nativeState: verdict.toUpperCase(), verdict, nodes })

/** A round sees this of everything under way. */
async function round(seen: Seen, at = new Date()): Promise<void> {
  rows.cluster = {
    excludesNodes: true,
    observe: async list => ({ at, seen: new Map(list.map(attempt => [attempt.id, seen])), commands: 1 }),
  }
  await pollCluster(rows.context, 'falcon')
}

const running = (name: string, spec: Partial<JobSpec> = memory) =>
  ({ name, state: 'running', spec, attempt: { state: 'running', nativeId: '1' } }) as const
const jobOf = async (id: string) => (await rows.db.select().from(jobs).where(eq(jobs.id, id)))[0]!
const attemptsOf = (id: string) =>
  rows.db.select().from(attempts).where(eq(attempts.jobId, id)).orderBy(attempts.number)

async function handOver(id: string, nativeId: string): Promise<void> {
  await rows.db.update(attempts).set({ state: 'running', nativeId }).where(sql`job_id = ${id} and not final`)
  await rows.db.update(jobs).set({ state: 'running' }).where(eq(jobs.id, id))
}

describe('a job with retries left', () => {
  it('is never seen as failed: it waits, its run goes on, and what needs it waits too', async () => {
    const { runId, ids } = await rows.run([running('a'), { name: 'b', state: 'waiting', needs: ['a'] }])
    await round(end('memory'))
    expect(await rows.states(runId)).toEqual({ a: 'waiting / failed', b: 'waiting / null' })
    expect((await jobOf(ids.a!.job)).message).toBe('attempt 2 of 3 after out of memory, mem 2 G → 3 G')
    await rows.db.update(attempts).set({ collectProblem: 'none' })
    expect(await finishRuns(rows.context)).toBe(0)

    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'submitting / submitting', b: 'waiting / null' })
    expect((await attemptsOf(ids.a!.job)).map(attempt => attempt.asked)).toEqual([
      null,
      { resources: { mem: 3072 }, step: 'attempt 2 of 3 after out of memory, mem 2 G → 3 G' },
    ])
    await handOver(ids.a!.job, '2')
    await round(end('memory'))
    await prepareJobs(rows.context, 'falcon')
    expect((await attemptsOf(ids.a!.job)).at(-1)).toMatchObject({ number: 3, asked: { resources: { mem: 4608 } } })
    await handOver(ids.a!.job, '3')
    await round(end('memory'))
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'failed / failed', b: 'skipped / null' })
    expect(await jobOf(ids.a!.job)).toMatchObject({ reason: 'memory', message: 'its 2 retries are used up' })
  })

  it('gets one attempt, however many prepare it at once, and however often its end is seen', async () => {
    const { ids } = await rows.run([running('a')])
    await round(end('memory'))
    await round(end('memory'))
    await Promise.all([1, 2, 3].map(() => prepareJobs(rows.context, 'falcon')))
    expect(await attemptsOf(ids.a!.job)).toHaveLength(2)
  })

  it('that the cluster did not finish waits a while, on another node where there is one', async () => {
    const { ids } = await rows.run([running('a')])
    const { intervals } = rows.context.config as unknown as { intervals: { retry: number } }
    intervals.retry = 600_000
    await round(end('node', ['n7']))
    intervals.retry = 0
    await prepareJobs(rows.context, 'falcon')
    expect(await jobOf(ids.a!.job)).toMatchObject({ state: 'waiting' })
    await rows.db.update(jobs).set({ retryAt: sql`now()` })
    await prepareJobs(rows.context, 'falcon')
    expect((await attemptsOf(ids.a!.job)).at(-1)?.asked).toEqual({
      exclude: ['n7'],
      step: 'attempt 2 of 2 after node failure, without n7',
    })
  })

  it('says where the cluster cannot keep it away from a node', async () => {
    const { ids } = await rows.run([running('a')])
    await round(end('node', ['n7']))
    rows.cluster = { excludesNodes: false }
    await rows.db.update(jobs).set({ cluster: 'falcon' })
    await prepareJobs(rows.context, 'falcon')
    const [, second] = await attemptsOf(ids.a!.job)
    expect(second?.asked?.exclude).toBeUndefined()
    expect(second?.asked?.step).toBe('attempt 2 of 2 after node failure; falcon cannot be told to keep it away from n7')
  })

  it('is waited for by us: a scheduler would conclude from its first end', async () => {
    const { runId } = await rows.run([running('a'), { name: 'b', state: 'waiting', needs: ['a'] }])
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toMatchObject({ b: 'waiting / null' })
    const plain = await rows.run([running('a', {}), { name: 'b', state: 'waiting', needs: ['a'] }])
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(plain.runId)).toMatchObject({ b: 'submitting / submitting' })
  })
})

describe('a retry that is due', () => {
  it('is given up where somebody cancels: at once, since nothing is on the cluster', async () => {
    const { runId } = await rows.run([running('a')])
    await round(end('memory'))
    await cancelAll(rows.db, [runId], 'cancelled by alice')
    await prepareJobs(rows.context, 'falcon')
    await cancelJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'canceled / failed' })
  })

  it('is not begun for what somebody had cancelled before it ended', async () => {
    const { runId } = await rows.run([{ ...running('a'), cancelReason: 'cancelled by alice' }])
    await round(end('memory'))
    expect(await rows.states(runId)).toEqual({ a: 'failed / failed' })
  })

  it('is given up with the push that takes over, also where that came at the same moment', async () => {
    const before = await rows.run([running('a')])
    const [run] = await rows.db.select().from(runs).where(eq(runs.id, before.runId))
    await supersede(
      rows.db,
      run!.branchId,
      { id: '0190f3c2-7d00-7abc-8def-aaaaaaaaaaaa', sha: 'c'.repeat(40) },
      'queued',
    )
    await round(end('memory'))
    expect(await rows.states(before.runId)).toEqual({ a: 'failed / failed' })
    const [job] = await rows.db.select().from(jobs).where(eq(jobs.runId, before.runId))
    expect(job?.message).toBe('a newer push took over, so it is not tried again')

    const after = await rows.run([running('a')])
    await round(end('memory'))
    // What the newer push saw was a job that runs.
    await rows.db.update(runs).set({ supersededBy: '0190f3c2-7d00-7abc-8def-aaaaaaaaaaaa' })
    await prepareJobs(rows.context, 'falcon')
    await cancelJobs(rows.context, 'falcon')
    expect(await rows.states(after.runId)).toEqual({ a: 'canceled / failed' })
    await rows.db.update(runs).set({ supersededBy: null })
  })

  it('has all its times again when the commit is wanted again, and keeps what was raised', async () => {
    const { runId, ids } = await rows.run([running('a')])
    await round(end('memory'))
    await prepareJobs(rows.context, 'falcon')
    await handOver(ids.a!.job, '2')
    await round(end('node', ['n7']))
    await prepareJobs(rows.context, 'falcon')
    await handOver(ids.a!.job, '3')
    await round(end('node', ['n8']))
    expect(await jobOf(ids.a!.job)).toMatchObject({ state: 'failed', reason: 'node' })
    const [run] = await rows.db.select().from(runs).where(eq(runs.id, runId))
    const branch = { id: run!.branchId, projectId: 1, ref: `refs/heads/${runId}`, headSha: 'b'.repeat(40) }
    await rows.db.insert(branches).values(branch)
    const [row] = await rows.db.select().from(branches).where(eq(branches.id, branch.id))
    await resumeRun(rows.context, { branch: row!, run: run! })
    expect((await jobOf(ids.a!.job)).ladder).toEqual({
      from: 3,
      asked: { resources: { mem: 3072 }, exclude: ['n7'] },
    })
    await prepareJobs(rows.context, 'falcon')
    await handOver(ids.a!.job, '4')
    await round(end('node', ['n9']))
    expect((await jobOf(ids.a!.job)).message).toBe('attempt 2 of 2 after node failure, without n7, n9')
  })
})

describe('a lost job', () => {
  const unseen: Seen = { queue: null, accounting: 'off', exit: null, started: null }

  it('begins again only when what is left of it is fenced and gone', async () => {
    const { runId, ids } = await rows.run([running('a')])
    await round(unseen)
    await round(unseen, new Date(Date.now() + 60_000))
    expect(await rows.states(runId)).toEqual({ a: 'waiting / failed' })
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'waiting / failed' })

    const asked: unknown[] = []
    let fate: 'gone' | 'still there' = 'still there'
    rows.cluster = {
      async cancel(list, options) {
        asked.push([list.map(attempt => attempt.id), options])
        return new Map(list.map(attempt => [attempt.id, fate]))
      },
    }
    expect(await fenceLost(rows.context, 'falcon')).toBe(0)
    // Asked again in a while, not in a loop.
    expect(await fenceLost(rows.context, 'falcon')).toBe(0)
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'waiting / failed' })
    await rows.db.update(attempts).set({ nextAt: sql`now()` })
    fate = 'gone'
    expect(await fenceLost(rows.context, 'falcon')).toBe(1)
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'submitting / submitting' })
    expect(asked).toEqual([
      [[ids.a!.attempt], { fence: true }],
      [[ids.a!.attempt], { fence: true }],
    ])
  })
})

describe('a lost task of an array', () => {
  it('is fenced before it runs again, and left alone where only others do', async () => {
    const { ids } = await rows.run([
      { name: 'a', state: 'waiting', array: '1-2', attempt: { state: 'failed', nativeId: '1' } },
    ])
    const { job, attempt } = ids.a!
    const failed = (index: number, reason: 'lost' | 'exit') =>
      ({ attemptId: attempt, jobId: job, index, state: 'failed', reason }) as const
    await rows.db.insert(tasks).values([failed(1, 'lost'), failed(2, 'exit')])
    await rows.db.update(jobs).set({ tasksLeft: '2' }).where(eq(jobs.id, job))
    expect(await jobsToFence(rows.db, 'falcon')).toEqual(new Set())
    await rows.db.update(jobs).set({ tasksLeft: '1-2' }).where(eq(jobs.id, job))
    expect(await jobsToFence(rows.db, 'falcon')).toEqual(new Set([job]))
  })
})

describe('an array with retries left', () => {
  it('runs those tasks again that have them, when all have ended', async () => {
    const spec: Partial<JobSpec> = { ...memory, array: { tasks: '1-4', throttle: null } }
    const { runId, ids } = await rows.run([{ ...running('a', spec), array: '1-4' }])
    const task = (index: number, state: 'completed' | 'failed', reason: 'memory' | 'exit' | null) => ({
      ...{ attemptId: ids.a!.attempt, jobId: ids.a!.job, index, state, reason },
    })
    await rows.db
      .insert(tasks)
      .values([task(1, 'completed', null), task(2, 'failed', 'memory'), task(3, 'failed', 'exit')])
    rows.cluster = {
      chunk: async left => ({ tasks: left, renumbered: false }),
      observe: async list => ({
        at: new Date(),
        seen: new Map(),
        tasks: new Map(list.map(attempt => [attempt.id, new Map([[4, end('memory')]])])),
        commands: 1,
      }),
    }
    await pollCluster(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'waiting / failed' })
    expect(await jobOf(ids.a!.job)).toMatchObject({
      tasksLeft: '2,4',
      message: '2 of its tasks again after out of memory, mem 2 G → 3 G',
    })
    await prepareJobs(rows.context, 'falcon')
    expect((await attemptsOf(ids.a!.job)).at(-1)).toMatchObject({
      array: { tasks: '2,4' },
      asked: { resources: { mem: 3072 } },
    })
  })
})

describe('a job that says `on_exhausted: pause`', () => {
  const pausing: Partial<JobSpec> = {
    resources: { mem: 2048 },
    retry: { total: null, rules: { memory: { times: 1 } } },
    on_exhausted: 'pause',
  }
  async function exhaust() {
    const { runId, ids } = await rows.run([running('a', pausing), { name: 'b', state: 'waiting', needs: ['a'] }])
    await round(end('memory'))
    await prepareJobs(rows.context, 'falcon')
    await handOver(ids.a!.job, '2')
    await round(end('memory'))
    return { runId, id: ids.a!.job }
  }

  it('waits for a person when its retries are used up, and what needs it waits with it', async () => {
    const { runId, id } = await exhaust()
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'held / failed', b: 'waiting / null' })
    expect(await jobOf(id)).toMatchObject({
      hold: { kind: 'paused', by: null },
      message:
        'out of memory; its retry is used up: a person is asked. `/compops retry a` tries again (`--mem 8G` or `--time 4h` with more), `/compops cancel a` ends it',
    })
    await finishRuns(rows.context)
    expect((await rows.db.select().from(runs).where(eq(runs.id, runId)))[0]?.endedAt).toBeNull()
  })

  it('has all its retries again when somebody lets it go on, with what it had at last', async () => {
    const { runId, id } = await exhaust()
    await retryJob(rows.context, { runId, name: 'a' }, { completedToo: false })
    await prepareJobs(rows.context, 'falcon')
    expect((await attemptsOf(id)).at(-1)).toMatchObject({ number: 3, asked: { resources: { mem: 3072 } } })
    await handOver(id, '3')
    await round(end('memory'))
    expect(await jobOf(id)).toMatchObject({
      state: 'waiting',
      message: 'attempt 2 of 2 after out of memory, mem 3 G → 4.5 G',
    })
  })

  it('asks for what that person gives it', async () => {
    const { runId, id } = await exhaust()
    await retryJob(rows.context, { runId, name: 'a' }, { completedToo: false, raised: { mem: 8192, time: 7200 } })
    await prepareJobs(rows.context, 'falcon')
    expect((await attemptsOf(id)).at(-1)?.asked).toEqual({ resources: { mem: 8192, time: 7200 } })
  })

  it('ends with a cancellation, and fails at once where it has no retry for that end', async () => {
    const { runId } = await exhaust()
    await cancelAll(rows.db, [runId], 'cancelled by alice')
    await cancelJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toMatchObject({ a: 'canceled / failed' })
    const other = await rows.run([running('a', pausing)])
    await round(end('timeout'))
    expect(await rows.states(other.runId)).toEqual({ a: 'failed / failed' })
  })

  it('keeps of an array only the tasks that were tried often enough', async () => {
    const spec: Partial<JobSpec> = { ...pausing, array: { tasks: '1-3', throttle: null } }
    const { ids } = await rows.run([{ ...running('a', spec), array: '1-3' }])
    const failed = (index: number, reason: 'memory' | 'exit') => ({
      ...{ attemptId: ids.a!.attempt, jobId: ids.a!.job, index, state: 'failed' as const, reason },
    })
    await rows.db.update(jobs).set({ spec: sql`jsonb_set(spec, '{retry,rules,memory,max}', '2048')` })
    await rows.db.insert(tasks).values([failed(1, 'exit'), failed(2, 'memory')])
    rows.cluster = {
      observe: async list => ({
        at: new Date(),
        seen: new Map(),
        tasks: new Map(list.map(attempt => [attempt.id, new Map([[3, end('memory')]])])),
        commands: 1,
      }),
    }
    await pollCluster(rows.context, 'falcon')
    expect(await jobOf(ids.a!.job)).toMatchObject({ state: 'held', tasksLeft: '2-3', hold: { kind: 'paused' } })
  })
})

describe('a chain', () => {
  const spec: Partial<JobSpec> = { chain: { segments: 3, until: 'converged' } }
  const ended = (code: number, reached: boolean): Seen => ({
    ...end(code === 0 ? 'completed' : 'timeout'),
    exit: { nativeId: '2', restarts: 0, code, at: new Date(), ...(reached ? { ended: { kind: 'reached' } } : {}) },
  })

  it('is one job of many attempts, and completes with the segment that leaves its file', async () => {
    const { runId, ids } = await rows.run([running('a', spec)])
    await round(ended(143, false))
    await prepareJobs(rows.context, 'falcon')
    expect((await attemptsOf(ids.a!.job)).at(-1)?.asked).toEqual({ step: 'segment 2 of 3' })
    await handOver(ids.a!.job, '2')
    await round(ended(0, false))
    expect(await jobOf(ids.a!.job)).toMatchObject({ state: 'waiting', message: 'segment 3 of 3' })
    await prepareJobs(rows.context, 'falcon')
    await handOver(ids.a!.job, '3')
    await round(ended(0, true))
    expect(await rows.states(runId)).toEqual({ a: 'completed / completed' })
  })

  it('that somebody cancels, or a newer push takes over from, is canceled: an end with 0 of one segment is no success', async () => {
    const cancelled = await rows.run([{ ...running('a', spec), cancelReason: 'cancelled by alice' }])
    const superseded = await rows.run([running('a', spec)])
    const by = '0190f3c2-7d00-7abc-8def-aaaaaaaaaaaa'
    await rows.db.update(runs).set({ supersededBy: by }).where(eq(runs.id, superseded.runId))
    await round(ended(0, false))
    expect(await jobOf(cancelled.ids.a!.job)).toMatchObject({ state: 'canceled', message: 'cancelled by alice' })
    expect(await jobOf(superseded.ids.a!.job)).toMatchObject({ state: 'canceled', message: 'a newer push took over' })
    // The last segment is what it is.
    const done = await rows.run([{ ...running('a', spec), cancelReason: 'cancelled by alice' }])
    await round(ended(0, true))
    expect(await rows.states(done.runId)).toEqual({ a: 'completed / completed' })
  })

  it('whose segments are used up has failed, whatever the last exit code', async () => {
    const { ids } = await rows.run([running('a', { chain: { segments: 1, until: 'converged' } })])
    await round(ended(0, false))
    expect(await jobOf(ids.a!.job)).toMatchObject({
      state: 'failed',
      reason: 'segments',
      message: '1 segment has run, and converged is not there',
    })
  })
})
