import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JobHold } from '../../src/model/job-hold.ts'
import { cancelJobs } from '../../src/run/cancel.ts'
import { holdJobs, releaseJobs } from '../../src/run/hold.ts'
import { pollCluster } from '../../src/run/poll.ts'
import { prepareJobs } from '../../src/run/prepare.ts'
import { submitJobs } from '../../src/run/submit.ts'
import { cancelQueued } from '../../src/run/supersede.ts'
import { jobs } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { inQueue, openRows } from '../support/rows.ts'

// Somebody holds a job back. It does not begin before somebody says so, wherever it was at that moment.

let rows: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  rows = await openRows()
}, 60_000 * patience)
afterAll(() => rows.close())

const held: JobHold = { kind: 'person', by: 'alice', reason: 'held by alice', since: '2026-11-27T16:00:00.000Z' }

async function jobOf(id: string) {
  const { state, message, hold, cancelReason, runAgain } = (
    await rows.db.select().from(jobs).where(eq(jobs.id, id))
  )[0]!
  return { state, message, hold: hold?.kind ?? null, cancelReason, runAgain }
}

describe('a job that is held', () => {
  test('is not handed over, and says who holds it', async () => {
    const { runId, ids } = await rows.run([{ name: 'mesh', state: 'waiting' }])
    await holdJobs(rows.db, [ids.mesh!.job], held)
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ mesh: 'held / null' })
    expect(await jobOf(ids.mesh!.job)).toMatchObject({ message: 'held by alice', hold: 'person' })
  })

  test('goes on when it is released', async () => {
    const { runId, ids } = await rows.run([{ name: 'mesh', state: 'waiting' }])
    await holdJobs(rows.db, [ids.mesh!.job], held)
    await prepareJobs(rows.context, 'falcon')
    expect(await releaseJobs(rows.db, [ids.mesh!.job], 'person')).toEqual(['mesh'])
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ mesh: 'submitting / submitting' })
    expect(await jobOf(ids.mesh!.job)).toMatchObject({ message: null, hold: null })
  })

  test('is released only by who may: a wait for an approval is not ended, nor replaced, by a hold of one’s own', async () => {
    const { runId, ids } = await rows.run([{ name: 'mesh', state: 'waiting' }])
    await holdJobs(rows.db, [ids.mesh!.job], { ...held, kind: 'approval', reason: 'waits for an approval' })
    expect(await holdJobs(rows.db, [ids.mesh!.job], held)).toEqual({ held: [], withdrawn: [] })
    expect(await releaseJobs(rows.db, [ids.mesh!.job], 'person')).toEqual([])
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ mesh: 'held / null' })
  })

  test('and whose need has failed is skipped', async () => {
    const { runId, ids } = await rows.run([
      { name: 'mesh', state: 'failed' },
      { name: 'solve', state: 'waiting', needs: ['mesh'] },
    ])
    await holdJobs(rows.db, [ids.solve!.job], held)
    await prepareJobs(rows.context, 'falcon')
    expect((await rows.states(runId)).solve).toBe('skipped / null')
  })

  test('does not keep other runs from their turn, however many are held', async () => {
    for (let n = 0; n < 3; n++) {
      const { ids } = await rows.run([{ name: 'mesh', state: 'waiting' }])
      await holdJobs(rows.db, [ids.mesh!.job], held)
    }
    expect(await prepareJobs(rows.context, 'falcon')).toBe(0)
    const { runId } = await rows.run([{ name: 'mesh', state: 'waiting' }])
    expect(await prepareJobs(rows.context, 'falcon')).toBe(1)
    expect(await rows.states(runId)).toEqual({ mesh: 'submitting / submitting' })
  })
})

describe('a job that the scheduler has already', () => {
  const queued = { name: 'mesh', state: 'queued', attempt: { state: 'queued', nativeId: '7' } } as const

  test('is taken out of the queue, and is held when the queue no longer has it', async () => {
    const { runId, ids } = await rows.run([queued])
    expect(await holdJobs(rows.db, [ids.mesh!.job], held)).toEqual({ held: ['mesh'], withdrawn: ['mesh'] })
    const asked: string[] = []
    rows.cluster = {
      observe: async () => seen(ids.mesh!.attempt, inQueue({ nativeId: '7' })),
      cancel: async list => {
        asked.push(...list.map(one => one.id))
        return new Map()
      },
    }
    await cancelJobs(rows.context, 'falcon')
    expect(asked).toEqual([ids.mesh!.attempt])
    expect((await rows.states(runId)).mesh).toBe('queued / queued')
    rows.cluster = {
      observe: async () =>
        seen(
          ids.mesh!.attempt,
          inQueue({ nativeId: '7', nativeState: 'CANCELLED', state: 'ended', verdict: 'canceled' }),
        ),
    }
    await pollCluster(rows.context, 'falcon')
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ mesh: 'held / canceled' })
    expect(await jobOf(ids.mesh!.job)).toEqual({
      ...{ state: 'held', message: 'held by alice', hold: 'person' },
      ...{ cancelReason: null, runAgain: false },
    })
  })

  test('is left alone if a look there finds it running', async () => {
    const { runId, ids } = await rows.run([queued])
    await holdJobs(rows.db, [ids.mesh!.job], held)
    rows.cluster = {
      observe: async () => seen(ids.mesh!.attempt, inQueue({ nativeId: '7', state: 'running' })),
      cancel: async () => {
        throw new Error('it runs')
      },
    }
    await cancelJobs(rows.context, 'falcon')
    expect(await jobOf(ids.mesh!.job)).toMatchObject({ cancelReason: null, runAgain: false })
    expect((await rows.states(runId)).mesh).toBe('queued / queued')
  })

  test('and of which nobody knows whether it has begun is fenced, and is held if it never was', async () => {
    const { runId, ids } = await rows.run([{ name: 'mesh', state: 'submitting', attempt: { state: 'submitting' } }])
    await holdJobs(rows.db, [ids.mesh!.job], held)
    rows.cluster = { cancel: async () => new Map([[ids.mesh!.attempt, 'gone' as const]]) }
    await submitJobs(rows.context, 'falcon')
    await cancelJobs(rows.context, 'falcon')
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ mesh: 'held / canceled' })
  })

  test('and is being taken out is cancelled for good by a newer push', async () => {
    const { runId, ids } = await rows.run([queued])
    await holdJobs(rows.db, [ids.mesh!.job], held)
    await cancelQueued(rows.db, [runId], 'superseded by 1a2b3c4d')
    expect(await jobOf(ids.mesh!.job)).toMatchObject({ cancelReason: 'superseded by 1a2b3c4d', runAgain: false })
  })
})

function seen(attemptId: string, one: ReturnType<typeof inQueue>) {
  return { at: new Date(), seen: new Map([[attemptId, one]]), commands: 1 } as never
}
