import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { setReachable, setTroubled, setUnreachable } from '../../src/run/connection.ts'
import { attempts, connections } from '../../src/store/schema.ts'
import { openRows } from '../support/rows.ts'

let world: Awaited<ReturnType<typeof openRows>>

beforeAll(async () => {
  world = await openRows()
})
afterAll(() => world.close())
beforeEach(() => world.db.delete(connections))

const falcon = async () => (await world.db.select().from(connections).where(eq(connections.name, 'falcon')))[0]!
/** Moves what was written an hour into the past, so that a new "since" would be seen. */
const anHourAgo = () =>
  world.db.execute(
    sql`update connections set troubled_since = troubled_since - interval '1 hour', unreachable_since = unreachable_since - interval '1 hour'`,
  )
const age = (since: Date | null) => (since === null ? null : Math.round((Date.now() - since.getTime()) / 3_600_000))

describe('the trouble of a cluster', () => {
  it('keeps its since-when while its error changes', async () => {
    await setUnreachable(world.context, 'falcon', new Error('connection refused'))
    await anHourAgo()
    await setUnreachable(world.context, 'falcon', new Error('no route to host'))
    const row = await falcon()
    expect(row.lastError).toBe('no route to host')
    expect([age(row.unreachableSince), age(row.troubledSince)]).toEqual([1, 1])
  })

  it('goes on, but of another kind, where it answers again and takes no jobs', async () => {
    await setUnreachable(world.context, 'falcon', new Error('connection refused'))
    await anHourAgo()
    await setTroubled(world.context, 'falcon', 'falcon: no space left')
    const row = await falcon()
    expect(row).toMatchObject({ unreachableSince: null, lastError: 'falcon: no space left' })
    expect(age(row.troubledSince)).toBe(1)
  })

  it('that is about submissions is not over because a round went well, but when a job is taken, or none is to be brought', async () => {
    const { ids } = await world.run([{ name: 'mesh', state: 'submitting', attempt: { state: 'submitting' } }])
    const attempt = ids.mesh!.attempt
    await world.db.update(attempts).set({ lastError: 'no space left' }).where(eq(attempts.id, attempt))
    await setTroubled(world.context, 'falcon', 'falcon: no space left')
    await anHourAgo()
    await setReachable(world.context, 'falcon')
    expect(await falcon()).toMatchObject({ lastError: 'falcon: no space left' })
    expect(age((await falcon()).troubledSince)).toBe(1)
    await setReachable(world.context, 'falcon', { accepts: true })
    expect(await falcon()).toMatchObject({ lastError: null, troubledSince: null, unreachableSince: null })

    await setTroubled(world.context, 'falcon', 'falcon: no space left')
    await world.db.update(attempts).set({ final: true }).where(eq(attempts.id, attempt))
    await setReachable(world.context, 'falcon')
    expect(await falcon()).toMatchObject({ lastError: null, troubledSince: null })
  })
})
