import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { insertDeliveries } from '../../src/store/deliveries.ts'
import { createWebhookRoute, type NewDelivery } from '../../src/webhook/route.ts'
import { endChild, startChild } from './child.ts'
import { atLeast, type Bench, type Figure, informs, median, round, thousands } from './figure.ts'
import { fireAt, type LoadResult } from './fire.ts'
import { signingToken, token } from './push.ts'
import { noPostgres } from './stores.ts'

const rounds = 5
const promises = { PGlite: 0.3, Postgres: 0.35 } as const
type Insert = (rows: NewDelivery[]) => Promise<readonly ('inserted' | 'duplicate')[]>

/** The route as it is, durable and without a database, over loopback HTTP: 32 connections in a closed loop from a child process. */
export async function benchWebhook(bench: Bench): Promise<Figure[]> {
  const engines = await bench.engines()
  const load = startChild('load.ts')
  const routes = [
    await listen('no database', async rows => rows.map(() => 'inserted' as const)),
    ...(await Promise.all(
      engines.map(({ name, store }) => listen(name, rows => insertDeliveries(store.db, rows), store.engine)),
    )),
  ]
  const results = new Map<string, LoadResult[]>(routes.map(route => [route.name, []]))
  try {
    for (const route of routes) await fire(1, route.port)
    for (let n = 1; n <= rounds; n++) {
      for (const { name, port } of routes) {
        const result = await fire(1, port)
        results.get(name)!.push(result)
        bench.progress(`round ${n}, ${name}: ${thousands(result.perSecond)} req/s, p99 ${round(result.p99)} ms`)
      }
    }
  } finally {
    await endChild(load)
    for (const route of routes) await route.close()
  }
  const [bare, ...durable] = routes
  const of = (name: string) => results.get(name)!
  const p99 = (name: string) => round(median(of(name).map(result => result.p99)))
  const perSecond = (name: string) => thousands(median(of(name).map(result => result.perSecond)))
  return [
    ...durable.map(({ name, engine }) =>
      atLeast(
        `webhook route, durable on ${engine}, to no database`,
        median(of(name).map((result, n) => result.perSecond / of(bare!.name)[n]!.perSecond)),
        promises[name as keyof typeof promises],
        `${perSecond(name)} to ${perSecond(bare!.name)} req/s`,
      ),
    ),
    ...(engines.length === 2 ? [] : [informs('webhook route, durable on Postgres', `skipped: ${noPostgres}`)]),
    informs('webhook route, p99', routes.map(({ name }) => `${p99(name)} ms ${name}`).join(', ')),
  ]

  function fire(seconds: number, port: number): Promise<LoadResult> {
    return fireAt(load, { port, seconds, connections: 32 })
  }
}

/** Log and counters are left out: they cost every one of the routes the same, and would flatter the ratio. */
async function listen(name: string, insert: Insert, engine = name) {
  const secrets = [{ token, signingToken, matches: () => true }]
  const bots = new Set<number>([1])
  const app = createWebhookRoute({
    secretsFor: () => secrets,
    botIds: () => bots,
    evidenceBranch: () => 'compops/evidence',
    projectKnown: () => true,
    insert,
    wake: () => {},
    now: () => new Date(),
    log: () => {},
    count: () => {},
  })
  const server = await new Promise<ReturnType<typeof serve>>(resolve => {
    const listening = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(listening))
  })
  return {
    name,
    engine,
    port: (server.address() as AddressInfo).port,
    close: () => new Promise<void>(resolve => server.close(() => resolve())),
  }
}
