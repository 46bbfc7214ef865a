import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Db, openStore, type Store, transact } from '../../src/store/open.ts'
import { patience } from '../support/patience.ts'

// The embedded database answers in microtasks: without a pause between its statements no socket would be read and no timer would fire.
let store: Store
let dataDir = ''

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'compops-turns-'))
  store = await openStore({ databaseUrl: null, dataDir })
}, 60_000 * patience)
afterAll(async () => {
  await store.close()
  await rm(dataDir, { recursive: true, force: true })
})

/** How often the event loop turned while `work` went on. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0
  let over = false
  const count = () => {
    turns++
    if (!over) setImmediate(count)
  }
  // The first comes with the next turn, whatever `work` does.
  setImmediate(() => setImmediate(count))
  await work()
  over = true
  return turns
}

/** Some 10 ms each, on a slow machine more. */
async function statements(db: Db): Promise<void> {
  for (let n = 0; n < 30; n++) await db.execute(sql`select sum(sqrt(n)) from generate_series(1, 50000) as n`)
}

describe('the event loop turns between the statements of the embedded database', () => {
  it('when each is awaited before the next', async () => {
    expect(await turnsDuring(() => statements(store.db))).toBeGreaterThan(3)
  })

  it('when all are asked for at once', async () => {
    expect(await turnsDuring(() => Promise.all([statements(store.db), statements(store.db)]))).toBeGreaterThan(3)
  })

  it('in a transaction', async () => {
    expect(await turnsDuring(() => transact(store.db, statements))).toBeGreaterThan(3)
  })
})
