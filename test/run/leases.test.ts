import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { cancelJobs } from '../../src/run/cancel.ts'
import { collectResults } from '../../src/run/collect.ts'
import { setUnreachable } from '../../src/run/connection.ts'
import { releaseDependants } from '../../src/run/dependants.ts'
import { pollCluster } from '../../src/run/poll.ts'
import { prepareJobs } from '../../src/run/prepare.ts'
import { submitJobs } from '../../src/run/submit.ts'
import { fencedLease, holdLease, LeaseLost } from '../../src/store/leases.ts'
import { rows as query } from '../../src/store/open.ts'
import { attempts, jobs } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { gate, inQueue, type JobToWrite, openRows } from '../support/rows.ts'

// The owner of a cluster was frozen in the middle of a verb. Meanwhile its lease ended and another process took the cluster over:
// what the former owner still writes changes nothing.
let rows: Awaited<ReturnType<typeof openRows>>

beforeAll(async () => {
  rows = await openRows()
  const packs = join(rows.dataDir, 'packs', '1')
  await mkdir(packs, { recursive: true })
  await writeFile(join(packs, `${'a'.repeat(40)}.tar`), 'x')
}, 60_000 * patience)
afterAll(() => rows.close())
beforeEach(async () => {
  await rows.db.delete(attempts)
  await rows.db.delete(jobs)
})

const plan = () => ({ script: '#!/bin/bash', userScript: '', lines: [] })
const gone = async (list: readonly { id: string }[]) => new Map(list.map(attempt => [attempt.id, 'gone' as const]))

/** Its own clocks still say that it is the owner, as in a process that has just woken up. */
async function owner(): Promise<Context> {
  const fence = (await holdLease(rows.db, 'cluster falcon', 'a', 60))!
  return { ...rows.context, lease: fencedLease('cluster falcon', 'a', fence, () => true) }
}

async function takeOver(): Promise<void> {
  await rows.db.execute(sql`update leases set until = now()`)
  expect(await holdLease(rows.db, 'cluster falcon', 'b', 60)).not.toBeNull()
  await rows.db.execute(sql`update leases set until = now()`)
}

interface Late {
  readonly verb: string
  readonly job: JobToWrite
  readonly act: (context: Context) => Promise<unknown>
}

const submitted = { state: 'queued', nativeId: '2' } as const

describe('a former owner', () => {
  it.each<Late>([
    {
      verb: 'that polls',
      job: { name: 'a', state: 'queued', attempt: submitted },
      act: c => pollCluster(c, 'falcon'),
    },
    {
      verb: 'that submits',
      job: { name: 'a', state: 'submitting', attempt: { state: 'submitting' } },
      act: c => submitJobs(c, 'falcon'),
    },
    {
      verb: 'that cancels',
      job: { name: 'a', state: 'submitting', cancelReason: 'superseded', attempt: { state: 'submitting' } },
      act: c => cancelJobs(c, 'falcon'),
    },
    {
      verb: 'that takes a dependant out',
      job: { name: 'b', state: 'queued', needs: ['a'], attempt: { ...submitted, dependsOn: ['1'] } },
      act: c => releaseDependants(c, 'falcon'),
    },
  ])('$verb writes nothing', async ({ job, act }) => {
    const asked = gate()
    const held = gate()
    const answer = async <T>(value: T): Promise<T> => {
      asked.open()
      await held.opened
      return value
    }
    rows.cluster = {
      plan,
      cancel: async list => answer(await gone(list)),
      submit: () => answer({ kind: 'accepted', nativeId: '7', roundTrips: 1 }),
      observe: list =>
        answer({
          at: new Date(),
          seen: new Map(list.map(one => [one.id, inQueue({ state: 'running' })])),
          commands: 1,
        }),
    }
    const failed = job.needs === undefined ? [] : [{ name: 'a', state: 'failed' } as const]
    const { runId } = await rows.run([...failed, job])
    const before = await rows.states(runId)
    const late = act(await owner())
    const refused = expect(late).rejects.toThrow(LeaseLost)
    await asked.opened
    await takeOver()
    held.open()
    await refused
    expect(await rows.states(runId)).toEqual(before)
  })

  it('that prepares begins no attempt', async () => {
    rows.cluster = {}
    const { runId } = await rows.run([{ name: 'a', state: 'waiting' }])
    const context = await owner()
    await takeOver()
    await expect(prepareJobs(context, 'falcon')).rejects.toThrow(LeaseLost)
    expect(await rows.states(runId)).toEqual({ a: 'waiting / null' })
  })

  it('that collects closes nothing', async () => {
    const { ids } = await rows.run([{ name: 'a', state: 'completed', attempt: { state: 'completed', nativeId: '2' } }])
    await rows.db.update(attempts).set({ final: true }).where(eq(attempts.id, ids.a!.attempt))
    const context = await owner()
    rows.cluster = {
      collect: async () => {
        await takeOver()
        return { outputs: [], metrics: {} } as never
      },
    }
    await expect(collectResults(context, 'falcon')).rejects.toThrow(LeaseLost)
    const found = await rows.db.select().from(attempts).where(eq(attempts.id, ids.a!.attempt))
    expect(found).toMatchObject([{ collected: null, collectProblem: null }])
  })

  it('that knows it does nothing outside of the database any more, and calls no cluster unreachable', async () => {
    rows.cluster = { plan, submit: () => Promise.reject(new Error('nobody may submit it')) }
    await rows.run([{ name: 'a', state: 'submitting', attempt: { state: 'submitting' } }])
    const context = { ...rows.context, lease: fencedLease('cluster falcon', 'a', 1, () => false) }
    await expect(submitJobs(context, 'falcon')).rejects.toThrow(LeaseLost)
    await expect(setUnreachable(context, 'falcon', new Error('the line is dead'))).rejects.toThrow(LeaseLost)
    expect(await query(rows.db, sql`select 1 from connections where unreachable_since is not null`)).toEqual([])
  })

  it('goes on where nobody has taken over, however long it was away', async () => {
    rows.cluster = { plan, submit: async () => ({ kind: 'accepted', nativeId: '7', roundTrips: 1 }) }
    const { runId } = await rows.run([{ name: 'a', state: 'submitting', attempt: { state: 'submitting' } }])
    const context = await owner()
    await rows.db.execute(sql`update leases set until = now() - interval '1 hour'`)
    await submitJobs(context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'queued / queued' })
  })
})
