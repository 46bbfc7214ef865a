import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { loadConfig } from '../config/index.ts'
import { connectionsOf } from '../context.ts'
import { restoreFrom } from '../store/dump.ts'
import { openStore } from '../store/open.ts'
import { beginRecovery } from '../store/recovery.ts'
import { type RunCommand, readCommandLine, UsageError } from './command.ts'

/**
 * `compops restore FILE`: a dump into an empty database, all of it or nothing. Whatever has happened since the dump is not in it, so the next start
 * reads evidence branches and run directories before it starts anything, as with `serve --recover`.
 */
export const run: RunCommand = async (args, io) => {
  const line = readCommandLine(args, io.env, { files: 1 })
  const file = line.files[0]
  if (file === undefined) throw new UsageError('which file? compops restore [--config FILE] FILE[.gz]')
  const config = await loadConfig(line.config, io.env)
  const store = await openStore(config)
  try {
    const { header, counts } = await restoreFrom(store.db, open(file), {
      onTable: (table, rows) => io.stderr.write(`  ${table.padEnd(16)}${rows}\n`),
      also: tx => beginRecovery(tx, connectionsOf(config)),
    })
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
    io.stderr.write(
      `${all} rows of ${header.at} (${header.schema}, PostgreSQL ${header.engine}) restored into ${store.engine}.\n` +
        'The next start first reads from GitLab and the clusters what has happened since; until then nothing is submitted.\n',
    )
    return 0
  } finally {
    await store.close()
  }
}

function open(file: string): Readable {
  const bytes = createReadStream(file)
  if (!file.endsWith('.gz')) return bytes
  const text = createGunzip()
  // pipe() alone would leave a file that cannot be read without an answer.
  bytes.on('error', error => text.destroy(error))
  return bytes.pipe(text)
}
