import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { type SQL, sql } from 'drizzle-orm'
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { CompopsError, describeError } from '../errors.ts'
import { lockDataDir } from './data-dir.ts'
import { createPgliteDirectory, pgliteMajor } from './pglite-directory.ts'
import { guardPglite } from './pglite-guard.ts'
import * as schema from './schema.ts'
import { letLoopTurn } from './turns.ts'

/** The database, or a transaction in it. Statements take this and never know which engine is behind. */
export type Db = PgDatabase<PgQueryResultHKT, typeof schema>

export interface Store {
  readonly db: Db
  /** e.g. `postgres 15.18` or `embedded PGlite (PostgreSQL 18.6)` */
  readonly engine: string
  ping(): Promise<void>
  close(): Promise<void>
}

export interface StoreOptions {
  /** null: the embedded database under `dataDir`. */
  readonly databaseUrl: string | null
  readonly dataDir: string
  /** The embedded database cannot go on (a full disk): every further statement is refused, and only a new process mends it. */
  readonly onBroken?: (why: string) => void
}

export const migrationsFolder = fileURLToPath(new URL('../../migrations', import.meta.url))
// Any constant will do, as long as every replica of every version uses the same one.
const migrationLock = 7_266_219

/** Opens the store and brings its schema up to date. Throws CompopsError when another process has the embedded one, or Postgres cannot be reached. */
export async function openStore(options: StoreOptions): Promise<Store> {
  return options.databaseUrl === null ? openPglite(options) : openPostgres(options.databaseUrl)
}

async function openPglite({ dataDir, onBroken }: StoreOptions): Promise<Store> {
  // PGlite lets a second process open the same directory and loses rows without a word; so we guard it.
  const lock = await lockDataDir(dataDir)
  try {
    const directory = join(dataDir, `pglite-${pgliteMajor}`)
    await createPgliteDirectory(dataDir, directory)
    // Seen on Node 24.21: V8 ended the process while it freed compiled WebAssembly ("jit_page_->allocations_.erase(addr) == 1"). What is never freed cannot do that.
    setFlagsFromString('--no-wasm-code-gc')
    const { PGlite } = await import('@electric-sql/pglite')
    const { drizzle } = await import('drizzle-orm/pglite')
    const client = await PGlite.create(directory)
    const guard = guardPglite(client, onBroken ?? (() => {}))
    letLoopTurn(client)
    const db = drizzle(client, { schema })
    if (!(await isMigrated(db as unknown as Db))) {
      const { migrate } = await import('drizzle-orm/pglite/migrator')
      await migrate(db, { migrationsFolder })
    }
    const version = await first<{ server_version: string }>(db as unknown as Db, sql`show server_version`)
    return {
      db: db as unknown as Db,
      engine: `embedded PGlite (PostgreSQL ${version?.server_version.split(' ')[0] ?? '?'})`,
      ping: async () => void (await db.execute(sql`select 1`)),
      async close() {
        // Closing a broken one would ask it for a last checkpoint.
        if (!guard.broken) await client.close()
        await lock.release()
      },
    }
  } catch (cause) {
    await lock.release()
    throw new CompopsError(`the embedded database in ${dataDir} cannot be opened: ${describeError(cause)}`, { cause })
  }
}

/** Whether every migration has been made here already: one question, where the migrator takes 90 ms of a start to find nothing to do. */
async function isMigrated(db: Db): Promise<boolean> {
  const journal = JSON.parse(await readFile(join(migrationsFolder, 'meta', '_journal.json'), 'utf8')) as {
    entries: readonly { when: number }[]
  }
  try {
    const made = await first<{ last: string | null }>(
      db,
      sql`select max(created_at)::text as last from drizzle.__drizzle_migrations`,
    )
    return Number(made?.last ?? 0) >= Math.max(...journal.entries.map(entry => entry.when))
  } catch (error) {
    // No such table, no such schema: an empty database.
    if (sqlState(error) === '42P01' || sqlState(error) === '3F000') return false
    throw error
  }
}

async function openPostgres(url: string): Promise<Store> {
  const { default: postgres } = await import('postgres')
  const { drizzle } = await import('drizzle-orm/postgres-js')
  const { migrate } = await import('drizzle-orm/postgres-js/migrator')
  // Seconds between tries to connect, by default up to 20: whoever asks meanwhile waits, and GitLab waits ten.
  const backoff = (tries: number) => Math.min(3 ** tries / 100, 1)
  // Array types, which we do not use, are asked for by a query of the driver's own at each connection; where the server ends the connection just
  // then nobody hears the rejection, and Node ends the process.
  const quiet = { onnotice: () => {}, connect_timeout: 5, backoff, fetch_types: false }
  const migrator = postgres(url, { ...quiet, max: 1 })
  try {
    await migrator`select pg_advisory_lock(${migrationLock})`
    await migrate(drizzle(migrator, { schema }), { migrationsFolder })
    await migrator`select pg_advisory_unlock(${migrationLock})`
  } catch (cause) {
    throw new CompopsError(`the database at database_url cannot be used: ${describeError(cause)}`, {
      transient: true,
      cause,
    })
  } finally {
    await migrator.end({ timeout: 5 })
  }
  // A replica that is frozen in the middle of a transaction holds row locks that the others wait for: the server ends its session.
  const connection = { application_name: 'compops', idle_in_transaction_session_timeout: 15_000 }
  const { openPostgresClient } = await import('./postgres-client.ts')
  const { client, end } = openPostgresClient(url, { ...quiet, max: 10, connection })
  const db = drizzle(client, { schema })
  const version = await first<{ server_version: string }>(db as unknown as Db, sql`show server_version`)
  return {
    db: db as unknown as Db,
    engine: `postgres ${version?.server_version.split(' ')[0] ?? '?'}`,
    ping: async () => void (await db.execute(sql`select 1`)),
    close: end,
  }
}

/**
 * A transaction, begun again where Postgres ended it because two waited for each other (40P01) or could not be put in an order (40001).
 * Inside, only `tx` may be used: the embedded engine has one connection, which the transaction holds.
 */
export async function transact<T>(db: Db, work: (tx: Db) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction(tx => work(tx as unknown as Db))
    } catch (error) {
      const code = sqlState(error)
      if (attempt >= 5 || (code !== '40P01' && code !== '40001')) throw error
    }
  }
}

/** Whether the database refused a statement or did not answer. */
export function isStoreError(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at.name === 'DrizzleQueryError' || at.name === 'PostgresError') return true
    if ('code' in at && String(at.code).startsWith('CONNECT')) return true
  }
  return false
}

/** Whether it was about the row and not the database: data that cannot be held (class 22), or that breaks a rule (class 23). */
export function isTroubleWithRow(error: unknown): boolean {
  return /^2[23]/.test(sqlState(error) ?? '')
}

function sqlState(error: unknown): string | null {
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if ('code' in at && typeof at.code === 'string') return at.code
  return null
}

/** The rows of a statement written by hand. The two drivers answer in two shapes. */
export async function rows<Row>(db: Db, statement: SQL): Promise<Row[]> {
  const answer = (await db.execute(statement)) as unknown as Row[] | { rows: Row[] }
  return Array.isArray(answer) ? answer : answer.rows
}

export async function first<Row>(db: Db, statement: SQL): Promise<Row | undefined> {
  return (await rows<Row>(db, statement))[0]
}

/** For `ilike`: whatever has this text somewhere, letter for letter. */
export function containing(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`
}
