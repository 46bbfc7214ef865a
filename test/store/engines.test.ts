import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CompopsError } from '../../src/errors.ts'
import { newId } from '../../src/model/id.ts'
import { claimDeliveries, closeDelivery, type DeliveryToStore, insertDeliveries } from '../../src/store/deliveries.ts'
import { endLeases, holdLease, releaseLeases } from '../../src/store/leases.ts'
import { openStore, rows, type Store } from '../../src/store/open.ts'
import { pgliteMajor } from '../../src/store/pglite-directory.ts'
import { saveProject } from '../../src/store/projects.ts'
import { deliveries } from '../../src/store/schema.ts'
import { putBack } from '../../src/store/work.ts'
import { patience } from '../support/patience.ts'
import { type Postgres, startPostgres } from '../support/postgres.ts'

function delivery(key: string, more: Partial<DeliveryToStore> = {}): DeliveryToStore {
  return {
    id: newId(),
    key,
    receivedAt: new Date(),
    eventHeader: 'Push Hook',
    kind: 'push',
    projectId: 7,
    projectPath: 'physics/heat',
    ref: 'refs/heads/calc/heat',
    sha: null,
    outcome: 'accepted',
    reason: null,
    event: { kind: 'other', projectId: 7, projectPath: 'physics/heat', reason: 'a test' },
    body: null,
    bodySize: 3,
    bodySha256: 'abc',
    ...more,
  }
}

// One set of tests, SQL and migrations for both engines.
describe.each(['embedded PGlite', 'Postgres'] as const)('the store on %s', engine => {
  let dataDir: string
  let postgres: Postgres | null = null
  let store: Store
  let options: { databaseUrl: string | null; dataDir: string }

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'compops-store-'))
    if (engine === 'Postgres') {
      postgres = await startPostgres()
      if (postgres === null) throw new Error('PostgreSQL is not installed: apt-get install postgresql')
    }
    options = { databaseUrl: postgres === null ? null : await postgres.createDatabase(), dataDir }
    store = await openStore(options)
  }, 120_000 * patience)

  afterAll(async () => {
    await store?.close()
    await postgres?.stop()
    await rm(dataDir, { recursive: true, force: true })
  })

  it('stores a delivery once, however often it comes, also within one batch', async () => {
    expect(await insertDeliveries(store.db, [delivery('k1'), delivery('k2'), delivery('k1')])).toEqual([
      'inserted',
      'inserted',
      'duplicate',
    ])
    expect(await insertDeliveries(store.db, [delivery('k2')])).toEqual(['duplicate'])
  })

  it('stores fifty equal deliveries in parallel once', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => insertDeliveries(store.db, [delivery('fifty')])))
    expect(answers.flat().filter(answer => answer === 'inserted')).toHaveLength(1)
  })

  it('stores text with NUL characters, which PostgreSQL does not know', async () => {
    expect(await insertDeliveries(store.db, [delivery('nul', { body: 'a\u0000b', ref: 'refs/heads/$(id)' })])).toEqual([
      'inserted',
    ])
  })

  it('gives a delivery to one claimer, and again when its lease is over', async () => {
    const [first, second] = await Promise.all([
      claimDeliveries(store.db, 'a 1', 100),
      claimDeliveries(store.db, 'a 2', 100),
    ])
    const ids = [...first!, ...second!].map(row => row.id)
    expect(new Set(ids).size).toBe(ids.length)
    const one = ids[0]!
    await store.db.execute(sql`update deliveries set lease_until = now() - interval '1 second' where id = ${one}`)
    expect((await claimDeliveries(store.db, 'b 1', 100)).map(row => row.id)).toEqual([one])
    await closeDelivery(store.db, { id: one, leaseHolder: 'b 1' }, 'done')
    await store.db.execute(sql`update deliveries set lease_until = null`)
    expect((await claimDeliveries(store.db, 'b 1', 100)).map(row => row.id)).not.toContain(one)
  })

  it('gives what a dead process had claimed to another at once, what a living one has claimed to nobody', async () => {
    const id = newId()
    await insertDeliveries(store.db, [delivery('of the dead', { id })])
    const claimedBy = async (claimant: string) =>
      (await claimDeliveries(store.db, claimant, 100)).map(row => row.id).includes(id)
    await holdLease(store.db, 'process dead', 'dead', 60)
    expect(await claimedBy('dead read deliveries 1')).toBe(true)
    expect(await claimedBy('living read deliveries 1')).toBe(false)
    // Another lane of the same process is not its heir, the same lane is: it left it over.
    await store.db.execute(sql`update leases set until = now() - interval '1 second' where name = 'process dead'`)
    expect(await claimedBy('dead read deliveries 2')).toBe(false)
    expect(await claimedBy('dead read deliveries 1')).toBe(true)
    expect(await claimedBy('living read deliveries 1')).toBe(true)

    // What the dead one, if it was only frozen, does with its claim now changes nothing.
    const late = { id, leaseHolder: 'dead read deliveries 1' }
    expect(await putBack(store.db, deliveries, late, new Error('late'))).toBe('taken over')
    await closeDelivery(store.db, late, 'late')
    const found = await rows<{ open: boolean }>(
      store.db,
      sql`select done_at is null and last_error is null as open from deliveries where id = ${id}`,
    )
    expect(found).toEqual([{ open: true }])
    await closeDelivery(store.db, { id, leaseHolder: 'living read deliveries 1' }, 'done')
  })

  it('never claims what was ignored', async () => {
    await insertDeliveries(store.db, [delivery('ignored', { outcome: 'ignored', reason: 'our own note' })])
    expect((await claimDeliveries(store.db, 'b 1', 100)).map(row => row.key)).not.toContain('ignored')
  })

  it('tries an outage for ever and parks a mistake after eight tries', async () => {
    const id = newId()
    await insertDeliveries(store.db, [delivery('fails', { id })])
    await store.db.execute(sql`update deliveries set tries = 50 where id = ${id}`)
    expect(
      await putBack(
        store.db,
        deliveries,
        { id, leaseHolder: null },
        new CompopsError('GitLab does not answer', { transient: true }),
      ),
    ).toBe('later')
    expect(await putBack(store.db, deliveries, { id, leaseHolder: null }, new Error('a bug'))).toBe('parked')
    const found = await rows<{ last_error: string }>(store.db, sql`select last_error from deliveries where id = ${id}`)
    expect(found[0]?.last_error).toBe('a bug')
  })

  it('neither parks a delivery nor lets it wait long because its process was killed again and again', async () => {
    const id = newId()
    await insertDeliveries(store.db, [delivery('interrupted', { id })])
    for (let kills = 0; kills < 20; kills++) {
      expect((await claimDeliveries(store.db, `killed${kills} 1`, 100)).map(row => row.id)).toContain(id)
      await endLeases(store.db)
    }
    await claimDeliveries(store.db, 'lives 1', 100)
    expect(await putBack(store.db, deliveries, { id, leaseHolder: 'lives 1' }, new Error('a hiccup'))).toBe('later')
    const found = await rows<{ wait: number }>(
      store.db,
      sql`select extract(epoch from next_at - now())::float8 as wait from deliveries where id = ${id}`,
    )
    expect(found[0]!.wait).toBeLessThan(5)
  })

  it('lets one holder have a lease, and raises the fence when it changes hands', async () => {
    expect(await holdLease(store.db, 'cluster falcon', 'a', 60)).toBe(1)
    expect(await holdLease(store.db, 'cluster falcon', 'b', 60)).toBeNull()
    expect(await holdLease(store.db, 'cluster falcon', 'a', 60)).toBe(1)
    await releaseLeases(store.db, 'a')
    expect(await holdLease(store.db, 'cluster falcon', 'b', 60)).toBe(2)
  })

  it('keeps a known default branch when a payload leaves it out', async () => {
    await saveProject(store.db, { id: 9, path: 'physics/heat', defaultBranch: 'main' })
    expect(await saveProject(store.db, { id: 9, path: 'physics/renamed', defaultBranch: null })).toMatchObject({
      path: 'physics/renamed',
      defaultBranch: 'main',
    })
  })

  it('opens again with everything that was committed', async () => {
    await store.close()
    store = await openStore(options)
    expect(await insertDeliveries(store.db, [delivery('k1')])).toEqual(['duplicate'])
  })

  it.runIf(engine === 'embedded PGlite')(
    'refuses a second process on the same directory, with what to do',
    async () => {
      await expect(openStore(options)).rejects.toThrow(
        /is in use by another compops \(process \d+.*\).*stop the other one, give this one its own data_dir, or set database_url/,
      )
    },
  )

  it.runIf(engine === 'Postgres')('migrates once when several replicas start at the same moment', async () => {
    const fresh = { ...options, databaseUrl: await postgres!.createDatabase() }
    const opened = await Promise.all([openStore(fresh), openStore(fresh), openStore(fresh)])
    for (const one of opened) await one.close()
  })
})

describe('the first start on the embedded engine', () => {
  it(
    'is not harmed by the child of one that was killed, which goes on writing to what it had begun',
    async () => {
      const dataDir = await mkdtemp(join(tmpdir(), 'compops-first-'))
      const writer = 'while mkdir -p "$1/base" && echo junk >"$1/base/junk"; do sleep 0.02; done'
      const child = execFile('/bin/sh', ['-c', writer, 'child', join(dataDir, `pglite-${pgliteMajor}.new`)])
      const store = await openStore({ databaseUrl: null, dataDir })
      await saveProject(store.db, { id: 1, path: 'physics/heat', defaultBranch: 'main' })
      await store.close()
      child.kill('SIGKILL')
      expect(await readdir(join(dataDir, `pglite-${pgliteMajor}`, 'base'))).not.toContain('junk')
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 })
    },
    60_000 * patience,
  )
})
