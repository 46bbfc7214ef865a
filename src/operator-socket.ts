import { chmod, mkdir, mkdtemp, open, rename, rm, stat, unlink } from 'node:fs/promises'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import { describeError } from './errors.ts'
import type { Log } from './log.ts'
import { shortPath, socketName } from './socket-path.ts'

export interface OperatorSocket {
  close(): Promise<void>
}

/**
 * Serves the operator's app on `data_dir/compops.sock`, for the owner of the file alone. One that answers is left where it is; one that is dead (a killed
 * process left it) or gone is replaced, also later.
 */
export async function listenOnSocket(
  dataDir: string,
  app: Hono,
  log: Log,
  options: { lookEvery?: number } = {},
): Promise<OperatorSocket> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const directory = await open(dataDir)
  const base = shortPath(dataDir, directory)
  const path = join(base, socketName)
  let server: Server | null = null
  let closing = false
  let looking: Promise<void> | null = null

  async function look(): Promise<void> {
    if (await isAnswered(path)) return
    const next = await bind(base, path, app)
    if (closing) next.close()
    // A former one of ours whose file somebody removed is heard by nobody.
    server?.close()
    server = next
  }
  const lookQuietly = () =>
    look().catch(error =>
      log.warn({ step: 'operator', err: describeError(error) }, 'the operator socket could not be opened'),
    )

  await lookQuietly()
  const timer = setInterval(() => {
    looking ??= lookQuietly().finally(() => {
      looking = null
    })
  }, options.lookEvery ?? 15_000)
  timer.unref()
  return {
    async close() {
      closing = true
      clearInterval(timer)
      await looking
      const mine = server
      if (mine !== null) {
        if (await isOurs(mine, path)) await unlink(path).catch(() => {})
        mine.closeAllConnections()
        await new Promise<void>(resolve => mine.close(() => resolve()))
      }
      await directory.close()
    },
  }
}

const inodes = new WeakMap<Server, number>()

/** Made in a directory that only we may enter and renamed into place with its mode: at no time can another user connect. */
async function bind(base: string, path: string, app: Hono): Promise<Server> {
  const folder = await mkdtemp(join(base, '.sock-'))
  try {
    const own = join(folder, 's')
    const server = createAdaptorServer({ fetch: app.fetch }) as Server
    server.unref()
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(own, () => {
        server.off('error', reject)
        resolve()
      })
    })
    await chmod(own, 0o600)
    inodes.set(server, (await stat(own)).ino)
    await rename(own, path)
    return server
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function isOurs(server: Server, path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.ino === inodes.get(server)
}

/** Whether somebody accepts connections there; also one that is frozen and does not speak. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(false)
      else reject(error)
    })
  })
}
