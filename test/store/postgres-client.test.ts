import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore, rows, type Store, transact } from '../../src/store/open.ts'
import { patience } from '../support/patience.ts'
import { type Postgres, startPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'

// A server that ends sessions at any moment: nothing is half written, nothing is thrown past every handler (that fails a test by itself), and
// afterwards everything works again.
let server: Postgres
let store: Store
let admin: postgres.Sql

beforeAll(async () => {
  const found = await startPostgres()
  if (found === null) throw new Error('PostgreSQL is not installed: apt-get install postgresql')
  server = found
  const databaseUrl = await server.createDatabase()
  store = await openStore({ databaseUrl, dataDir: '' })
  admin = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  await admin`create table pairs (pair int, half int)`
}, 60_000 * patience)

afterAll(async () => {
  await admin?.end()
  await store?.close()
})

const endSessions = () =>
  admin`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'compops' and datname = current_database()`

/** Keeps the event loop from turning: what the server says meanwhile is heard afterwards, all at once. */
function freeze(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

const write = (tx: Store['db'], pair: number, half: number) =>
  tx.execute(sql`insert into pairs values (${pair}, ${half})`)

describe('a Postgres that ends sessions', () => {
  it('in the middle of a transaction: it is refused, and its rest goes nowhere', async () => {
    const late = transact(store.db, async tx => {
      await write(tx, 1, 1)
      await endSessions()
      await until('the store to work again', () =>
        store.ping().then(
          () => true,
          () => false,
        ),
      )
      await write(tx, 1, 2)
    })
    await expect(late).rejects.toThrow()
    expect(await rows(store.db, sql`select * from pairs where pair = 1`)).toEqual([])
  })

  it('while the process is frozen: what is under way fails, everything after it works', async () => {
    await transact(store.db, async tx => {
      await tx.execute(sql`set local idle_in_transaction_session_timeout = 50`)
      await write(tx, 2, 1)
      freeze(300)
      await write(tx, 2, 2)
    }).catch(() => {})
    await Promise.all(Array.from({ length: 30 }, () => store.ping()))
    expect(await rows(store.db, sql`select * from pairs where pair = 2`)).toEqual([])
  })

  it('again and again under load: every transaction is whole or not there, and no connection is left dead', async () => {
    let pair = 100
    const known = new Set<number>()
    for (let round = 0; round < 15; round++) {
      const work = Array.from({ length: 12 }, async (_, n) => {
        const mine = pair++
        if (n % 3 === 0) await store.ping()
        await transact(store.db, async tx => {
          await write(tx, mine, 1)
          if (n === 5) freeze(round)
          await write(tx, mine, 2)
        })
        known.add(mine)
      })
      const ended = endSessions()
      await Promise.allSettled(work)
      await ended
    }
    await until('the store to work again', () =>
      store.ping().then(
        () => true,
        () => false,
      ),
    )
    await Promise.all(Array.from({ length: 30 }, () => store.ping()))
    const found = await rows<{ pair: number; n: number | string }>(
      store.db,
      sql`select pair, count(*) as n from pairs where pair >= 100 group by pair`,
    )
    expect(found.filter(row => Number(row.n) !== 2)).toEqual([])
    const written = new Set(found.map(row => row.pair))
    expect([...known].filter(one => !written.has(one))).toEqual([])
  })
})
