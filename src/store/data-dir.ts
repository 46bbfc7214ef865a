import { randomBytes } from 'node:crypto'
import {
  access,
  constants,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  rename,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { CompopsError, describeError } from '../errors.ts'

export interface DataDirLock {
  release(): Promise<void>
}

/** Why one process only, and what to do: the words behind "is in use by another compops". */
export const dataDirRules = {
  embedded:
    'The embedded database is for one process: stop the other one, give this one its own data_dir, or set database_url to a Postgres.',
  postgres: 'Replicas share a Postgres, not a directory: give this one its own data_dir.',
} as const

/**
 * One process per data directory: a listening Unix socket in it is the lock. It dies with its holder, whatever the way of dying, and
 * is seen from another container that mounts the same directory, where a pid file would name a stranger.
 *
 * Sockets are numbered, and the highest number holds. Who finds it dead makes the next one by a hard link, which only one can do, already
 * listening; and has won if the highest is then his own. Only a winner removes lower ones, and nobody his own: no number is ever used again.
 *
 * Throws CompopsError when another process holds it.
 */
export async function lockDataDir(dataDir: string, rule: keyof typeof dataDirRules = 'embedded'): Promise<DataDirLock> {
  const directory = await openOwn(dataDir)
  // A socket's path may have 107 bytes at most; through the descriptor it is short whatever the directory is called.
  const base = dataDir.length > 75 && process.platform === 'linux' ? `/proc/self/fd/${directory.fd}` : dataDir
  const own = join(base, `${name}.new-${randomBytes(4).toString('hex')}`)
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.end(String(process.pid))
  })
  server.unref()
  let mine = 0
  try {
    await listen(server, own)
    for (;;) {
      const before = highest(await numbers(dataDir))
      const holder = before === null ? null : await askHolder(join(base, fileOf(before)))
      if (holder !== null) throw inUse(dataDir, holder, rule)
      mine = (before ?? 0) + 1
      if (!(await linked(own, join(base, fileOf(mine))))) continue
      const now = await numbers(dataDir)
      if (highest(now) !== mine) continue
      await unlink(own)
      for (const lower of now) if (lower !== mine) await unlink(join(base, fileOf(lower))).catch(() => {})
      await removeDead(dataDir, base)
      break
    }
  } catch (error) {
    await close(server)
    await directory.close()
    throw error
  }
  return {
    async release() {
      // Its number stays taken, but by an empty file: a directory with a socket in it cannot be copied by every program.
      await writeFile(own, '')
        .then(() => rename(own, join(base, fileOf(mine))))
        .catch(() => {})
      await close(server)
      await directory.close()
    },
  }
}

const name = 'compops.lock'
/** 0 is what a former version made: a socket without a number. */
const fileOf = (number: number): string => (number === 0 ? name : `${name}.${number}`)
const highest = (all: readonly number[]): number | null => (all.length === 0 ? null : Math.max(...all))

async function numbers(dataDir: string): Promise<number[]> {
  const found = (await readdir(dataDir)).map(file => (file === name ? '0' : /^compops\.lock\.(\d+)$/.exec(file)?.[1]))
  return found.filter(one => one !== undefined).map(Number)
}

/** False where another one was faster. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new CompopsError(
      `the lock of the data directory cannot be made; it needs hard links: ${describeError(error)}`,
    )
  }
}

/** Sockets of starters that were killed before they had a number. A living one is about to be told that we are there. */
async function removeDead(dataDir: string, base: string): Promise<void> {
  for (const file of await readdir(dataDir)) {
    if (!file.startsWith(`${name}.new-`)) continue
    const path = join(base, file)
    if ((await askHolder(path).catch(() => 'unknown')) === null) await unlink(path).catch(() => {})
  }
}

function inUse(dataDir: string, holder: string, rule: keyof typeof dataDirRules): CompopsError {
  return new CompopsError(
    `${dataDir} is in use by another compops (process ${holder}, perhaps in another container). ${dataDirRules[rule]}`,
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
      // ENOTSOCK, or a refusal: the file that its holder left when it went.
      if (['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'].includes(error.code ?? '')) resolve(null)
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

function close(server: Server): Promise<void> {
  return new Promise(resolve => server.close(() => resolve()))
}

/** Root would leave files behind that the service, as another user, cannot open again. */
async function openOwn(dataDir: string): Promise<FileHandle> {
  let directory: FileHandle
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    directory = await open(dataDir)
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new CompopsError(
      `${dataDir} cannot be used: ${describeError(cause)}. Run this as the user that it belongs to.`,
      {
        cause,
      },
    )
  }
  const { uid } = await directory.stat()
  if (process.getuid?.() === 0 && uid !== 0) {
    await directory.close()
    throw new CompopsError(
      `${dataDir} belongs to the user with the id ${uid}, and root would leave files there that it cannot open: run this as that user (\`sudo -u '#${uid}' compops …\`).`,
    )
  }
  return directory
}
