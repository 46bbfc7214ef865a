import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { newId } from '../../src/model/id.ts'
import { whyKept } from '../../src/model/retention.ts'
import { fromEvidence } from '../../src/store/recovery.ts'
import { runsOnCluster } from '../../src/store/run-directories.ts'
import { attempts, branches, runs } from '../../src/store/schema.ts'
import { openRows } from '../support/rows.ts'

let rows: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  rows = await openRows()
}, 60_000)
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
