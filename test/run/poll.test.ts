import { eq, inArray } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AccountingRow, Seen } from '../../src/model/observation.ts'
import { pollCluster } from '../../src/run/poll.ts'
import { attempts, jobs, runs } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { inQueue, type JobToWrite, openRows } from '../support/rows.ts'

// A round writes hundreds of changes in a few statements. Each row must stand there as if it had been the only one.
let rows: Awaited<ReturnType<typeof openRows>>

beforeAll(async () => {
  rows = await openRows()
}, 60_000 * patience)
afterAll(() => rows.close())

const began = new Date('2026-11-20T12:00:00.125Z')
const ended = new Date('2026-11-20T12:00:07.875Z')
const hostile = `'; drop table jobs; -- "quoted" \\ back\0slash \ud83d \u{1f600} {"a":[1]}`

const accounted: AccountingRow = {
  nativeId: '7',
  tasks: null,
  name: 'compops-x',
  nativeState: 'FAILED',
  verdict: 'exit',
  exitCode: 3,
  signal: 9,
  queue: 'main',
  account: null,
  submittedAt: began,
  startedAt: began,
  endedAt: ended,
  nodes: ['n1', 'n2'],
  cpus: 4,
  cpuSeconds: 1.5,
  elapsedSeconds: 7,
  maxRss: 2 ** 40,
  requestedTres: null,
  allocatedTres: 'cpu=4',
}
const nowhere: Seen = { queue: null, accounting: 'off', exit: null, started: null }
const left = (code: number): Seen => ({ ...nowhere, exit: { nativeId: '7', restarts: 0, code, at: ended } })
const cancelled = inQueue({ state: 'ended', nativeState: 'CANCELLED', verdict: 'canceled' })

interface Kind {
  readonly before: Omit<JobToWrite, 'name' | 'attempt'> & { readonly runAgain?: boolean }
  readonly sees: Seen
  /** What somebody else does while the round is under way. */
  readonly meanwhile?: 'closes the attempt' | 'closes the job'
  readonly attempt: Partial<typeof attempts.$inferSelect>
  readonly job: Partial<typeof jobs.$inferSelect>
}

const kinds: Record<string, Kind> = {
  begins: {
    before: { state: 'queued' },
    sees: inQueue({ state: 'running', startAt: began, nodes: ['n1'], queue: 'main', restarts: 2 }),
    attempt: {
      state: 'running',
      startedAt: began,
      nodes: ['n1'],
      queue: 'main',
      restarts: 2,
      final: false,
      endedAt: null,
    },
    job: { state: 'running', reason: null, message: null },
  },
  'waits for another reason': {
    before: { state: 'queued' },
    sees: inQueue({ reason: hostile }),
    attempt: { state: 'queued', startedAt: null, final: false },
    job: { state: 'queued', message: hostile.replace('\0', '\ufffd').replace('\ud83d ', '\ufffd ') },
  },
  'goes on': {
    before: { state: 'queued' },
    sees: inQueue({}),
    attempt: { state: 'queued', final: false, misses: 0 },
    job: { state: 'queued', message: null },
  },
  completes: {
    before: { state: 'running' },
    sees: left(0),
    attempt: { state: 'completed', final: true, exitCode: 0, endedAt: ended, accounting: null, collectProblem: null },
    job: { state: 'completed', reason: null, message: null },
  },
  fails: {
    before: { state: 'running' },
    sees: { ...left(3), accounting: accounted },
    attempt: {
      state: 'failed',
      reason: 'exit',
      final: true,
      exitCode: 3,
      signal: 9,
      startedAt: began,
      endedAt: ended,
      nodes: ['n1', 'n2'],
      queue: 'main',
      accounting: JSON.parse(JSON.stringify(accounted)),
    },
    job: { state: 'failed', reason: 'exit' },
  },
  'is cancelled by us': {
    before: { state: 'queued', cancelReason: 'superseded by 12345678' },
    sees: cancelled,
    attempt: { state: 'canceled', final: true, collectProblem: 'it never started' },
    job: { state: 'canceled', message: 'superseded by 12345678', cancelReason: 'superseded by 12345678' },
  },
  'is cancelled on the cluster': {
    before: { state: 'queued' },
    sees: { ...cancelled, accounting: { ...accounted, verdict: 'canceled', nativeState: 'CANCELLED by 1001' } },
    attempt: { state: 'canceled', final: true, message: 'cancelled on the cluster (CANCELLED by 1001)' },
    job: { state: 'canceled', message: 'cancelled on the cluster (CANCELLED by 1001)', cancelReason: null },
  },
  'is cancelled and wanted again': {
    before: { state: 'queued', cancelReason: 'superseded by 12345678', runAgain: true },
    sees: cancelled,
    attempt: { state: 'canceled', final: true },
    job: { state: 'waiting', reason: null, message: null, cancelReason: null, runAgain: false },
  },
  'is nowhere to be seen': {
    before: { state: 'running' },
    sees: nowhere,
    attempt: { state: 'running', misses: 1, final: false },
    job: { state: 'running', message: null },
  },
  'passed the fence as another copy': {
    before: { state: 'running' },
    sees: { ...inQueue({ state: 'running' }), started: { nativeId: '8', at: began } },
    attempt: { state: 'running', nativeId: '8', startedAt: began },
    job: { state: 'running' },
  },
  'was closed by somebody else': {
    before: { state: 'queued' },
    sees: left(0),
    meanwhile: 'closes the attempt',
    attempt: { state: 'canceled', final: true, exitCode: null },
    job: { state: 'canceled' },
  },
  'ends when its job has ended already': {
    before: { state: 'running' },
    sees: left(0),
    meanwhile: 'closes the job',
    attempt: { state: 'completed', final: true, exitCode: 0 },
    job: { state: 'skipped' },
  },
}

describe('a round that changes hundreds of jobs', () => {
  it('leaves each as if it had been the only one', async () => {
    const each = 42
    const list = Object.entries(kinds).flatMap(([kind, { before }]) =>
      Array.from({ length: each }, (_, n) => ({ kind, name: `${kind} ${n}`, before })),
    )
    expect(list.length).toBeGreaterThan(500)
    const { runId, ids } = await rows.run(
      list.map(({ name, before: { runAgain: _, ...before } }) => ({
        name,
        ...before,
        attempt: { state: before.state, nativeId: '7' },
      })),
    )
    const idsOf = (wanted: (kind: Kind) => boolean) =>
      list.filter(({ kind }) => wanted(kinds[kind]!)).map(({ name }) => ids[name]!)
    const again = idsOf(kind => kind.before.runAgain === true).map(one => one.job)
    await rows.db.update(jobs).set({ runAgain: true }).where(inArray(jobs.id, again))

    const kindOf = new Map(list.map(({ kind, name }) => [ids[name]!.attempt, kinds[kind]!]))
    rows.cluster = {
      async observe(watched) {
        const closed = idsOf(kind => kind.meanwhile === 'closes the attempt')
        await rows.db
          .update(attempts)
          .set({ state: 'canceled', final: true })
          .where(
            inArray(
              attempts.id,
              closed.map(one => one.attempt),
            ),
          )
        await rows.db
          .update(jobs)
          .set({ state: 'canceled' })
          .where(
            inArray(
              jobs.id,
              closed.map(one => one.job),
            ),
          )
        const skipped = idsOf(kind => kind.meanwhile === 'closes the job').map(one => one.job)
        await rows.db.update(jobs).set({ state: 'skipped' }).where(inArray(jobs.id, skipped))
        return { at: new Date(), seen: new Map(watched.map(({ id }) => [id, kindOf.get(id)!.sees])), commands: 1 }
      },
    }
    const result = await pollCluster(rows.context, 'falcon')

    const moved = ['begins', 'completes', 'fails', 'is cancelled by us', 'is cancelled on the cluster']
    const writtenAndMoved = [...moved, 'is cancelled and wanted again', 'ends when its job has ended already']
    expect(result).toMatchObject({ watched: list.length, changed: writtenAndMoved.length * each, due: true })
    const found = await rows.db
      .select()
      .from(attempts)
      .innerJoin(jobs, eq(jobs.id, attempts.jobId))
      .where(eq(attempts.runId, runId))
    expect(found).toHaveLength(list.length)
    for (const { attempts: attempt, jobs: job } of found) {
      const kind = kindOf.get(attempt.id)!
      expect({ attempt, job }, job.name).toMatchObject({ attempt: kind.attempt, job: kind.job })
    }
    const run = (await rows.db.select().from(runs).where(eq(runs.id, runId)))[0]
    expect(run!.version).toBeGreaterThan(1)
  })
})
