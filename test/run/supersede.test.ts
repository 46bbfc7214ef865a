import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { supersede } from '../../src/run/supersede.ts'
import { jobs, runs } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { openRows } from '../support/rows.ts'

// A branch has moved on while its former commit is under way.

let rows: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  rows = await openRows()
}, 60_000 * patience)
afterAll(() => rows.close())

async function movesOn(mode: 'queued' | 'all' | 'never') {
  const { runId } = await rows.run([
    { name: 'runs', state: 'running', attempt: { state: 'running', nativeId: '1' } },
    { name: 'queued', state: 'queued', attempt: { state: 'queued', nativeId: '2' } },
    { name: 'waits', state: 'waiting', needs: ['queued'] },
  ])
  const [run] = await rows.db.select().from(runs).where(eq(runs.id, runId))
  const newer = { id: '01a21dc8-2431-769d-a7e0-6e5bff8f24fe', sha: 'b'.repeat(40) }
  await supersede(rows.db, run!.branchId, newer, mode)
  const all = await rows.db.select().from(jobs).where(eq(jobs.runId, runId)).orderBy(jobs.position)
  const [after] = await rows.db.select().from(runs).where(eq(runs.id, runId))
  return { by: after?.supersededBy, ended: all.filter(job => job.cancelReason !== null).map(job => job.name) }
}

describe('a newer commit', () => {
  it('ends what has not begun; what runs keeps its investment', async () => {
    expect(await movesOn('queued')).toEqual({ by: expect.any(String), ended: ['queued', 'waits'] })
  })

  it('ends what runs too, where file or site want it', async () => {
    expect(await movesOn('all')).toEqual({ by: expect.any(String), ended: ['runs', 'queued', 'waits'] })
  })

  it('ends nothing, where each commit is to be computed', async () => {
    expect(await movesOn('never')).toEqual({ by: null, ended: [] })
  })
})
