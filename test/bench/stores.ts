import { join } from 'node:path'
import { openStore, type Store } from '../../src/store/open.ts'
import { startDurablePostgres } from './durable-postgres.ts'
import type { Bench } from './figure.ts'

export interface Engine {
  readonly name: 'PGlite' | 'Postgres'
  readonly store: Store
}

export const noPostgres = 'PostgreSQL is not installed here (Debian: apt-get install postgresql)'

/** Fresh stores, one an engine that is here; `close` ends what was started. */
export async function openEngines(bench: Bench): Promise<{ engines: Engine[]; close(): Promise<void> }> {
  const engines: Engine[] = []
  const postgres = await startDurablePostgres()
  const close = async () => {
    for (const { store } of engines) await store.close()
    await postgres?.stop()
  }
  try {
    const dataDir = join(bench.place, `data-${Math.random().toString(36).slice(2)}`)
    engines.push({ name: 'PGlite', store: await openStore({ databaseUrl: null, dataDir }) })
    if (postgres === null) bench.progress(noPostgres)
    else engines.push({ name: 'Postgres', store: await openStore({ databaseUrl: postgres.url, dataDir }) })
    return { engines, close }
  } catch (error) {
    await close()
    throw error
  }
}
