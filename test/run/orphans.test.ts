import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { newId } from '../../src/model/id.ts'
import { pollCluster } from '../../src/run/poll.ts'
import { attempts } from '../../src/store/schema.ts'
import { patience } from '../support/patience.ts'
import { openRows } from '../support/rows.ts'

// A cluster has a job under our name that has ended by all that we know.

let rows: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  rows = await openRows()
}, 60_000 * patience)
afterAll(() => rows.close())

/** What the queue shows beside what is watched, and which of these attempts are taken out of it. */
async function round(others: readonly string[]): Promise<{ looked: boolean; removed: string[] }> {
  let looked = false
  const removed: string[] = []
  rows.cluster = {
    observe: async () => {
      looked = true
      return { at: new Date(), seen: new Map(), others: new Set(others), commands: 1 }
    },
    cancel: async (list, options) => {
      expect(options).toEqual({ fence: true })
      removed.push(...list.map(one => one.id))
      return new Map(list.map(one => [one.id, 'gone' as const]))
    },
  }
  await pollCluster(rows.context, 'falcon')
  return { looked, removed }
}

const ended = async (id: string, ago: string) =>
  rows.db
    .update(attempts)
    .set({ endedAt: sql`now() - ${ago}::interval` })
    .where(eq(attempts.id, id))

it('is removed at the first look after a start, also where nothing is under way; then an idle cluster is left alone', async () => {
  const { ids } = await rows.run([
    { name: 'old', state: 'canceled', attempt: { state: 'canceled', nativeId: '1' } },
    { name: 'fresh', state: 'completed', attempt: { state: 'completed', nativeId: '2' } },
  ])
  await ended(ids.old!.attempt, '1 hour')
  await ended(ids.fresh!.attempt, '10 seconds')
  const stranger = newId()
  const seen = [ids.old!.attempt, ids.fresh!.attempt, stranger]
  // Schedulers show an end late, and what we have no row of may be another service's.
  expect(await round(seen)).toEqual({ looked: true, removed: [ids.old!.attempt] })
  expect(await round(seen)).toEqual({ looked: false, removed: [] })
})

it('is removed by any round that sees it', async () => {
  const { ids } = await rows.run([
    { name: 'old', state: 'failed', attempt: { state: 'failed', nativeId: '3' } },
    { name: 'runs', state: 'running', attempt: { state: 'running', nativeId: '4' } },
  ])
  await ended(ids.old!.attempt, '1 hour')
  expect((await round([ids.old!.attempt])).removed).toEqual([ids.old!.attempt])
})
