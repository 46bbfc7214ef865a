import { eq, isNotNull, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { CompopsError } from '../../src/errors.ts'
import { newId } from '../../src/model/id.ts'
import { whyKept } from '../../src/model/retention.ts'
import { keepTidy } from '../../src/run/remove-directories.ts'
import { saveProject } from '../../src/store/projects.ts'
import { fromEvidence } from '../../src/store/recovery.ts'
import { runsOnCluster } from '../../src/store/run-directories.ts'
import { removalsOf } from '../../src/store/runs.ts'
import { attempts, branches, runDirectories, runs } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { openRows } from '../support/rows.ts'

let rows: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  rows = await openRows()
}, 60_000 * patience)
afterAll(() => rows.close())

const now = new Date()
const old = new Date(now.getTime() - 40 * 86_400_000)

/** A run that ended long ago, with all of it told and committed. */
async function oldRun(branch: { id: string; ref: string }, sha: string): Promise<string> {
  const { runId } = await rows.run([
    { name: 'a', state: 'completed', attempt: { state: 'completed', nativeId: String(Math.random()) } },
  ])
  await rows.db.update(attempts).set({ final: true, collectProblem: fromEvidence }).where(eq(attempts.runId, runId))
  await rows.db
    .update(runs)
    .set({
      branchId: branch.id,
      ref: branch.ref,
      sha,
      state: 'completed',
      endedAt: old,
      version: 1,
      reportedVersion: 1,
    })
    .where(eq(runs.id, runId))
  return runId
}

async function branch(name: string, values: Partial<typeof branches.$inferInsert> = {}) {
  const row = { id: newId(), projectId: 1, ref: `refs/heads/${name}` }
  await rows.db.insert(branches).values({ ...row, ...values })
  return row
}

const why = async (run: string) => {
  const [found] = await runsOnCluster(rows.db, 'falcon', { run })
  return whyKept(found!.facts, 30, now)
}

it('keeps the run of a commit that its branch was reset to, and the newest', async () => {
  const a = await branch('calc/reset')
  const first = await oldRun(a, '1'.repeat(40))
  const second = await oldRun(a, '2'.repeat(40))
  const third = await oldRun(a, '3'.repeat(40))
  await rows.db.update(branches).set({ latestRunId: first }).where(eq(branches.id, a.id))
  expect(await why(first)).toBe('it is the run that a living branch shows')
  expect(await why(second)).toBeNull()
  expect(await why(third)).toBe('it is the latest completed run of a living branch')
  await rows.db.update(branches).set({ state: 'gone' }).where(eq(branches.id, a.id))
  expect(await why(first)).toBeNull()
})

it('keeps the run of a commit that another living branch stands on without a run of its own', async () => {
  const a = await branch('calc/a')
  const first = await oldRun(a, '4'.repeat(40))
  const second = await oldRun(a, '5'.repeat(40))
  await rows.db
    .update(branches)
    .set({ latestRunId: second, headSha: '5'.repeat(40) })
    .where(eq(branches.id, a.id))
  expect(await why(first)).toBeNull()
  const b = await branch('calc/b', { headSha: '4'.repeat(40) })
  expect(await why(first)).toBe('calc/b stands on its commit')
  await rows.db.update(branches).set({ state: 'gone' }).where(eq(branches.id, b.id))
  expect(await why(first)).toBeNull()
})

describe('what cannot be removed', () => {
  const removed = async () =>
    (await rows.db.select().from(runDirectories).where(isNotNull(runDirectories.removedAt)))
      .map(row => row.runId)
      .sort()
  const allDue = () => rows.db.execute(sql`update run_directories set next_at = now()`)

  it('is put off and said, and keeps neither other runs nor other projects from being removed', async () => {
    await rows.db.delete(runs)
    await rows.db.delete(attempts)
    await saveProject(rows.db, { id: 2, path: 'physics/slow', defaultBranch: 'main' })
    const here = await branch('calc/stuck')
    const ids: string[] = []
    const add = async (project: number) => {
      const id = await oldRun(here, String(ids.length).padStart(40, 'f'))
      await rows.db.update(runs).set({ projectId: project, state: 'failed' }).where(eq(runs.id, id))
      ids.push(id)
      return id
    }
    const stuck = await add(1)
    const slow = await add(2)
    const first = await add(1)
    let reached = true
    const sources: number[] = []
    rows.cluster = {
      directories: {
        removeSources: async (days: number) => sources.push(days),
        removeRuns: async (project: number, asked: readonly string[]) => {
          if (!reached) throw new CompopsError('falcon does not answer', { transient: true })
          if (project === 2 && asked.length > 0)
            throw new CompopsError('it took longer than 600 s', { transient: true })
          return {
            gone: new Set(asked.filter(id => id !== stuck)),
            kept: new Map(asked.includes(stuck) ? [[stuck, 'cannot be removed whole']] : []),
          }
        },
      },
    } as never
    const context = { ...rows.context, clusterConfig: () => ({ keepDays: 30 }) } as unknown as Context
    // A project that fails is told of by waiting a little; the other one is done nevertheless.
    expect(await keepTidy(context, 'falcon')).toEqual({ more: false, after: 600_000 })
    expect(await removed()).toEqual([first])
    const [row] = await rows.db.select().from(runDirectories).where(eq(runDirectories.runId, stuck))
    expect(row).toMatchObject({ tries: 1, problem: 'it cannot be removed whole' })
    expect(row!.nextAt.getTime()).toBeGreaterThan(Date.now() + 500_000)
    expect(await removalsOf(rows.db, slow)).toMatchObject([{ at: null, problem: { why: 'it took longer than 600 s' } }])

    // What stands is not due, what is new is removed.
    const second = await add(1)
    expect(await keepTidy(context, 'falcon')).toEqual({ more: true })
    expect(await removed()).toEqual([first, second].sort())
    expect(await keepTidy(context, 'falcon')).toEqual({ more: false })
    expect(sources).toEqual([30])

    await allDue()
    const third = await add(1)
    await keepTidy(context, 'falcon')
    expect(await removed()).toEqual([first, second, third].sort())
    const [again] = await rows.db.select().from(runDirectories).where(eq(runDirectories.runId, stuck))
    expect(again!.tries).toBe(2)
    expect(again!.nextAt.getTime()).toBeGreaterThan(Date.now() + 1_100_000)

    // While the cluster is away nothing is begun: who comes back to such a commit still has its run.
    reached = false
    const fourth = await add(1)
    await keepTidy(context, 'falcon')
    expect(await removalsOf(rows.db, fourth)).toEqual([])
  })
})

it('what a CI job brought is no living branch: its run is removed by age, and keeps that of no other', async () => {
  const sha = '8'.repeat(40)
  const ci = { id: newId(), ref: 'refs/ci/77/compops' }
  await rows.db.insert(branches).values({ ...ci, projectId: 1, state: 'active', headSha: sha })
  const run = await oldRun(ci, sha)
  await rows.db.update(branches).set({ latestRunId: run }).where(eq(branches.id, ci.id))
  expect(await why(run)).toBeNull()
  const gone = await branch('calc/was-at-it', { state: 'gone' })
  expect(await why(await oldRun(gone, sha))).toBeNull()
})
