import { join } from 'node:path'
import { openStore, type Store } from '../../src/store/open.ts'
import { startDurablePostgres } from './durable-postgres.ts'

export interface Engine {
  readonly name: 'PGlite' | 'Postgres'
  readonly store: Store
}

export const noPostgres = 'PostgreSQL is not installed here (Debian: apt-get install postgresql)'

/** The stores of a run, one an engine that is here, made when the first bench asks for them. `close` ends what was started. */
export function keepEngines(place: string, say: (text: string) => void) {
  let postgres: ReturnType<typeof startDurablePostgres> | undefined
  let opened: Promise<Engine[]> | undefined
  const server = async () => {
    postgres ??= startDurablePostgres()
    const started = await postgres
    if (started === null) say(noPostgres)
    return started
  }
  return {
    get: (): Promise<readonly Engine[]> => {
      opened ??= open(place, server)
      return opened
    },
    freshDatabase: async (): Promise<string | null> => (await server())?.createDatabase() ?? null,
    /** Of the PostgreSQL that was started, if it was. */
    versions: async (): Promise<string[]> => {
      const started = await postgres?.catch(() => null)
      return started == null ? [] : [started.version]
    },
    async close(): Promise<void> {
      for (const { store } of (await opened?.catch(() => [])) ?? []) await store.close()
      await (await postgres?.catch(() => null))?.stop()
    },
  }
}

async function open(place: string, server: () => ReturnType<typeof startDurablePostgres>): Promise<Engine[]> {
  const dataDir = join(place, 'data')
  const postgres = await server()
  const engines: Engine[] = [{ name: 'PGlite', store: await openStore({ databaseUrl: null, dataDir }) }]
  if (postgres !== null)
    engines.push({ name: 'Postgres', store: await openStore({ databaseUrl: postgres.url, dataDir }) })
  return engines
}
