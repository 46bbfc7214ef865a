import { open, rename, rm } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { loadConfig } from '../config/index.ts'
import { CompopsError, describeError } from '../errors.ts'
import { dumpTo } from '../store/dump.ts'
import { openStore, type Store } from '../store/open.ts'
import { type Io, type RunCommand, readCommandLine } from './command.ts'

/** `compops dump [FILE]`: everything in the database as text, to a file (compressed when its name ends in .gz) or to standard output. */
export const run: RunCommand = async (args, io) => {
  const line = readCommandLine(args, io.env, { files: 1 })
  const config = await loadConfig(line.config, io.env)
  const store = await openStore(config)
  try {
    const file = line.files[0]
    const counts = file === undefined ? await write(store, toStdout(io), io) : await writeFile(store, file, io)
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
    io.stderr.write(`${all} rows of ${store.engine} written to ${file ?? 'standard output'}\n`)
    return 0
  } finally {
    await store.close()
  }
}

const write = (store: Store, to: Writable, io: Io) =>
  dumpTo(store.db, to, { onTable: (table, rows) => io.stderr.write(`  ${table.padEnd(16)}${rows}\n`) })

/** Beside its place first: what stands under the name that was asked for is always whole. */
async function writeFile(store: Store, file: string, io: Io): Promise<Readonly<Record<string, number>>> {
  const beside = `${file}.part`
  try {
    const handle = await open(beside, 'w', 0o600)
    const out = handle.createWriteStream({ flush: true })
    let counts: Readonly<Record<string, number>>
    if (file.endsWith('.gz')) {
      const gzip = createGzip()
      ;[counts] = await Promise.all([write(store, gzip, io), pipeline(gzip, out)])
    } else counts = await write(store, out, io)
    await rename(beside, file)
    return counts
  } catch (cause) {
    await rm(beside, { force: true })
    if (cause instanceof CompopsError) throw cause
    throw new CompopsError(`${file} cannot be written: ${describeError(cause)}`, { cause })
  }
}

/** Waits where the reader of a pipe is slower than we are. */
function toStdout({ stdout }: Io): Writable {
  return new Writable({
    write(chunk: Buffer, _, done) {
      if (stdout.write(chunk.toString('utf8')) === false && stdout instanceof Writable) stdout.once('drain', done)
      else done()
    },
  })
}
