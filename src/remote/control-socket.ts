import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, open, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { describeError } from '../errors.ts'
import { shortPath } from '../socket-path.ts'
import { RemoteError } from './remote.ts'

/**
 * The control sockets of ssh (ssh_config(5), ControlPath) lie in one directory that is ours alone: whoever can use one is signed in as us. ssh is
 * started in that directory and given the bare name, so that no path is too long for a socket (107 bytes, and ssh first makes it under a longer name).
 */
export async function prepareControlDir(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const found = await lstat(dir)
    const uid = process.getuid?.()
    if (!found.isDirectory()) throw new Error('is not a directory')
    if (uid !== undefined && found.uid !== uid) throw new Error(`belongs to another user than ${userInfo().username}`)
    if ((found.mode & 0o077) !== 0) await chmod(dir, 0o700)
  } catch (error) {
    throw new RemoteError('unreachable', `${dir}, for the sessions of ssh: ${describeError(error)}`, {
      transient: false,
      cause: error,
    })
  }
}

/** The same for all who sign in the same way, other for each way. */
export function socketNameOf(way: readonly (string | number | null)[]): string {
  return `${createHash('sha256').update(JSON.stringify(way)).digest('hex').slice(0, 20)}.session`
}

/**
 * A connection to the master behind a control socket, or null where none lives there (what a dead one left behind is removed). It closes when the
 * master ends; the master waits for our first word (PROTOCOL.mux) for ever.
 */
export async function knock(dir: string, name: string): Promise<Socket | null> {
  const directory = await open(dir).catch(() => null)
  if (directory === null) return null
  try {
    const socket = connect(join(shortPath(dir, directory), name))
    const code = await new Promise<string | null>(resolve => {
      socket.once('connect', () => resolve(null))
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'))
    })
    socket.on('error', () => {})
    if (code === null) return socket
    socket.destroy()
    if (code === 'ECONNREFUSED') await rm(join(dir, name), { force: true })
    return null
  } finally {
    await directory.close()
  }
}
