import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { is, sql } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import { z } from 'zod'
import { CompopsError, describeError } from '../errors.ts'
import { portionsOf } from '../model/portions.ts'
import { type Db, first, migrationsFolder, rows } from './open.ts'
import * as schema from './schema.ts'

/**
 * All data as text, between engines and versions. Lines end with \n and nothing else:
 *
 *     {"compops":"dump","format":1,"schema":"0001_stay","engine":"15.18","at":"2026-01-31T03:00:00.000Z"}
 *     {"table":"projects","columns":["id","path"]}
 *     {"id":1,"path":"physics/heat"}
 *     {"end":{"projects":1}}
 *
 * Rows are written and read by the database itself, so numbers and times keep every digit. Who holds a claim or a lease is left out: it was another process.
 */
export type Counts = Readonly<Record<string, number>>

export interface DumpHeader {
  /** The last migration that the data has seen. */
  readonly schema: string
  /** The server's version, for people. */
  readonly engine: string
  readonly at: string
}

export interface DumpOptions {
  /** Told of each table when it is done. */
  readonly onTable?: (table: string, rows: number) => void
}

const format = 1
const pageRows = 200
/** A page comes out when it has so many characters of text, or `pageRows` rows; one row is a page at least. */
const pageCharacters = 8 * 1024 * 1024
/** A batch goes in when it has so many characters, or `pageRows` rows. */
const batchCharacters = 1024 * 1024
/** No row is larger: bodies have 64 KiB, a .compops.yml 1 MiB, a log's tail 16 KiB, a small output 4 MiB. */
const longestLine = 256 * 1024 * 1024

const claims: ReadonlySet<string> = new Set(['lease_until', 'lease_holder'])

const tables = Object.values(schema)
  .filter(value => is(value, PgTable))
  .map(table => getTableConfig(table))
  .map(({ name, columns, primaryKeys }) => ({
    name,
    columns: columns.map(column => column.name).filter(column => !claims.has(column)),
    texts: columns.filter(column => column.getSQLType() === 'text').map(column => column.name),
    key: [...columns.filter(column => column.primary), ...primaryKeys.flatMap(key => key.columns)].map(
      column => column.name,
    ),
  }))
const dumped = tables.filter(table => table.name !== 'leases')

const Head = z.object({
  compops: z.literal('dump'),
  format: z.number(),
  schema: z.string(),
  engine: z.string(),
  at: z.string(),
})
const TableLine = z.strictObject({ table: z.string(), columns: z.array(z.string()) })
const EndLine = z.strictObject({ end: z.record(z.string(), z.number()) })

/** What the last line of a dump says; null where it is none: the dump was cut. */
export function endOf(line: string): Counts | null {
  try {
    return EndLine.parse(JSON.parse(line)).end
  } catch {
    return null
  }
}

/** The other end of a pipe may be slow: a session of ours that waits in a transaction is ended otherwise (open.ts). */
const patientSession = sql`set local idle_in_transaction_session_timeout = 0`

/** Writes everything as of one moment, page by page, and ends the stream. Others may go on writing to the database meanwhile. */
export async function dumpTo(db: Db, to: Writable, options: DumpOptions = {}): Promise<Counts> {
  const counts: Record<string, number> = {}
  await db.transaction(
    async tx => {
      await tx.execute(patientSession)
      await pipeline(Readable.from(linesOf(tx as unknown as Db, counts, options)), to)
    },
    { isolationLevel: 'repeatable read', accessMode: 'read only' },
  )
  return counts
}

async function* linesOf(tx: Db, counts: Record<string, number>, options: DumpOptions): AsyncGenerator<string> {
  const version = await first<{ server_version: string }>(tx, sql`show server_version`)
  const head = {
    compops: 'dump',
    format,
    schema: (await migrationNames()).at(-1),
    engine: version?.server_version ?? '?',
    at: new Date().toISOString(),
  }
  yield `${JSON.stringify(head)}\n`
  for (const { name, columns, texts, key } of dumped) {
    yield `${JSON.stringify({ table: name, columns })}\n`
    let count = 0
    await tx.execute(sql`declare dump_rows no scroll cursor for select row_to_json(r)::text as line
      from (select ${names(columns)} from ${sql.identifier(name)} order by ${names(key)}) r`)
    // The same rows of the same moment, told by length first (which the server knows without reading them): 200 outputs of 4 MiB fit into no memory of ours.
    await tx.execute(sql`declare dump_sizes no scroll cursor for
      select ${lengthOf(texts)} as size from ${sql.identifier(name)} order by ${names(key)}`)
    for (;;) {
      const sizes = await rows<{ size: number | string }>(tx, sql.raw(`fetch ${pageRows} from dump_sizes`))
      if (sizes.length === 0) break
      for (const portion of portionsOf(sizes, row => Number(row.size), pageCharacters)) {
        const page = await rows<{ line: string }>(tx, sql.raw(`fetch ${portion.length} from dump_rows`))
        count += page.length
        yield page.map(row => `${row.line}\n`).join('')
      }
    }
    await tx.execute(sql`close dump_rows`)
    await tx.execute(sql`close dump_sizes`)
    counts[name] = count
    options.onTable?.(name, count)
  }
  yield `${JSON.stringify({ end: counts })}\n`
}

export interface Restored {
  readonly header: DumpHeader
  readonly counts: Counts
}

/**
 * Reads a dump into an empty database: all of it or nothing. Columns that an older version did not have take their defaults. Throws CompopsError where the
 * database is not empty, or the dump is cut, of a newer version, or none at all. `also` belongs to the same transaction.
 */
export async function restoreFrom(
  db: Db,
  from: Readable,
  options: DumpOptions & { readonly also?: (tx: Db) => Promise<void> } = {},
): Promise<Restored> {
  // It may fail before anybody reads it; whoever reads it then is told.
  from.on('error', () => {})
  return db.transaction(async transaction => {
    const tx = transaction as unknown as Db
    await tx.execute(patientSession)
    await refuseFull(tx)
    const restored = await readInto(tx, from, options)
    await options.also?.(tx)
    return restored
  })
}

async function refuseFull(tx: Db): Promise<void> {
  // A service that starts on the same database at this moment waits here, and we would see its rows.
  await tx.execute(sql`lock table ${names(tables.map(table => table.name))} in access exclusive mode`)
  for (const { name } of tables) {
    const found = await first(tx, sql`select 1 from ${sql.identifier(name)} limit 1`)
    if (found !== undefined)
      throw new CompopsError(
        `the database is not empty (there are rows in ${name}), and a dump is only restored into an empty one. Give it a new data_dir, or set database_url to a new database.`,
      )
  }
}

async function readInto(tx: Db, from: Readable, options: DumpOptions): Promise<Restored> {
  const counts: Record<string, number> = {}
  let header: DumpHeader | null = null
  let table: z.infer<typeof TableLine> | null = null
  let batch: string[] = []
  let characters = 0
  let ended: Counts | null = null

  const flush = async () => {
    if (table === null || batch.length === 0) return
    const columns = names(table.columns)
    const values = `[${batch.join(',')}]`
    const into = sql.identifier(table.table)
    counts[table.table] = (counts[table.table] ?? 0) + batch.length
    batch = []
    characters = 0
    try {
      await tx.execute(
        sql`insert into ${into} (${columns}) select ${columns} from json_populate_recordset(null::${into}, ${values}::json)`,
      )
    } catch (cause) {
      throw new CompopsError(`rows of ${table.table} cannot be restored: ${describeError(cause)}`, { cause })
    }
  }
  const finishTable = async () => {
    await flush()
    if (table !== null) options.onTable?.(table.table, counts[table.table] ?? 0)
    table = null
  }

  for await (const line of linesIn(from)) {
    if (ended !== null) throw unreadable('there is something behind its last line')
    if (header === null) {
      header = await readHeader(line)
      continue
    }
    const kind = /^\{"(table|end)":["{]/.exec(line)?.[1]
    // A row of ours could begin so only if a table had a column of that name.
    if (kind === undefined) {
      if (table === null) throw unreadable('a row stands outside a table')
      batch.push(line)
      characters += line.length
      if (batch.length >= pageRows || characters >= batchCharacters) await flush()
    } else if (kind === 'table') {
      await finishTable()
      table = knownTable(parsed(TableLine, line))
      counts[table.table] ??= 0
    } else {
      await finishTable()
      ended = parsed(EndLine, line).end
    }
  }
  if (header === null) throw unreadable('it is empty')
  if (ended === null) throw cut()
  for (const name of new Set([...Object.keys(ended), ...Object.keys(counts)])) {
    if (ended[name] !== counts[name])
      throw unreadable(`it says that ${name} has ${ended[name] ?? 'no'} rows and holds ${counts[name] ?? 0}`)
  }
  return { header, counts }
}

async function readHeader(line: string): Promise<DumpHeader> {
  let found: z.infer<typeof Head>
  try {
    found = Head.parse(JSON.parse(line))
  } catch (cause) {
    throw new CompopsError('this is no dump of compops (or it is compressed and its name does not end in .gz)', {
      cause,
    })
  }
  const { schema: name, engine, at } = found
  if (found.format !== format || !(await migrationNames()).includes(name)) throw newer(`schema ${name}`)
  return { schema: name, engine, at }
}

function knownTable(found: z.infer<typeof TableLine>): z.infer<typeof TableLine> {
  const known = dumped.find(table => table.name === found.table)
  if (known === undefined) throw newer(`table ${found.table}`)
  const column = found.columns.find(one => !known.columns.includes(one))
  if (column !== undefined) throw newer(`column ${column} of ${found.table}`)
  return found
}

const newer = (what: string) =>
  new CompopsError(
    `the dump was made by another version, whose ${what} is not known here: restore it with that version`,
  )
const cut = () =>
  new CompopsError('the dump ends in the middle: it was cut, or its making was broken off. Nothing was restored.')
const unreadable = (why: string) => new CompopsError(`the dump cannot be read: ${why}. Nothing was restored.`)

function parsed<T>(shape: z.ZodType<T>, line: string): T {
  try {
    return shape.parse(JSON.parse(line))
  } catch {
    throw unreadable(`${line.slice(0, 80)} is no line of ours`)
  }
}

/** Split at \n alone: node:readline would also split at U+2028, which a commit message may hold. The last line must end too, or the file was cut. */
async function* linesIn(from: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let parts: string[] = []
  let length = 0
  try {
    for await (const chunk of from) {
      const text = typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
      let start = 0
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
        parts.push(text.slice(start, end))
        yield parts.join('')
        parts = []
        length = 0
        start = end + 1
      }
      parts.push(text.slice(start))
      length += text.length - start
      if (length > longestLine) throw unreadable('a line is longer than any row')
    }
  } catch (cause) {
    if (cause instanceof CompopsError) throw cause
    // zlib's words for a compressed file that was cut.
    throw /unexpected end of file/.test(String(cause)) ? cut() : unreadable(describeError(cause))
  }
  if (parts.join('') !== '') throw cut()
}

/** In the order in which they are applied. */
async function migrationNames(): Promise<string[]> {
  const journal = JSON.parse(await readFile(join(migrationsFolder, 'meta', '_journal.json'), 'utf8')) as {
    entries: { tag: string }[]
  }
  return journal.entries.map(entry => entry.tag)
}

/** e.g. `0::bigint + coalesce(octet_length(content), 0)` */
const lengthOf = (texts: readonly string[]) =>
  sql.join([sql`0::bigint`, ...texts.map(text => sql`coalesce(octet_length(${sql.identifier(text)}), 0)`)], sql` + `)

const names = (list: readonly string[]) =>
  sql.join(
    list.map(name => sql.identifier(name)),
    sql`, `,
  )
