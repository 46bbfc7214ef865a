import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CompopsError } from '../errors.ts'

export interface DataDirLock {
  release(): Promise<void>
}

/**
 * One process per data directory: a listening Unix socket in it is the lock. It dies with its holder, whatever the way of dying, and
 * is seen from another container that mounts the same directory, where a pid file would name a stranger.
 * Throws CompopsError when another process holds it.
 */
export async function lockDataDir(dataDir: string): Promise<DataDirLock> {
  const directory = await open(dataDir)
  // A socket's path may have 107 bytes at most; through the descriptor it is short whatever the directory is called.
  const base = dataDir.length > 80 && process.platform === 'linux' ? `/proc/self/fd/${directory.fd}` : dataDir
  const path = join(base, 'compops.lock')
  const nonce = `${process.pid} ${randomBytes(12).toString('hex')}`
  const holder = await askHolder(path)
  if (holder !== null) await refuse(directory, dataDir, holder)

  const own = join(base, `compops.lock.${randomBytes(6).toString('hex')}`)
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.end(nonce)
  })
  server.unref()
  await listen(server, own)
  await rename(own, path)
  // Two that found a dead socket at the same moment both come here; the rename of one covers the other's, and this look tells who lost.
  await sleep(150)
  const winner = await askHolder(path)
  if (winner !== nonce) {
    server.close()
    await refuse(directory, dataDir, winner ?? 'unknown')
  }
  return {
    async release() {
      // Unlinked while still listening: nobody can take it for dead and be covered by a late unlink.
      await unlink(path).catch(() => {})
      await new Promise<void>(resolve => server.close(() => resolve()))
      await directory.close()
    },
  }
}

async function refuse(directory: FileHandle, dataDir: string, holder: string): Promise<never> {
  await directory.close()
  const pid = holder.split(' ')[0]
  throw new CompopsError(
    `${dataDir} is in use by another compops (process ${pid}, perhaps in another container). ` +
      'The embedded database is for one process: stop the other one, give this one its own data_dir, or set database_url to a Postgres.',
  )
}

/** What the holder of the socket says of itself; null where nobody listens. */
function askHolder(path: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    let text = ''
    socket.setTimeout(3_000, () => {
      // Somebody accepts but does not speak: frozen, not dead.
      socket.destroy()
      resolve(text || 'unknown')
    })
    socket.on('data', chunk => {
      text += chunk.toString('utf8')
    })
    socket.on('end', () => resolve(text || 'unknown'))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(null)
      else reject(new CompopsError(`cannot look at the lock of the data directory: ${error.message}`, { cause: error }))
    })
  })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
