import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import type { ServerType } from '@hono/node-server'
import { sql } from 'drizzle-orm'
import type { Hono } from 'hono'
import { type Clock, systemClock } from './clock.ts'
import type { Config } from './config/index.ts'
import type { Context } from './context.ts'
import { CompopsError, ConfigError, describeError } from './errors.ts'
import { createLog, createSecrets, type LogOptions, openAudit } from './log.ts'
import type { createOperatorApp } from './operator.ts'
import { listenOnSocket, type OperatorSocket } from './operator-socket.ts'
import { lockDataDir } from './store/data-dir.ts'
import { endFormerHolder } from './store/former-holder.ts'
import { endLeases } from './store/leases.ts'
import { openStore, rows, type Store, transact } from './store/open.ts'
import { beginRecovery } from './store/recovery.ts'
import { openStates } from './store/runs.ts'
import { createWake } from './wake.ts'
import type { Worker } from './worker/work.ts'

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
  /** The embedded database cannot go on, and this process with it: end it, so that it is started again. */
  readonly onBroken?: (why: string) => void
  /** The database is older than the world: a backup was restored. */
  readonly recover?: boolean
}

/** Starts the whole service: store, worker, HTTP. Resolves when it is ready; throws CompopsError with what is wrong and what to do. */
export async function startService(config: Config, options: ServiceOptions = {}): Promise<Service> {
  await trustPrivateCa(config)
  const secrets = createSecrets()
  const log = createLog({
    secrets,
    ...(options.logLevel === undefined ? {} : { level: options.logLevel }),
    ...(options.logTo === undefined ? {} : { destination: options.logTo }),
  })
  const opening = openOwnStore(config, why => {
    log.fatal({ step: 'store', err: why }, 'the embedded database cannot go on')
    options.onBroken?.(why)
  })
  opening.catch(() => {})
  // The embedded database is compiled on other threads, so that what is needed besides can be loaded meanwhile.
  const [{ createMetrics }, { createContext }, { createApp }, { createOperatorApp, removeLeftDumps }, { startWorker }] =
    await Promise.all([
      import('./metrics.ts'),
      import('./context.ts'),
      import('./app.ts'),
      import('./operator.ts'),
      import('./worker/work.ts'),
      import('@hono/node-server'),
    ])
  const store = await opening
  const audit = await openAudit(join(config.dataDir, 'audit', 'audit'), secrets, error =>
    log.error({ step: 'audit', err: describeError(error) }, 'the audit log cannot be written'),
  )
  const clock = options.clock ?? systemClock
  const stopping = new AbortController()
  const context = await createContext({
    config,
    store,
    clock,
    log,
    audit,
    metrics: createMetrics(),
    secrets,
    wake: createWake(clock),
    stopping: stopping.signal,
  })
  let worker: Worker | null = null
  let operator: OperatorSocket | null = null
  let server: ServerType | null = null
  try {
    await refuseRemovedClusters(context)
    // A former process of this embedded database is dead, or we would not have its lock: its leases end now.
    if (config.databaseUrl === null) await endLeases(store.db)
    else await endFormerHolder(store.db, config.dataDir, context.holder)
    if (options.recover === true) await transact(store.db, tx => beginRecovery(tx, context.connections()))
    server = await listen(config, await createApp(context))
    await removeLeftDumps(config.dataDir)
    operator = await listenOnSocket(config.dataDir, createOperatorApp(operatorContext(context, () => worker)), log)
    worker = await startWorker(context)
  } catch (error) {
    server?.close()
    await worker?.stop()
    await operator?.close()
    await context.close()
    throw error
  }

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
      stopping.abort()
      await new Promise<void>(resolve => {
        server.close(() => resolve())
        // Whoever keeps asking over a connection that is open is not waited for.
        setTimeout(() => 'closeAllConnections' in server && server.closeAllConnections(), 10_000).unref()
        // GitLab keeps connections open; what is being answered is answered, idle ones are let go.
        if ('closeIdleConnections' in server) server.closeIdleConnections()
      })
      await operator?.close()
      await worker?.stop()
      await context.close()
      log.info({ step: 'serve' }, 'stopped')
    },
  }
}

function operatorContext(context: Context, worker: () => Worker | null): Parameters<typeof createOperatorApp>[0] {
  const { db, config, secrets, wake, log, audit, clusterOf } = context
  return {
    ...{
      db,
      secrets,
      wake,
      log,
      audit,
      clusterOf,
      publicUrl: config.publicUrl,
      dataDir: config.dataDir,
      timeZone: config.timeZone,
      running: true,
      clusters: config.clusters.map(cluster => cluster.name),
      countLoad: async () => worker()?.countLoad(),
    },
    pollEvery(connection) {
      if (!context.connections().includes(connection)) return null
      const { pollInterval, maxPollInterval } = context.clusterConfig(connection)
      return [pollInterval, maxPollInterval]
    },
  }
}

/** The store, and the data directory for us alone: also beside a Postgres it holds what two processes must not write at once (git mirrors, the audit log). */
async function openOwnStore(config: Config, onBroken: (why: string) => void): Promise<Store> {
  if (config.databaseUrl === null) return openStore({ ...config, onBroken })
  const lock = await lockDataDir(config.dataDir, 'postgres')
  try {
    const store = await openStore(config)
    return {
      ...store,
      async close() {
        await store.close()
        await lock.release()
      },
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function listen(config: Config, app: Hono): Promise<ServerType> {
  const { serve } = await import('@hono/node-server')
  const { host, port } = config.listen
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, () => resolve(server))
    server.once('error', error =>
      reject(new CompopsError(`cannot listen on ${host}:${port}: ${error.message}`, { cause: error })),
    )
  })
}

/** A cluster, or an account on it, that has unfinished jobs cannot be taken out of the configuration: nobody would look after them. */
async function refuseRemovedClusters(context: Context): Promise<void> {
  const known = context.connections()
  const used = await rows<{ connection: string; n: number | string }>(
    context.db,
    sql`select connection, count(*) as n from jobs where state in ${openStates} group by 1 order by 1`,
  )
  const gone = used.filter(row => !known.includes(row.connection))
  if (gone.length === 0) return
  throw new ConfigError(
    context.config.file,
    gone.map(
      row =>
        `clusters: ${row.connection} has ${row.n} unfinished jobs, but no project uses it any more. Put it back until they have ended.`,
    ),
  )
}

/** A private CA is trusted beside the usual ones, for every TLS connection of the process. */
export async function trustPrivateCa(config: Config): Promise<void> {
  if (config.gitlab.caFile === null) return
  setDefaultCACertificates([...getCACertificates('default'), await readFile(config.gitlab.caFile, 'utf8')])
}
