import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Round, SubmitOutcome } from '../../src/cluster/cluster.ts'
import { CompopsError, UnreadableError } from '../../src/errors.ts'
import { cancelJobs } from '../../src/run/cancel.ts'
import { releaseDependants } from '../../src/run/dependants.ts'
import { finishRuns } from '../../src/run/finish.ts'
import { pollCluster } from '../../src/run/poll.ts'
import { prepareJobs } from '../../src/run/prepare.ts'
import { submitJobs } from '../../src/run/submit.ts'
import { attempts, jobs } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { gate, inQueue, openRows } from '../support/rows.ts'

// The verbs of a run work on the same rows side by side. Whoever closes an attempt has the last word; nothing is overwritten, nothing gets stuck.
let rows: Awaited<ReturnType<typeof openRows>>

beforeAll(async () => {
  rows = await openRows()
  const packs = join(rows.dataDir, 'packs', '1')
  await mkdir(packs, { recursive: true })
  await writeFile(join(packs, `${'a'.repeat(40)}.tar`), 'x')
}, 60_000 * patience)
afterAll(() => rows.close())

const gone = async (list: readonly { id: string }[]) => new Map(list.map(attempt => [attempt.id, 'gone' as const]))
const plan = () => ({ script: '#!/bin/bash', userScript: '', lines: [] })

describe('a round that was under way while', () => {
  it('a dependant was taken out of the queue leaves its job alone, which is then skipped', async () => {
    const asked = gate()
    const held = gate()
    rows.cluster = {
      cancel: gone,
      async observe(list): Promise<Round> {
        asked.open()
        await held.opened
        return {
          at: new Date(),
          seen: new Map(list.map(attempt => [attempt.id, inQueue({ reason: 'DependencyNeverSatisfied' })])),
          commands: 1,
        }
      },
    }
    const { runId } = await rows.run([
      { name: 'a', state: 'failed' },
      { name: 'b', needs: ['a'], state: 'queued', attempt: { state: 'queued', nativeId: '2', dependsOn: ['1'] } },
    ])
    const round = pollCluster(rows.context, 'falcon')
    await asked.opened
    expect(await releaseDependants(rows.context, 'falcon')).toBe(1)
    held.open()
    await round
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'failed / null', b: 'skipped / canceled' })
    expect(await finishRuns(rows.context)).toBe(1)
  })
})

describe('a kill after the scheduler has let go of a dependant', () => {
  it('leaves a job that waits anew and is skipped, not one that somebody cancelled on the cluster', async () => {
    rows.cluster = {
      // The service dies before it writes what came of it.
      cancel: () => Promise.reject(new Error('killed')),
      observe: async list => ({
        at: new Date(),
        seen: new Map(
          list.map(attempt => [attempt.id, inQueue({ state: 'ended', nativeState: 'CANCELLED', verdict: 'canceled' })]),
        ),
        commands: 1,
      }),
    }
    const { runId } = await rows.run([
      { name: 'a', state: 'failed' },
      { name: 'b', needs: ['a'], state: 'queued', attempt: { state: 'queued', nativeId: '2', dependsOn: ['1'] } },
    ])
    await expect(releaseDependants(rows.context, 'falcon')).rejects.toThrow('killed')
    await pollCluster(rows.context, 'falcon')
    await prepareJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'failed / null', b: 'skipped / canceled' })
    expect(await finishRuns(rows.context)).toBe(1)
  })
})

describe('a job that its scheduler gave up, and keeps in its queue', () => {
  const stuck = inQueue({
    state: 'ended',
    nativeState: 'Eqw',
    verdict: 'never started',
    reason: "can't chdir to /scratch",
  })
  it('is fenced and removed before it is called failed; what cannot be removed waits, and holds up nobody', async () => {
    const { runId, ids } = await rows.run([
      { name: 'a', state: 'queued', attempt: { state: 'queued', nativeId: '1' } },
      { name: 'b', state: 'queued', attempt: { state: 'queued', nativeId: '2' } },
    ])
    const asked: unknown[] = []
    let away = true
    rows.cluster = {
      cancel: async (list, options) => {
        asked.push([list.map(attempt => attempt.id), options, await rows.states(runId)])
        if (away) throw new CompopsError('qdel: unable to contact qmaster')
        return new Map()
      },
      observe: async list => ({
        at: new Date(),
        seen: new Map(
          list.map(({ id }) => [id, id === ids.a!.attempt ? stuck : inQueue({ state: 'running', nodes: ['n1'] })]),
        ),
        commands: 1,
      }),
    }
    await pollCluster(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'queued / queued', b: 'running / running' })
    away = false
    await pollCluster(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'failed / failed', b: 'running / running' })
    expect(asked).toEqual([
      [[ids.a!.attempt], { fence: true }, { a: 'queued / queued', b: 'queued / queued' }],
      [[ids.a!.attempt], { fence: true }, { a: 'queued / queued', b: 'running / running' }],
    ])
  })
})

describe('an attempt that may have been handed over before, and can no more be prepared', () => {
  const unpreparable = () => {
    throw new CompopsError('the secret TOKEN stands in the configuration no more')
  }

  it('is refused only once the cluster has said that it never began, and is kept where it has', async () => {
    const asked: string[] = []
    rows.cluster = {
      plan: unpreparable,
      async cancel(list) {
        asked.push(...list.map(attempt => attempt.id))
        return new Map(list.map(attempt => [attempt.id, attempt.id === ids.begun!.attempt ? { begunAs: '7' } : 'gone']))
      },
    }
    const { runId, ids } = await rows.run([
      { name: 'first', state: 'submitting', attempt: { state: 'submitting' } },
      { name: 'again', state: 'submitting', attempt: { state: 'submitting' } },
      { name: 'begun', state: 'submitting', attempt: { state: 'submitting' } },
    ])
    for (const name of ['again', 'begun'])
      await rows.db.update(attempts).set({ attempts: 1 }).where(eq(attempts.id, ids[name]!.attempt))
    await submitJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({
      first: 'failed / failed',
      again: 'failed / failed',
      begun: 'queued / queued',
    })
    expect(asked.sort()).toEqual([ids.again!.attempt, ids.begun!.attempt].sort())
    await rows.db.update(jobs).set({ state: 'completed' }).where(eq(jobs.runId, runId))
    await rows.db.update(attempts).set({ final: true }).where(eq(attempts.runId, runId))
  })
})

describe('a cancellation', () => {
  it('that comes while a submission is under way has the last word over what its fence makes of that', async () => {
    const asked = gate()
    const answer = gate<SubmitOutcome>()
    rows.cluster = {
      plan,
      cancel: gone,
      submit() {
        asked.open()
        return answer.opened
      },
    }
    const { runId, ids } = await rows.run([{ name: 'a', state: 'submitting', attempt: { state: 'submitting' } }])
    const submission = submitJobs(rows.context, 'falcon')
    await asked.opened
    await rows.db.update(jobs).set({ cancelReason: 'superseded by 12345678' }).where(eq(jobs.id, ids.a!.job))
    await cancelJobs(rows.context, 'falcon')
    answer.open({ kind: 'given up' })
    await submission
    expect(await rows.states(runId)).toEqual({ a: 'canceled / canceled' })
  })

  it('that was killed after its fence, of a commit that is wanted again, leaves a canceled attempt and a job that waits anew', async () => {
    rows.cluster = { plan, cancel: gone, submit: async () => ({ kind: 'given up' }) }
    const { runId, ids } = await rows.run([
      { name: 'again', state: 'submitting', attempt: { state: 'submitting' } },
      { name: 'no-more', state: 'submitting', attempt: { state: 'submitting' } },
      { name: 'by-nobody', state: 'submitting', attempt: { state: 'submitting' } },
    ])
    await rows.db.update(jobs).set({ runAgain: true }).where(eq(jobs.id, ids.again!.job))
    // One that is not wanted any more is left to the cancellation, which asks the cluster itself.
    await rows.db.update(jobs).set({ cancelReason: 'superseded by 12345678' }).where(eq(jobs.id, ids['no-more']!.job))
    await submitJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({
      again: 'waiting / canceled',
      'no-more': 'submitting / submitting',
      'by-nobody': 'canceled / canceled',
    })
    await cancelJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toMatchObject({ 'no-more': 'canceled / canceled' })
    await rows.db.update(jobs).set({ state: 'canceled' }).where(eq(jobs.runId, runId))
  })

  it('of what waits leaves a job alone that has begun since the last round', async () => {
    rows.cluster = {
      cancel: () => Promise.reject(new Error('nobody may cancel it')),
      observe: async list => ({
        at: new Date(),
        seen: new Map(list.map(attempt => [attempt.id, inQueue({ state: 'running' })])),
        commands: 1,
      }),
    }
    const { runId, ids } = await rows.run([{ name: 'a', state: 'queued', attempt: { state: 'queued', nativeId: '2' } }])
    await rows.db
      .update(jobs)
      .set({ cancelReason: 'superseded by 12345678', cancelQueuedOnly: true })
      .where(eq(jobs.id, ids.a!.job))
    await cancelJobs(rows.context, 'falcon')
    const row = (await rows.db.select().from(jobs).where(eq(jobs.id, ids.a!.job)))[0]
    expect(row).toMatchObject({ state: 'queued', cancelReason: null })
    await pollCluster(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'running / running' })
    await rows.db.update(jobs).set({ state: 'completed' }).where(eq(jobs.runId, runId))
  })

  it('of what waits, in doubt because the service was killed, takes its id and leaves it alone where it has begun', async () => {
    rows.cluster = {
      cancel: async list => new Map(list.map(attempt => [attempt.id, { begunAs: '7' }])),
      observe: async list => ({
        at: new Date(),
        seen: new Map(list.map(attempt => [attempt.id, inQueue({ nativeId: '7', state: 'running' })])),
        commands: 1,
      }),
    }
    const { runId, ids } = await rows.run([
      {
        name: 'a',
        state: 'submitting',
        cancelReason: 'superseded by 12345678',
        attempt: { state: 'submitting' },
      },
    ])
    await rows.db.update(jobs).set({ cancelQueuedOnly: true }).where(eq(jobs.id, ids.a!.job))
    await cancelJobs(rows.context, 'falcon')
    const row = (await rows.db.select().from(attempts).where(eq(attempts.id, ids.a!.attempt)))[0]
    expect(row).toMatchObject({ nativeId: '7', state: 'queued', final: false })
    await cancelJobs(rows.context, 'falcon')
    expect((await rows.db.select().from(jobs).where(eq(jobs.id, ids.a!.job)))[0]).toMatchObject({ cancelReason: null })
    await pollCluster(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'running / running' })
    await rows.db.update(jobs).set({ state: 'completed' }).where(eq(jobs.runId, runId))
  })

  it('that was sent is not called done before a round has seen the end, and the job waits anew when its commit is wanted again', async () => {
    rows.cluster = {
      cancel: gone,
      observe: async list => ({
        at: new Date(),
        seen: new Map(
          list.map(attempt => [attempt.id, inQueue({ state: 'ended', nativeState: 'CANCELLED', verdict: 'canceled' })]),
        ),
        commands: 1,
      }),
    }
    const { runId, ids } = await rows.run([
      {
        name: 'a',
        state: 'queued',
        cancelReason: 'superseded by 12345678',
        attempt: { state: 'queued', nativeId: '3' },
      },
    ])
    await cancelJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'queued / queued' })
    await rows.db.update(jobs).set({ cancelReason: null, runAgain: true }).where(eq(jobs.id, ids.a!.job))
    await pollCluster(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'waiting / canceled' })
    await rows.db.update(jobs).set({ state: 'canceled' }).where(eq(jobs.runId, runId))
  })
})

describe('a submission', () => {
  it('whose cluster talks nonsense is asked again, never told as a refusal: the job may be there', async () => {
    rows.cluster = {
      plan,
      facts: () => Promise.reject(new UnreadableError('scontrol show config does not say MinJobAge')),
    }
    const { runId } = await rows.run([{ name: 'a', state: 'submitting', attempt: { state: 'submitting' } }])
    await submitJobs(rows.context, 'falcon')
    expect(await rows.states(runId)).toEqual({ a: 'submitting / submitting' })
  })
})
