import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { afterEach, describe, expect, it } from 'vitest'
import type { Readiness } from '../../src/health.ts'
import { rows } from '../../src/store/open.ts'
import { startPostgres } from '../support/postgres.ts'
import { freePort, startProxy, type TcpProxy } from '../support/proxy.ts'
import { startSshd } from '../support/sshd.ts'
import { until } from '../support/until.ts'
import { startWorld, type World, type WorldOptions } from '../support/world.ts'

// What a monitoring asks, and what it is told when something is wrong.
const hello = { '.compops.yml': 'jobs:\n  hello:\n    script: [echo hello]\n' }
let world: World | null = null
const after: (() => Promise<unknown>)[] = []

async function begin(options: WorldOptions = {}): Promise<World> {
  world = await startWorld({ database: 'postgres', ...options })
  return world
}

afterEach(async () => {
  await world?.close()
  world = null
  for (const end of after.splice(0).reverse()) await end()
})

/** A Postgres of its own, and a way to it that can be frozen. */
async function behindProxy(): Promise<{ url: string; direct: string; proxy: TcpProxy }> {
  const server = await startPostgres()
  if (server === null) throw new Error('PostgreSQL is not installed: apt-get install postgresql')
  const direct = await server.createDatabase()
  const url = new URL(direct)
  const proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
  after.push(() => proxy.stop())
  url.host = `${proxy.host}:${proxy.port}`
  return { url: url.href, direct, proxy }
}

const readyz = async (w: World) => {
  const answer = await fetch(`${w.url}/readyz`)
  return { status: answer.status, ...((await answer.json()) as Readiness) }
}
const metrics = async (w: World) => (await fetch(`${w.url}/metrics`)).text()
/** The value of a series as `/metrics` shows it. */
const seriesOf = async (w: World, series: string) =>
  (await metrics(w))
    .split('\n')
    .find(line => line.startsWith(`${series} `))
    ?.slice(series.length + 1) ?? null

const post = (w: World, key: string) =>
  fetch(`${w.url}/webhooks/gitlab`, {
    method: 'POST',
    body: JSON.stringify({
      object_kind: 'feature_flag',
      key,
      project: { id: w.project.id, path_with_namespace: 'physics/heat' },
    }),
    headers: { 'content-type': 'application/json', 'x-gitlab-token': w.secret, 'idempotency-key': key },
  })

describe('/readyz', () => {
  it('says how every peer is, what waits, and who owns what', async () => {
    const w = await begin()
    const sha = await w.push('calc/heat', hello)
    await w.treeEnds(sha, ['success'])
    const well = await until('all to be told', async () => {
      const answer = await readyz(w)
      return answer.waiting.reports.count === 0 && answer.clusters.laptop?.lastRoundAt !== null && answer
    })
    expect(well).toMatchObject({
      status: 200,
      ready: true,
      database: { ok: true, since: null, error: null },
      gitlab: { ok: true, error: null },
      clusters: {
        laptop: { ok: true, since: null, error: null, lastRoundAt: expect.stringMatching(/Z$/), recovering: false },
      },
      projects: { troubled: 0, since: null, recovering: 0 },
      parked: { total: 0 },
      waiting: { deliveries: { count: 0, oldestSeconds: 0 } },
      leases: {
        heads: { own: true },
        evidence: { own: true },
        'cluster laptop': { own: true, holder: w.service.context.holder },
      },
    })
    expect(well.disk.freeBytes).toBeGreaterThan(0)
  })

  it('counts what is parked and what waits, with the age of the oldest', async () => {
    const w = await begin()
    const { db } = w.service.context
    await db.execute(
      sql`insert into deliveries (id, key, event_header, kind, outcome, body_size, body_sha256, received_at, next_at, parked_at)
        select gen_random_uuid(), 'key ' || n, 'Push Hook', 'push', 'accepted', 0, '', now() - interval '1 hour', now() + interval '1 hour', case when n > 2 then now() end from generate_series(1, 3) n`,
    )
    const seen = await until('the rows to be seen', async () => {
      const answer = await readyz(w)
      return answer.parked.total === 1 && answer
    })
    expect(seen).toMatchObject({ ready: true, parked: { deliveries: 1 }, waiting: { deliveries: { count: 2 } } })
    expect(seen.waiting.deliveries.oldestSeconds).toBeGreaterThanOrEqual(3_600)
    expect(await seriesOf(w, 'compops_parked_rows{table="deliveries"}')).toBe('1')
    expect(await seriesOf(w, 'compops_unread_deliveries')).toBe('2')
    expect(Number(await seriesOf(w, 'compops_unread_delivery_age_seconds'))).toBeGreaterThanOrEqual(3_600)
  })

  it('answers in time while the database hangs: not ready, since when; and /metrics tells what it knows', async () => {
    const { url, proxy } = await behindProxy()
    const w = await begin({ databaseUrl: url })
    expect(await seriesOf(w, 'compops_ready')).toBe('1')
    proxy.freeze()
    const first = await until('it to be seen', async () => {
      const answer = await readyz(w)
      return !answer.ready && answer
    })
    expect(first).toMatchObject({
      status: 503,
      database: { ok: false, since: expect.any(String), error: expect.stringMatching(/no answer for \d+ s/) },
    })
    const began = performance.now()
    const [again, text, alive] = await Promise.all([readyz(w), metrics(w), fetch(`${w.url}/healthz`)])
    // Two seconds are promised; a machine under load gets one more, a hanging page would take for ever.
    expect(performance.now() - began).toBeLessThan(3_000)
    expect(again.database.since).toBe(first.database.since)
    expect(alive.status).toBe(200)
    expect(text).toContain('\ncompops_ready 0\n')
    expect(text).toContain('\ncompops_unreachable{peer="database"} 1\n')
    expect(text).toContain('compops_deliveries_total')
    proxy.thaw()
    await until('it to be ready again', async () => (await readyz(w)).ready)
  })

  it('is not ready on a standby, which answers but may not be written to', async () => {
    const { url, direct } = await behindProxy()
    const w = await begin({ databaseUrl: url })
    const admin = postgres(direct, { max: 1, onnotice: () => {} })
    after.push(() => admin.end({ timeout: 5 }))
    const name = new URL(direct).pathname.slice(1)
    const readOnly = async (on: boolean) => {
      await admin.unsafe(`set default_transaction_read_only = off`)
      await admin.unsafe(`alter database "${name}" set default_transaction_read_only = ${on ? 'on' : 'off'}`)
      await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name} and pid <> pg_backend_pid()`
    }
    await readOnly(true)
    const seen = await until('it to be seen', async () => {
      const answer = await readyz(w)
      return answer.database.error?.includes('read-only') === true && answer
    })
    expect(seen).toMatchObject({ status: 503, ready: false })
    expect((await post(w, 'a-delivery-to-a-standby')).status).toBe(503)
    expect(Number(await seriesOf(w, 'compops_delivery_store_failures_total'))).toBeGreaterThan(0)
    await readOnly(false)
    await until('it to be ready again', async () => (await readyz(w)).ready)
    expect((await post(w, 'a-delivery-to-a-standby')).status).toBe(200)
  })

  it('is not ready when deliveries cannot be stored though everything else can, and sees by itself when they can', async () => {
    const w = await begin()
    const { db } = w.service.context
    await db.execute(sql`create function no_room() returns trigger language plpgsql as $$ begin
      raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$`)
    await db.execute(sql`create trigger no_room before insert on deliveries for each row execute function no_room()`)
    expect((await readyz(w)).ready).toBe(true)
    expect((await post(w, 'no-room-for-this-one')).status).toBe(503)
    const seen = await until('it to be seen', async () => {
      const answer = await readyz(w)
      return !answer.ready && answer
    })
    expect(seen.database).toMatchObject({
      error: expect.stringContaining('No space left on device'),
      since: expect.any(String),
    })
    expect((await readyz(w)).database.since).toBe(seen.database.since)
    await db.execute(sql`drop trigger no_room on deliveries`)
    await until('it to be ready again', async () => (await readyz(w)).ready)
    expect(await rows(db, sql`select 1 from deliveries where key like 'probe %'`)).toEqual([])
  })

  it('says since when a cluster does not answer, whatever its error says meanwhile', async () => {
    const sshd = await startSshd()
    after.push(() => sshd.stop())
    const port = await freePort()
    const w = await begin({
      clusters: `  falcon:
    scheduler: slurm
    ssh: { host: 127.0.0.1, port: ${port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${await sshd.knownHostsFor(port)} }
    root: ROOT
    poll_interval: 5s`,
      rule: '    clusters: [falcon]',
    })
    await w.push('calc/heat', hello)
    const seen = await until('the trouble', async () => {
      const answer = await readyz(w)
      return answer.clusters.falcon?.ok === false && answer.clusters.falcon
    })
    expect(seen).toMatchObject({ since: expect.stringMatching(/Z$/), error: expect.stringMatching(/refused/i) })
    await until('the gauge', async () => (await seriesOf(w, 'compops_unreachable{peer="falcon"}')) === '1')
    const tries = async () => Number(await seriesOf(w, 'compops_work_failures_total{verb="look back"}'))
    await until('another try', async () => (await tries()) > 1)
    expect((await readyz(w)).clusters.falcon?.since).toBe(seen.since)
  })
})

describe('/metrics', () => {
  it('counts the path: rounds, commits, submissions', async () => {
    const w = await begin()
    const sha = await w.push('calc/heat', hello)
    await w.treeEnds(sha, ['success'])
    await until('the evidence', () => w.evidenceOf('calc/heat', sha))
    await until(
      'its count',
      async () => Number(await seriesOf(w, 'compops_evidence_commits_total{result="pushed"}')) >= 1,
    )
    expect(
      Number(await seriesOf(w, 'compops_poll_rounds_total{connection="laptop",result="whole",reason=""}')),
    ).toBeGreaterThan(0)
    expect(await seriesOf(w, 'compops_submissions_total{connection="laptop",outcome="accepted"}')).toBe('1')
    expect(Number(await seriesOf(w, 'compops_scheduler_commands_total{connection="laptop"}'))).toBeGreaterThan(0)
    expect(await seriesOf(w, 'compops_lease_held{lease="cluster laptop"}')).toBe('1')
    // A counter does not grow by being looked at.
    const before = await seriesOf(w, 'compops_ssh_connects_total{connection="laptop"}')
    expect(await seriesOf(w, 'compops_ssh_connects_total{connection="laptop"}')).toBe(before)
  })
})
