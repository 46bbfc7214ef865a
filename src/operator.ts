import { createWriteStream } from 'node:fs'
import { open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { Hono } from 'hono'
import type { Cluster } from './cluster/cluster.ts'
import type { Audit, Log, Secrets } from './log.ts'
import { isId, newId } from './model/id.ts'
import { oneLineOf } from './model/one-line.ts'
import { mostChains } from './model/why.ts'
import { answerPiece, pieceAsked } from './results/answer.ts'
import { findResults } from './results/find.ts'
import { keepRun } from './results/keep.ts'
import { resultsOf } from './results/manifest.ts'
import { readPiece } from './results/piece.ts'
import { holdCluster, resumeCluster } from './run/hold-cluster.ts'
import { dumpTo } from './store/dump.ts'
import type { setHold } from './store/holds.ts'
import { loadOfLastDay } from './store/load.ts'
import { parkedRows, retryParked } from './store/parked.ts'
import type { Wake } from './wake.ts'
import { type WhyContext, why } from './why/why.ts'

/** What the operator on this machine may ask of the service, by `compops why`, `logs`, `collect`, `keep`, `load`, `parked`, `retry` and `dump`. */
export interface OperatorContext extends WhyContext {
  /** Where a dump is written before it is handed over. */
  readonly dataDir: string
  readonly secrets: Secrets
  readonly wake: Wake
  readonly log: Log
  /** null where no service runs: then its connections are nobody's. */
  readonly clusterOf: ((connection: string) => Cluster) | null
  readonly audit: Pick<Audit, 'record'> | null
  readonly publicUrl: string
  /** Names of the configured clusters; null where the configuration was not read. */
  readonly clusters: readonly string[] | null
  /** Writes down what was counted of our use of clusters; left out where no service runs. */
  readonly countLoad?: () => Promise<void>
}

/** The operator's face: on the Unix socket only, where the file's owner is the only one who gets in. */
export function createOperatorApp(context: OperatorContext): Hono {
  const app = new Hono()
  const answer = (value: unknown, status = 200) =>
    new Response(context.secrets.redact(JSON.stringify(value)), {
      status,
      headers: { 'content-type': 'application/json' },
    })

  app.get('/why', async c => {
    const asked = c.req.query('q')?.trim() ?? ''
    if (asked === '' || asked.length > 1_000) return answer({ error: 'what is asked for?' }, 400)
    const last = Number(c.req.query('last') ?? '1')
    const limit = Number.isInteger(last) ? Math.min(mostChains, Math.max(1, last)) : 1
    return answer(await why(context, asked, limit))
  })

  app.get('/load', async c => {
    const cluster = c.req.query('cluster') ?? null
    const unknown = cluster === null ? null : unknownCluster(cluster, context.clusters)
    if (unknown !== null) return answer({ error: unknown }, 400)
    // What this process has counted since it last wrote.
    await context.countLoad?.()
    return answer({ load: await loadOfLastDay(context.db, cluster) })
  })

  app.get('/parked', async () => answer({ rows: await parkedRows(context.db) }))

  app.post('/retry', async c => {
    const body = (await c.req.json().catch(() => null)) as { all?: unknown; ids?: unknown } | null
    const ids = Array.isArray(body?.ids) ? body.ids.filter(isId) : []
    if (body?.all !== true && ids.length === 0) return answer({ error: 'which rows? `all`, or `ids`' }, 400)
    const retried = await retryRows(context, body?.all === true ? 'all' : ids)
    return answer({ retried })
  })

  app.get('/results', async c => {
    const found = await findResults(context.db, (c.req.query('q') ?? '').slice(0, 1_000))
    if (found === null) return answer({ error: 'no run is known by that; `compops why` says what there is' }, 404)
    const { timeZone, publicUrl } = context
    const at = found.run.endedAt ?? new Date()
    return answer(resultsOf(found.run, found.jobs, { timeZone, publicUrl, at }))
  })

  app.get('/piece', async c => {
    const wanted = pieceAsked(c.req.query())
    if (wanted === null) return answer({ error: 'which piece of which file?' }, 400)
    if (context.clusterOf === null)
      return answer(
        { error: 'no service runs on this data directory: start it, files are read over its connections' },
        503,
      )
    return answerPiece(await readPiece(context.db, context.clusterOf, wanted))
  })

  app.post('/keep', async c => {
    const body = (await c.req.json().catch(() => null)) as { run?: unknown; keep?: unknown; by?: unknown } | null
    if (typeof body?.run !== 'string' || typeof body.keep !== 'boolean' || typeof body.by !== 'string')
      return answer({ error: 'which run?' }, 400)
    const found = await findResults(context.db, body.run.slice(0, 1_000))
    if (found === null) return answer({ error: 'no run is known by that; `compops why` says what there is' }, 404)
    const { run } = found
    const removed = await keepRun(context.db, context.audit, run, body.keep, body.by.slice(0, 100))
    context.log.info(
      { step: 'operator', run: run.id, keep: body.keep, by: body.by },
      `run ${run.id} ${body.keep ? 'is kept' : 'is no longer kept'}`,
    )
    return answer({ run: run.id, branch: run.branch, sha: run.sha, gone: removed.map(one => one.cluster) })
  })

  app.post('/hold', async c => {
    const asked = readHold(await c.req.json().catch(() => null), context.clusters)
    if (typeof asked === 'string') return answer({ error: asked }, 400)
    return answer({ hold: await holdCluster(context, asked) })
  })

  app.post('/resume', async c => {
    const body = (await c.req.json().catch(() => null)) as { cluster?: unknown; by?: unknown } | null
    const cluster = typeof body?.cluster === 'string' ? body.cluster : ''
    const by = typeof body?.by === 'string' ? body.by.slice(0, 100) : 'the operator'
    const unknown = unknownCluster(cluster, context.clusters)
    if (unknown !== null) return answer({ error: unknown }, 400)
    return answer({ lifted: await resumeCluster(context, cluster, by) })
  })

  // Written to a file first: a slow reader would hold the transaction, and with it the embedded database.
  app.get('/dump', async () => {
    const file = join(context.dataDir, `${dumpName}${newId()}`)
    try {
      const gzip = createGzip()
      // Compressed: it is for minutes, but on the disk that the embedded database must not fill.
      await Promise.all([
        dumpTo(context.db, gzip),
        pipeline(gzip, createWriteStream(file, { flags: 'wx', mode: 0o600 })),
      ])
      const handle = await open(file)
      const lines = createGunzip()
      pipeline(handle.createReadStream(), lines).catch(() => {})
      return new Response(Readable.toWeb(lines) as ReadableStream, {
        headers: { 'content-type': 'application/x-ndjson' },
      })
    } finally {
      // Whoever has it open reads on.
      await rm(file, { force: true })
    }
  })

  app.onError(error => {
    context.log.error({ step: 'operator', err: error.message }, 'the operator could not be answered')
    return answer({ error: error.message }, 500)
  })
  return app
}

function unknownCluster(cluster: string, known: OperatorContext['clusters']): string | null {
  if (known === null ? /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(cluster) : known.includes(cluster)) return null
  return `there is no cluster ${JSON.stringify(cluster.slice(0, 80))}${known === null ? '' : `; there are: ${known.join(', ')}`}`
}

/** What was asked for, or why not. */
function readHold(given: unknown, known: OperatorContext['clusters']): Parameters<typeof setHold>[1] | string {
  const body = (given ?? {}) as Readonly<Record<string, unknown>>
  const cluster = typeof body.cluster === 'string' ? body.cluster : ''
  const unknown = unknownCluster(cluster, known)
  if (unknown !== null) return unknown
  if (body.mode !== 'pause' && body.mode !== 'drain') return 'pause or drain?'
  const until = typeof body.until === 'string' ? new Date(body.until) : null
  if (until !== null && Number.isNaN(until.getTime())) return 'until when? That is no time'
  const by = oneLineOf(body.by, 100) || 'the operator'
  return { cluster, mode: body.mode, reason: oneLineOf(body.reason, 300) || null, by, until }
}

const dumpName = 'dump.'

/** What a kill in the middle of a dump left behind. */
export async function removeLeftDumps(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) if (name.startsWith(dumpName)) await rm(join(dataDir, name))
}

/** Gives rows another chance and wakes whoever works on them. Returns how many there were. */
export async function retryRows(
  context: Pick<OperatorContext, 'db' | 'wake' | 'log'>,
  which: 'all' | readonly string[],
): Promise<number> {
  let retried = 0
  if (which === 'all') retried = await retryParked(context.db)
  else for (const id of which) retried += await retryParked(context.db, { id })
  context.log.info({ step: 'operator', which, retried }, `${retried} parked rows get another chance`)
  for (const topic of ['deliveries', 'comments', 'compose', 'send', 'evidence', 'submit', 'collect'] as const)
    context.wake.call(topic)
  return retried
}
