import { execFile, spawn } from 'node:child_process'
import { chown, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { startPostgres } from '../support/postgres.ts'
import { freePort } from '../support/proxy.ts'
import { endWithUs } from '../support/sshd.ts'

const run = promisify(execFile)

export interface DurablePostgres {
  readonly url: string
  /** e.g. `PostgreSQL 15.18` */
  readonly version: string
  /** A database of its own. */
  createDatabase(): Promise<string>
  stop(): Promise<void>
}

/**
 * A PostgreSQL with the settings it comes with: each commit waits for the disk. The one of the tests has fsync off, which would flatter every
 * figure about what is stored. Null where PostgreSQL is not installed.
 */
export async function startDurablePostgres(): Promise<DurablePostgres | null> {
  const found = await whereItIs()
  if (found === null) return null
  const dir = await mkdtemp(join(tmpdir(), 'bench-postgres-'))
  await chown(dir, found.uid, found.gid)
  const data = join(dir, 'data')
  const options = { uid: found.uid, gid: found.gid, cwd: dir, env: { ...process.env, LC_ALL: 'C.UTF-8' } }
  await run(join(found.bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8'], options)
  const port = await freePort()
  const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${dir}`]
  const server = spawn(
    join(found.bin, 'postgres'),
    ['-D', data, '-p', String(port), ...settings.flatMap(setting => ['-c', setting])],
    { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const gone = new Promise<void>(resolve => server.once('exit', () => resolve()))
  let log = ''
  server.stderr.setEncoding('utf8')
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.once('exit', code => reject(new Error(`postgres ended with ${code}: ${log.slice(-500)}`)))
    server.stderr.on('data', text => {
      if (log.length < 10_000) log += text
      if (/ready to accept connections/.test(log)) resolve()
    })
  })
  const callOff = endWithUs(server.pid!, 'QUIT', dir)
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const { stdout } = await run(join(found.bin, 'postgres'), ['--version'])
  let databases = 0
  return {
    url,
    version: stdout.trim().replace(/^.*\) /, 'PostgreSQL '),
    async createDatabase() {
      const name = `bench_${++databases}`
      const sql = postgres(url, { max: 1, onnotice: () => {} })
      await sql.unsafe(`create database ${name}`)
      await sql.end()
      return url.replace(/postgres$/, name)
    },
    async stop() {
      callOff()
      // Immediate shutdown (postgres(1)): nobody needs its data.
      server.kill('SIGQUIT')
      await gone
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Asks the tests' server, which knows how to look for it and under whose account it runs. */
async function whereItIs(): Promise<{ bin: string; uid: number; gid: number } | null> {
  const support = await startPostgres()
  if (support === null) return null
  const sql = postgres(support.url, { max: 1, onnotice: () => {} })
  try {
    const [row] = await sql<{ bin: string; data: string }[]>`
      select setting as bin, current_setting('data_directory') as data from pg_config where name = 'BINDIR'`
    if (row === undefined) throw new Error('pg_config does not name BINDIR')
    const { uid, gid } = await stat(row.data)
    return { bin: row.bin, uid, gid }
  } finally {
    await sql.end()
    await support.stop()
  }
}
