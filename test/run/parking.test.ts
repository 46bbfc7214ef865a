import { eq, inArray, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/model/id.ts'
import type { JobState } from '../../src/model/job-state.ts'
import { composeReports } from '../../src/run/compose.ts'
import { prepareJobs } from '../../src/run/prepare.ts'
import { sweepRuns } from '../../src/run/sweep.ts'
import { parkedRows, retryParked } from '../../src/store/parked.ts'
import { touchRuns } from '../../src/store/runs.ts'
import { jobs, reports, runs } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { openRows } from '../support/rows.ts'

// One row that can never be done must be in nobody's way: it is tried again at growing distance, then parked, and the others are told.
let rows: Awaited<ReturnType<typeof openRows>>
const bad: string[] = []
let good = ''

beforeAll(async () => {
  rows = await openRows()
  // A state that no code of ours writes.
  for (let n = 0; n < 100; n++) bad.push((await rows.run([{ name: 'a', state: 'nonsense' as JobState }])).runId)
  good = (await rows.run([{ name: 'a', state: 'completed' }])).runId
}, 60_000 * patience)
afterAll(() => rows.close())

const row = async (id: string) => (await rows.db.select().from(runs).where(eq(runs.id, id)))[0]!
const allDue = () => rows.db.execute(sql`update runs set next_at = now(), sweep_next_at = now()`)

describe('composing', () => {
  it('tells the good run although a hundred bad ones stand before it', async () => {
    expect(await composeReports(rows.context)).toBe(100)
    expect(await row(bad[0]!)).toMatchObject({ reportedVersion: 0, attempts: 1, lastError: expect.stringMatching(/./) })
    await composeReports(rows.context)
    expect(await row(good)).toMatchObject({ reportedVersion: 1, lastError: null })
  })

  it('has nothing to do before a bad run is due again', async () => {
    await rows.db.execute(sql`update runs set next_at = now() + interval '1 minute'`)
    expect(await composeReports(rows.context)).toBe(0)
  })

  it('parks it after eight tries, lists it, and tries it again when asked to or when it changes', async () => {
    await rows.db.delete(runs).where(inArray(runs.id, bad.slice(20)))
    for (let tries = 2; tries <= 8; tries++) {
      await allDue()
      await composeReports(rows.context)
    }
    expect(await parkedRows(rows.db)).toHaveLength(20)
    await allDue()
    expect(await composeReports(rows.context)).toBe(0)

    const [first, second] = bad as [string, string]
    expect(await retryParked(rows.db, { table: 'runs', id: first })).toBe(1)
    await rows.db.update(jobs).set({ state: 'completed' }).where(eq(jobs.runId, second))
    await touchRuns(rows.db, [second])
    expect(await composeReports(rows.context)).toBe(2)
    expect(await row(second)).toMatchObject({ version: 2, reportedVersion: 2 })
    expect(await row(first)).toMatchObject({ attempts: 1, parkedAt: null })
  })
})

describe('preparing', () => {
  it('begins the jobs of the others where those of one run cannot be read', async () => {
    rows.cluster = {}
    const { runId: broken, ids } = await rows.run([{ name: 'a', state: 'waiting' }])
    await rows.db
      .update(jobs)
      .set({ spec: { name: 'a' } as never })
      .where(eq(jobs.id, ids.a!.job))
    const { runId } = await rows.run([{ name: 'a', state: 'waiting' }])
    await expect(prepareJobs(rows.context, 'falcon')).rejects.toThrow()
    expect(await rows.states(runId)).toEqual({ a: 'submitting / submitting' })
    expect(await rows.states(broken)).toEqual({ a: 'waiting / null' })
  })
})

describe('sweeping', () => {
  it('looks at the others first where one cannot be looked over', async () => {
    await rows.db.delete(reports)
    const list = [...bad.slice(0, 20), good]
    for (const [n, runId] of list.entries()) {
      await rows.db
        .update(runs)
        .set({
          ref: `refs/heads/calc/${n}`,
          endedAt: new Date(),
          hasCi: true,
          sweepNextAt: new Date(Date.now() - 60_000 + n),
        })
        .where(eq(runs.id, runId))
      await rows.db.insert(reports).values({
        id: newId(),
        kind: 'status',
        key: `swept ${runId}`,
        projectId: 1,
        runId,
        desired: { kind: 'status' } as never,
        desiredHash: 'x',
        sentHash: 'x',
      })
    }
    const asked: number[] = []
    const context = {
      ...rows.context,
      gitlabOf() {
        asked.push(1)
        throw new Error('it never answers')
      },
    }
    expect(await sweepRuns(context)).toBe(20)
    expect(await sweepRuns(context)).toBe(1)
    expect(await sweepRuns(context)).toBe(0)
    expect(asked).toHaveLength(21)
    expect(await row(good)).toMatchObject({ sweepTries: 1, sweptAt: null })
  })
})
