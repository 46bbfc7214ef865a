import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { usageOf } from '../../src/store/board.ts'
import { openRows } from '../support/rows.ts'

let world: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  world = await openRows()
})
afterAll(() => world?.close())

const hour = 3_600

it('core time by person, project and cluster: what was held within the days, by whom, the most first; who held nothing is not there', async () => {
  const { db } = world
  const attempt = { state: 'completed' as const }
  const first = await world.run([{ name: 'a', state: 'completed', attempt }])
  const second = await world.run([
    { name: 'b', state: 'completed', attempt },
    { name: 'c', state: 'running', attempt: { state: 'running' } },
    { name: 'd', state: 'queued', attempt: { state: 'queued' } },
  ])
  const set = (id: string, began: string, ended: string | null, cpus: number | null) =>
    db.execute(sql`update attempts set started_at = now() - ${began}::interval, ended_at = now() - ${ended}::interval,
      accounting = case when ${cpus}::integer is null then null else jsonb_build_object('cpus', ${cpus}::integer) end where id = ${id}`)
  await db.execute(
    sql`update runs set caused_by = '{"id": 2, "username": "alice", "name": "Alice"}' where id = ${first.runId}`,
  )
  await set(first.ids.a!.attempt, '2 hours', '1 hour', 8)
  // Of what began before the days, only what lies within.
  await set(second.ids.b!.attempt, '30 days', '167 hours', 2)
  await set(second.ids.c!.attempt, '30 minutes', null, null)
  await db.execute(sql`update attempts set connection = 'osprey#phys' where id = ${second.ids.b!.attempt}`)
  const usage = await usageOf(db, new Map([[1, 'physics/heat']]), 7)
  const rounded = (list: readonly { name: string; coreSeconds: number }[]) =>
    list.map(({ name, coreSeconds }) => [name, Math.round((coreSeconds / hour) * 10) / 10])
  expect(rounded(usage.person)).toEqual([
    ['alice', 8],
    ['nobody', 2.5],
  ])
  expect(rounded(usage.project)).toEqual([['physics/heat', 10.5]])
  expect(rounded(usage.cluster)).toEqual([
    ['falcon', 8.5],
    ['osprey', 2],
  ])
  expect(await usageOf(db, new Map(), 7)).toEqual({ person: [], project: [], cluster: [] })
})
