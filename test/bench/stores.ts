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
  let opened: ReturnType<typeof open> | undefined
  return {
    get: async (): Promise<readonly Engine[]> => {
      opened ??= open(place, say)
      return (await opened).engines
    },
    async close(): Promise<void> {
      const made = await opened?.catch(() => undefined)
      await made?.close()
    },
  }
}

async function open(place: string, say: (text: string) => void) {
  const engines: Engine[] = []
  const postgres = await startDurablePostgres()
  const close = async () => {
    for (const { store } of engines) await store.close()
    await postgres?.stop()
  }
  try {
    const dataDir = join(place, 'data')
    engines.push({ name: 'PGlite', store: await openStore({ databaseUrl: null, dataDir }) })
    if (postgres === null) say(noPostgres)
    else engines.push({ name: 'Postgres', store: await openStore({ databaseUrl: postgres.url, dataDir }) })
    return { engines, close }
  } catch (error) {
    await close()
    throw error
  }
}
