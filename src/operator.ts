import { createWriteStream } from 'node:fs'
import { open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { Hono } from 'hono'
import type { Log, Secrets } from './log.ts'
import { isId, newId } from './model/id.ts'
import { mostChains } from './model/why.ts'
import { dumpTo } from './store/dump.ts'
import { parkedRows, retryParked } from './store/parked.ts'
import type { Wake } from './wake.ts'
import { type WhyContext, why } from './why/why.ts'

/** What the operator on this machine may ask of the service, by `compops why`, `parked`, `retry` and `dump`. */
export interface OperatorContext extends WhyContext {
  /** Where a dump is written before it is handed over. */
  readonly dataDir: string
  readonly secrets: Secrets
  readonly wake: Wake
  readonly log: Log
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

  app.get('/parked', async () => answer({ rows: await parkedRows(context.db) }))

  app.post('/retry', async c => {
    const body = (await c.req.json().catch(() => null)) as { all?: unknown; ids?: unknown } | null
    const ids = Array.isArray(body?.ids) ? body.ids.filter(isId) : []
    if (body?.all !== true && ids.length === 0) return answer({ error: 'which rows? `all`, or `ids`' }, 400)
    const retried = await retryRows(context, body?.all === true ? 'all' : ids)
    return answer({ retried })
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
  for (const topic of ['deliveries', 'compose', 'send', 'evidence', 'submit', 'collect'] as const)
    context.wake.call(topic)
  return retried
}
