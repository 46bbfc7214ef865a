import { existsSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { StringDecoder } from 'node:string_decoder'
import { createGzip } from 'node:zlib'
import { type Place, readPlace } from '../config/index.ts'
import { CompopsError, describeError } from '../errors.ts'
import { type Counts, dumpTo, endOf } from '../store/dump.ts'
import { openStore, type StoreOptions } from '../store/open.ts'
import { pgliteMajor } from '../store/pglite-directory.ts'
import { type Io, type RunCommand, readCommandLine } from './command.ts'
import { readFromService } from './operator.ts'

/**
 * `compops dump [FILE]`: everything in the database as text, to a file (compressed when its name ends in .gz) or to standard output. The embedded database of a
 * running service is read by the service.
 */
export const run: RunCommand = async (args, io) => {
  const line = readCommandLine(args, io.env, { files: 1 })
  const place = await readPlace(line.config, io.env)
  const live = place.databaseUrl() === null ? await liveDump(place) : null
  const store = live === null ? await openStore(await existing(place)) : null
  try {
    const tell = (table: string, rows: number) => io.stderr.write(`  ${table.padEnd(16)}${rows}\n`)
    const source: Source = live ?? (to => dumpTo(store!.db, to, { onTable: tell }))
    const file = line.files[0]
    const counts = file === undefined ? await source(toStdout(io)) : await writeFile(source, file)
    if (live !== null) for (const [table, rows] of Object.entries(counts)) tell(table, rows)
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
    io.stderr.write(
      `${all} rows of ${store?.engine ?? 'the running service'} written to ${file ?? 'standard output'}\n`,
    )
    return 0
  } finally {
    await store?.close()
  }
}

/** Writes a whole dump, ends the stream, and says how many rows of each table there were. */
type Source = (to: Writable) => Promise<Counts>

/** A mistyped data_dir must not become an empty backup. */
async function existing({ dataDir, databaseUrl, file }: Place): Promise<StoreOptions> {
  const url = databaseUrl()
  if (url === null && !existsSync(join(dataDir, `pglite-${pgliteMajor}`)))
    throw new CompopsError(
      `${dataDir}, the data directory of ${file}, holds no database of PostgreSQL ${pgliteMajor}: is it the right one?`,
    )
  return { databaseUrl: url, dataDir }
}

async function liveDump(place: Place): Promise<Source | null> {
  const from = await readFromService(place, '/dump')
  if (from === null) return null
  return async to => {
    let tail = ''
    from.on('data', (chunk: Buffer) => {
      tail = (tail + chunk.toString('utf8')).slice(-8_192)
    })
    await pipeline(from, to)
    const counts = endOf(tail.trimEnd().split('\n').at(-1) ?? '')
    if (counts === null) throw new CompopsError('the service ended before the dump was whole: try it again')
    return counts
  }
}

/** Beside its place first: what stands under the name that was asked for is always whole. */
async function writeFile(source: Source, file: string): Promise<Counts> {
  const beside = `${file}.part`
  try {
    const handle = await open(beside, 'w', 0o600)
    const out = handle.createWriteStream({ flush: true })
    let counts: Counts
    if (file.endsWith('.gz')) {
      const gzip = createGzip()
      ;[counts] = await Promise.all([source(gzip), pipeline(gzip, out)])
    } else counts = await source(out)
    await rename(beside, file)
    return counts
  } catch (cause) {
    await rm(beside, { force: true })
    if (cause instanceof CompopsError) throw cause
    throw new CompopsError(`${file} cannot be written: ${describeError(cause)}`, { cause })
  }
}

/** Waits where the reader of a pipe is slower than we are. What comes from the service is cut anywhere, in the middle of a letter too. */
function toStdout({ stdout }: Io): Writable {
  const decoder = new StringDecoder('utf8')
  return new Writable({
    write(chunk: Buffer, _, done) {
      if (stdout.write(decoder.write(chunk)) === false && stdout instanceof Writable) stdout.once('drain', done)
      else done()
    },
  })
}
