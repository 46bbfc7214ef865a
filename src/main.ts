import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { serve } from '@hono/node-server'
import { createApp } from './app.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Config } from './config/index.ts'
import { type Context, createContext } from './context.ts'
import { CompopsError } from './errors.ts'
import { createLog, createSecrets, type LogOptions, openAudit } from './log.ts'
import { createMetrics } from './metrics.ts'
import { openStore } from './store/open.ts'
import { createWake } from './wake.ts'
import { startWorker } from './worker/work.ts'

export interface Service {
  /** Where it listens, e.g. `http://127.0.0.1:8080`. */
  readonly url: string
  readonly context: Context
  stop(): Promise<void>
}

export interface ServiceOptions {
  readonly clock?: Clock
  readonly logTo?: LogOptions['destination']
  readonly logLevel?: string
}

/** Starts the whole service: store, worker, HTTP. Resolves when it is ready; throws CompopsError with what is wrong and what to do. */
export async function startService(config: Config, options: ServiceOptions = {}): Promise<Service> {
  const secrets = createSecrets()
  const log = createLog({
    secrets,
    ...(options.logLevel === undefined ? {} : { level: options.logLevel }),
    ...(options.logTo === undefined ? {} : { destination: options.logTo }),
  })
  await trustPrivateCa(config)
  const store = await openStore(config)
  const audit = await openAudit(join(config.dataDir, 'audit', 'audit'), secrets)
  const context = await createContext({
    config,
    store,
    clock: options.clock ?? systemClock,
    log,
    audit,
    metrics: createMetrics(),
    secrets,
    wake: createWake(),
  })
  const app = await createApp(context)
  const worker = await startWorker(context)

  const server = await new Promise<ReturnType<typeof serve>>((resolve, reject) => {
    const listening = serve({ fetch: app.fetch, hostname: config.listen.host, port: config.listen.port }, () =>
      resolve(listening),
    )
    listening.once('error', error =>
      reject(
        new CompopsError(`cannot listen on ${config.listen.host}:${config.listen.port}: ${error.message}`, {
          cause: error,
        }),
      ),
    )
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : config.listen.port
  const url = `http://${config.listen.host}:${port}`
  log.info(
    { step: 'serve', url, engine: store.engine, clusters: config.clusters.map(cluster => cluster.name) },
    `listening on ${url}, ${store.engine}`,
  )
  return {
    url,
    context,
    async stop() {
      await new Promise<void>(resolve => {
        server.close(() => resolve())
        // GitLab keeps connections open; what is being answered is answered, idle ones are let go.
        if ('closeIdleConnections' in server) server.closeIdleConnections()
      })
      await worker.stop()
      await context.close()
      log.info({ step: 'serve' }, 'stopped')
    },
  }
}

/** A private CA is trusted beside the usual ones, for every TLS connection of the process. */
async function trustPrivateCa(config: Config): Promise<void> {
  if (config.gitlab.caFile === null) return
  setDefaultCACertificates([...getCACertificates('default'), await readFile(config.gitlab.caFile, 'utf8')])
}
