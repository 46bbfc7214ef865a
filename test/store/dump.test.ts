import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, gzipSync } from 'node:zlib'
import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/model/id.ts'
import { dumpTo, restoreFrom } from '../../src/store/dump.ts'
import { first, openStore, rows, type Store } from '../../src/store/open.ts'
import { beginRecovery } from '../../src/store/recovery.ts'
import { deliveries, leases, projects, runs } from '../../src/store/schema.ts'
import { emptyDatabase } from '../support/empty-database.ts'
import { patience } from '../support/patience.ts'
import { type Postgres, startPostgres } from '../support/postgres.ts'

let postgres: Postgres
let folder: string
const open: Store[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'compops-dump-'))
  const found = await startPostgres()
  if (found === null) throw new Error('PostgreSQL is not installed: apt-get install postgresql')
  postgres = found
  const template = await openStore({ databaseUrl: await postgres.createDatabase(), dataDir: folder })
  await template.close()
}, 60_000 * patience)
afterEach(() => Promise.all(open.splice(0).map(store => store.close())))
afterAll(async () => {
  await postgres?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function fresh(): Promise<Store> {
  const store = await openStore({ databaseUrl: await postgres.createDatabase(), dataDir: folder })
  open.push(store)
  return store
}

async function embedded(): Promise<Store> {
  const dataDir = await mkdtemp(join(folder, 'data-'))
  await cp(await emptyDatabase(), dataDir, { recursive: true })
  const store = await openStore({ databaseUrl: null, dataDir })
  open.push(store)
  return store
}

async function dumpOf(store: Store): Promise<string> {
  const chunks: string[] = []
  const to = new Writable({
    write(chunk, _, done) {
      chunks.push(String(chunk))
      done()
    },
  })
  await dumpTo(store.db, to)
  return chunks.join('')
}

const restore = (store: Store, text: string | Buffer) => restoreFrom(store.db, Readable.from([Buffer.from(text)]))
const isEmpty = async (store: Store) => (await rows(store.db, sql`select 1 from projects`)).length === 0
const headless = (dump: string) => dump.slice(dump.indexOf('\n'))

const hostile = [
  'line\nfeed\r\nand\u2028paragraph\u2029',
  '{"end":{}}',
  '\n{"table":"runs","columns":[]}\n',
  '\\u0000 \\n \\" "quoted"',
  "$1 ${x} '; drop table runs; --",
  'emoji 🧪 nul-picture \ufffd, combining e\u0301, rtl \u202e',
  '\u0001\u001f\u007f\u0085',
]

async function writeSomething(store: Store): Promise<void> {
  await store.db.insert(projects).values({ id: 9_007_199_254_740_991, path: 'physics/heat', defaultBranch: 'main' })
  for (const [n, text] of hostile.entries()) {
    await store.db.insert(runs).values({
      id: newId(),
      projectId: 7,
      branchId: newId(),
      ref: `refs/heads/${n}`,
      sha: 'a'.repeat(40),
      cause: `api:${text}`,
      causedHow: text,
      commit: { author: text, subject: text },
      problems: [{ path: text, line: 1, column: null, message: text, remedy: null }],
      state: 'failed',
    })
  }
  await store.db.execute(
    sql`update runs set created_at = '2026-01-31 03:04:05.678901+00', lease_until = now(), lease_holder = 'somebody'`,
  )
  await store.db.insert(leases).values({ name: 'heads', holder: 'somebody', fence: 3, until: new Date() })
}

describe('a dump', () => {
  it.each([
    ['embedded', 'Postgres', embedded, fresh],
    ['Postgres', 'embedded', fresh, embedded],
  ] as const)('moves everything from %s to %s, to the last digit and character', async (_a, _b, from, to) => {
    const [old, next] = [await from(), await to()]
    await writeSomething(old)
    const dump = await dumpOf(old)
    const { counts, header } = await restore(next, dump)
    expect(counts).toMatchObject({ projects: 1, runs: hostile.length, deliveries: 0 })
    expect(header.schema).toMatch(/^\d{4}_/)
    expect(headless(await dumpOf(next))).toBe(headless(dump))
    const found = await next.db.select().from(runs).orderBy(runs.ref)
    expect(found.map(run => [run.causedHow, run.commit?.subject])).toEqual(hostile.map(text => [text, text]))
    expect(await first(next.db, sql`select created_at::text as at from runs limit 1`)).toEqual({
      at: expect.stringContaining('05.678901'),
    })
  })

  it('leaves out who held a claim or a lease: it was another process', async () => {
    const [old, next] = [await fresh(), await fresh()]
    await writeSomething(old)
    await restore(next, await dumpOf(old))
    expect(await next.db.select().from(leases)).toEqual([])
    expect(
      await rows(next.db, sql`select 1 from runs where lease_until is not null or lease_holder is not null`),
    ).toEqual([])
  })

  it('is of one moment, whatever is written meanwhile', async () => {
    const [old, next] = [await fresh(), await fresh()]
    await writeSomething(old)
    let text = ''
    const to = new Writable({
      async write(chunk, _, done) {
        if (text === '') await old.db.delete(runs)
        text += String(chunk)
        done()
      },
    })
    await dumpTo(old.db, to)
    expect((await restore(next, text)).counts.runs).toBe(hostile.length)
  })

  it('of ten thousand rows goes through in pages: neither side ever holds it whole', async () => {
    const [old, next] = [await fresh(), await embedded()]
    await old.db.execute(sql`insert into deliveries (id, key, event_header, kind, outcome, body, body_size, body_sha256)
      select gen_random_uuid(), 'k' || n, 'Push Hook', 'push', 'ignored', repeat('x', 500), 500, '' from generate_series(1, 10000) n`)
    let largest = 0
    const watched = async function* (source: AsyncIterable<string>) {
      for await (const chunk of source) {
        largest = Math.max(largest, chunk.length)
        yield chunk
      }
    }
    const [from, to] = pipe()
    await Promise.all([dumpTo(old.db, to), restoreFrom(next.db, Readable.from(watched(from)))])
    expect(await next.db.$count(deliveries)).toBe(10_000)
    expect(largest).toBeLessThan(1024 * 1024)
  })
})

/** A stream that hands on one chunk at a time. */
function pipe(): [AsyncIterable<string>, Writable] {
  const { readable, writable } = new TransformStream<string, string>()
  const writer = writable.getWriter()
  const to = new Writable({
    decodeStrings: false,
    write: (chunk, _, done) => void writer.write(String(chunk)).then(() => done(), done),
    final: done => void writer.close().then(() => done(), done),
  })
  return [readable as unknown as AsyncIterable<string>, to]
}

describe('large rows', () => {
  it('come in pages of a limited size, and all of them come', async () => {
    const old = await embedded()
    for (let n = 0; n < 12; n++)
      await old.db.execute(sql`insert into copies (id, project_id, run_id, job_id, attempt_id, name, kind, size, sha256, blob, content)
        values (${newId()}, 1, ${newId()}, ${newId()}, ${newId()}, 'a', 'text', 1, '', '', repeat('x', ${3 * 1024 ** 2}::int))`)
    const pages: number[] = []
    const to = new Writable({
      write(chunk, _, done) {
        pages.push(String(chunk).length)
        done()
      },
    })
    expect(await dumpTo(old.db, to)).toMatchObject({ copies: 12 })
    const large = pages.filter(page => page > 1024 ** 2)
    // Two and two: a third is past 8 MiB.
    expect(large).toHaveLength(6)
    expect(Math.max(...large)).toBeLessThan(6.1 * 1024 ** 2)
  })
})

describe('a restore', () => {
  it('refuses a database that holds anything, with what to do', async () => {
    const [old, next] = [await fresh(), await fresh()]
    await writeSomething(next)
    await expect(restore(next, await dumpOf(old))).rejects.toThrow(
      /not empty \(there are rows in projects\).*new data_dir, or set database_url to a new database/,
    )
  })

  it('refuses a dump that was cut, wherever, and leaves the database empty', async () => {
    const [old, next] = [await fresh(), await fresh()]
    await writeSomething(old)
    const dump = await dumpOf(old)
    const lines = dump.split('\n')
    const places = [1, lines.length - 3, lines.length - 2].map(n => lines.slice(0, n).join('\n').length)
    for (const place of [...places, ...places.map(one => one + 1), dump.length - 1]) {
      await expect(restore(next, dump.slice(0, place))).rejects.toThrow(/it was cut|cannot be read/)
    }
    const gzip = gzipSync(dump)
    const cut = Readable.from([gzip.subarray(0, gzip.length - 20)])
    const gunzip = createGunzip()
    const feeding = pipeline(cut, gunzip).catch(() => {})
    await expect(restoreFrom(next.db, gunzip)).rejects.toThrow('it was cut')
    await feeding
    expect(await isEmpty(next)).toBe(true)
  })

  it('refuses one from which a line is missing, or that goes on behind its end', async () => {
    const [old, next] = [await fresh(), await fresh()]
    await writeSomething(old)
    const lines = (await dumpOf(old)).split('\n')
    const row = lines.findIndex(line => line.startsWith('{"id":'))
    await expect(restore(next, lines.toSpliced(row, 1).join('\n'))).rejects.toThrow(/says that \w+ has \d+ rows/)
    await expect(restore(next, `${lines.join('\n')}{"id":1}\n`)).rejects.toThrow('behind its last line')
    expect(await isEmpty(next)).toBe(true)
  })

  it.each([
    ['format', (dump: string) => dump.replace('"format":1', '"format":2')],
    ['schema', (dump: string) => dump.replace(/"schema":"\w+"/, '"schema":"9999_future"')],
    ['table', (dump: string) => dump.replace('{"table":"projects"', '{"table":"futures"')],
    ['column', (dump: string) => dump.replace('"columns":["id","path"', '"columns":["id","dream"')],
  ])('refuses a newer version by its %s, and says which version can', async (_, change) => {
    const [old, next] = [await fresh(), await fresh()]
    await writeSomething(old)
    await expect(restore(next, change(await dumpOf(old)))).rejects.toThrow(
      /made by another version, whose (schema|table|column) .* is not known here: restore it with that version/,
    )
    expect(await isEmpty(next)).toBe(true)
  })

  it('takes an older version: what it did not know has its default', async () => {
    const next = await fresh()
    const dump = [
      '{"compops":"dump","format":1,"schema":"0000_path","engine":"15.1","at":"2026-01-01T00:00:00Z"}',
      '{"table":"projects","columns":["id","path","first_seen_at"]}',
      '{"id":7,"path":"physics/heat","first_seen_at":"2026-01-01T00:00:00+00:00"}',
      '{"end":{"projects":1}}\n',
    ].join('\n')
    await restore(next, dump)
    expect(await next.db.select().from(projects)).toMatchObject([{ id: 7, recovering: false, troubledSince: null }])
  })

  it('refuses what is no dump', async () => {
    const next = await fresh()
    for (const text of [
      '',
      '\n',
      'PGDMP\u0001',
      '{"id":1}\n',
      '{"compops":"dump"}\n',
      gzipSync('x'),
      Buffer.from([0xff, 10]),
    ])
      await expect(restore(next, text)).rejects.toThrow(/no dump of compops|it is empty|cannot be read|was cut/)
  })

  it('can mark every project and every connection as recovering in the same transaction', async () => {
    const [old, next] = [await fresh(), await fresh()]
    await writeSomething(old)
    const dump = await dumpOf(old)
    await restoreFrom(next.db, Readable.from([dump]), { also: tx => beginRecovery(tx, ['falcon', 'falcon#phys']) })
    expect(await rows(next.db, sql`select name from connections where recovering order by 1`)).toEqual([
      { name: 'falcon' },
      { name: 'falcon#phys' },
    ])
    expect(await rows(next.db, sql`select path from projects where recovering`)).toEqual([{ path: 'physics/heat' }])
  })
})
