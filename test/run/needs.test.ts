import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { neverStarts } from '../../src/model/needs.ts'
import { releaseDependants } from '../../src/run/dependants.ts'
import { finishRuns } from '../../src/run/finish.ts'
import { prepareJobs } from '../../src/run/prepare.ts'
import { attempts, runs } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { openRows } from '../support/rows.ts'

let rows: Awaited<ReturnType<typeof openRows>>

beforeAll(async () => {
  rows = await openRows()
}, 60_000 * patience)
afterAll(() => rows.close())

const gone = async (list: readonly { id: string }[]) => new Map(list.map(attempt => [attempt.id, 'gone' as const]))

describe('jobs that need', () => {
  it('the begin, the failure or the end of another are handed over then, and not before', async () => {
    const needs = (kind: 'after' | 'afternotok' | 'any') => [{ job: 'solve', kind }]
    const dependants = [
      { name: 'watch', state: 'waiting', needs: needs('after') },
      { name: 'rescue', state: 'waiting', needs: needs('afternotok') },
      { name: 'clean', state: 'waiting', needs: needs('any') },
    ] as const
    const queued = await rows.run([
      { name: 'solve', state: 'queued', attempt: { state: 'queued', nativeId: '1' } },
      ...dependants,
    ])
    const running = await rows.run([
      { name: 'solve', state: 'running', attempt: { state: 'running', nativeId: '2' } },
      ...dependants,
    ])
    const failed = await rows.run([{ name: 'solve', state: 'failed' }, ...dependants])
    const completed = await rows.run([{ name: 'solve', state: 'completed' }, ...dependants])
    await prepareJobs(rows.context, 'falcon')
    const states = async ({ runId }: { runId: string }) => {
      const { watch, rescue, clean } = await rows.states(runId)
      return { watch, rescue, clean }
    }
    const waits = 'waiting / null'
    const goes = 'submitting / submitting'
    expect(await states(queued)).toEqual({ watch: waits, rescue: waits, clean: waits })
    expect(await states(running)).toEqual({ watch: goes, rescue: waits, clean: waits })
    expect(await states(failed)).toEqual({ watch: 'skipped / null', rescue: goes, clean: goes })
    expect(await states(completed)).toEqual({ watch: goes, rescue: 'skipped / null', clean: goes })
    expect(await rows.messages(completed.runId)).toMatchObject({ rescue: 'solve completed' })
  })

  it('a failed one are skipped, and so is what needs those, each with the reason', async () => {
    const { runId } = await rows.run([
      { name: 'a', state: 'failed' },
      { name: 'b', state: 'waiting', needs: ['a'] },
      { name: 'c', state: 'waiting', needs: ['b'] },
      { name: 'd', state: 'waiting', needs: ['c'] },
    ])
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.messages(runId)).toMatchObject({ b: 'a failed', c: 'b was skipped', d: 'c was skipped' })
    expect(await finishRuns(rows.context)).toBe(1)
  })
})

it('a run whose rescue was not called for has completed', async () => {
  const { runId } = await rows.run([
    { name: 'solve', state: 'completed' },
    { name: 'rescue', state: 'skipped', needs: [{ job: 'solve', kind: 'afternotok' }] },
  ])
  await finishRuns(rows.context)
  expect((await rows.db.select().from(runs).where(eq(runs.id, runId)))[0]?.state).toBe('completed')
})

describe('a job that waits in the queue for what will not come there', () => {
  it('is taken out and handed over anew when what it needs was handed over under another id', async () => {
    rows.cluster = { cancel: gone }
    const { runId } = await rows.run([
      { name: 'a', state: 'queued', attempt: { state: 'queued', nativeId: '12' } },
      { name: 'b', needs: ['a'], state: 'queued', attempt: { state: 'queued', nativeId: '2', dependsOn: ['1'] } },
      { name: 'c', needs: ['a'], state: 'queued', attempt: { state: 'queued', nativeId: '3', dependsOn: ['12'] } },
    ])
    expect(await releaseDependants(rows.context, 'falcon')).toBe(1)
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toMatchObject({ b: 'submitting / submitting', c: 'queued / queued' })
    const again = await rows.db.select().from(attempts).where(eq(attempts.runId, runId))
    expect(again.find(one => one.state === 'submitting')?.dependsOn).toEqual(['12'])
  })

  it('is taken out and handed over without it when the scheduler says never, although all went well', async () => {
    rows.cluster = { cancel: gone }
    const { runId, ids } = await rows.run([
      { name: 'a', state: 'completed' },
      { name: 'b', needs: ['a'], state: 'queued', attempt: { state: 'queued', nativeId: '2', dependsOn: ['1'] } },
    ])
    expect(await releaseDependants(rows.context, 'falcon')).toBe(0)
    await rows.db.update(attempts).set({ message: neverStarts }).where(eq(attempts.id, ids.b!.attempt))
    expect(await releaseDependants(rows.context, 'falcon')).toBe(1)
    await prepareJobs(rows.context, 'falcon')
    const again = await rows.db.select().from(attempts).where(eq(attempts.runId, runId))
    expect(again.map(one => [one.state, one.dependsOn])).toContainEqual(['submitting', []])
  })
})
