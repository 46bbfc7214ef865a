import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chown, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { freePort } from './proxy.ts'
import { endWithUs } from './sshd.ts'

const run = promisify(execFile)

export interface Postgres {
  /** The database `postgres` on it. */
  url: string
  /** A fresh database, a copy of `template` when given (a name or url returned before); nobody may be connected to the template. */
  createDatabase(template?: string): Promise<string>
  /** Stops and starts the server on the same port: `fast` ends all sessions in order, `immediate` as a crash does. `meanwhile` happens while it is away. */
  restart(mode?: 'fast' | 'immediate', meanwhile?: () => Promise<unknown>): Promise<void>
  stop(): Promise<void>
}

let shared: Promise<Postgres | null> | undefined

/**
 * PostgreSQL as it comes with the system, one server for all who ask in this process, on a free loopback port, data in a temporary directory
 * without fsync. Null where it is not installed (Debian: apt-get install postgresql).
 */
export function startPostgres(): Promise<Postgres | null> {
  shared ??= start()
  return shared
}

async function start(): Promise<Postgres | null> {
  const bin = await findBinaries()
  if (bin === null) return null
  const owner = await findOwner()
  const dir = await mkdtemp(join(tmpdir(), 'postgres-'))
  await chown(dir, owner.uid, owner.gid)
  const data = join(dir, 'data')
  const options = { ...owner, cwd: dir, env: { ...process.env, LC_ALL: 'C.UTF-8' } }
  await run(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync', '--no-instructions'],
    options,
  )

  let port = 0
  let server: ChildProcess | undefined
  let log = ''
  let databases = 0
  let callOff: (() => void) | undefined

  async function boot(): Promise<void> {
    const settings = [
      'fsync=off',
      'synchronous_commit=off',
      'full_page_writes=off',
      'max_connections=100',
      'shared_buffers=32MB',
    ]
    const args = [
      '-D',
      data,
      '-p',
      String(port),
      '-c',
      'listen_addresses=127.0.0.1',
      '-c',
      `unix_socket_directories=${dir}`,
    ]
    const child = spawn(join(bin as string, 'postgres'), [...args, ...settings.flatMap(setting => ['-c', setting])], {
      ...options,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    server = child
    const from = log.length
    child.stderr.setEncoding('utf8')
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', code => reject(new Error(`postgres ended with ${code}:\n${log.slice(from)}`)))
      child.stderr.on('data', text => {
        log += text
        if (/ready to accept connections/.test(log.slice(from))) resolve()
      })
    })
    callOff = endWithUs(child.pid as number, 'QUIT', dir)
  }

  /** INT: fast shutdown; QUIT: immediate (postgres(1)). */
  async function halt(signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
    const child = server
    server = undefined
    callOff?.()
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise(resolve => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  // Somebody may take the free port before the server has it.
  for (let attempt = 1; ; attempt++) {
    port = await freePort()
    try {
      await boot()
      break
    } catch (error) {
      if (attempt === 5 || !/in use/.test(String(error))) {
        await rm(dir, { recursive: true, force: true })
        throw error
      }
    }
  }
  const urlOf = (name: string) => `postgres://postgres@127.0.0.1:${port}/${name}`
  return {
    url: urlOf('postgres'),
    async createDatabase(template = 'template1') {
      databases++
      const name = `test_${databases}`
      const sql = postgres(urlOf('postgres'), { max: 1, onnotice: () => {} })
      try {
        await sql`create database ${sql(name)} template ${sql(template.slice(template.lastIndexOf('/') + 1))}`
      } finally {
        await sql.end()
      }
      return urlOf(name)
    },
    async restart(mode = 'fast', meanwhile) {
      await halt(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
      try {
        await meanwhile?.()
      } finally {
        await boot()
      }
    },
    async stop() {
      shared = undefined
      await halt('SIGQUIT')
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** The newest of Debian's versions, else what PATH has. */
async function findBinaries(): Promise<string | null> {
  const debian = '/usr/lib/postgresql'
  const versions = await readdir(debian).catch(() => [])
  const newestFirst = versions.sort((a, b) => Number(b) - Number(a)).map(version => join(debian, version, 'bin'))
  const candidates = [...newestFirst, ...(process.env.PATH ?? '').split(delimiter)]
  return candidates.find(dir => existsSync(join(dir, 'initdb')) && existsSync(join(dir, 'postgres'))) ?? null
}

/** The server refuses to run as root: then it is Debian's account `postgres`. */
async function findOwner(): Promise<{ uid: number; gid: number }> {
  const { uid, gid } = userInfo()
  if (uid !== 0) return { uid, gid }
  const id = async (flag: string) => Number((await run('id', [flag, 'postgres'])).stdout)
  return { uid: await id('-u'), gid: await id('-g') }
}
