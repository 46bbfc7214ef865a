/**
 * Run as a child process: `bare DIRECTORY`, `store DATA_DIR` or `service CONFIG_FILE`. Says when it is ready, then, when nothing has happened for a
 * while, how large it is; ends when its parent lets go.
 */
import { setTimeout as sleep } from 'node:timers/promises'

const [mode, argument = ''] = process.argv.slice(2)
const close = await start()
process.send?.({ ready: true })
const parted = new Promise(resolve => process.once('disconnect', resolve))
await sleep(1_500)
if (process.connected) process.send?.({ rss: process.memoryUsage.rss() })
await parted
await close()
process.exit()

async function start(): Promise<() => Promise<unknown>> {
  switch (mode) {
    case 'bare': {
      const { PGlite } = await import('@electric-sql/pglite')
      const client = await PGlite.create(argument)
      await client.query('select 1')
      return () => client.close()
    }
    case 'store': {
      const { openStore } = await import('../../src/store/open.ts')
      const store = await openStore({ databaseUrl: null, dataDir: argument })
      await store.ping()
      return () => store.close()
    }
    case 'service': {
      const { loadConfig } = await import('../../src/config/index.ts')
      const { startService } = await import('../../src/main.ts')
      const config = await loadConfig(argument, {
        BENCH_TOKEN: 'glpat-of-the-bench',
        BENCH_SECRET: 'secret-of-the-bench',
      })
      const service = await startService(config, { logTo: { write: () => true } })
      return () => service.stop()
    }
    default:
      throw new Error('usage: start-child.ts bare|store|service PATH')
  }
}
