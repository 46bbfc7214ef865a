/** How the operator's commands reach the service: through its socket, or, where none runs, the store itself. */
import { open } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { type Place, readPlace } from '../config/index.ts'
import { CompopsError, describeError } from '../errors.ts'
import { type PieceOf, pieceHeaders } from '../model/results.ts'
import { shortPath, socketName } from '../socket-path.ts'

export interface Question {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: unknown
}

interface Answer {
  readonly status: number
  readonly text: string
}

/** Asks the running service, else the same questions of the store. Throws CompopsError with what stands in the way. */
export async function askOperator<T>(
  configFile: string,
  env: NodeJS.ProcessEnv | Readonly<Record<string, string | undefined>>,
  question: Question,
): Promise<T> {
  const place = await readPlace(configFile, env)
  const { status, text } = (await askSocket(place, question)) ?? (await askStore(place, question))
  const answer = parse(text)
  if (status !== 200) throw new CompopsError(answer?.error ?? `the service answered ${status}`)
  return answer as T
}

function parse(text: string): { error?: string } | null {
  try {
    return JSON.parse(text) as { error?: string }
  } catch {
    throw new CompopsError('the service gave an answer that cannot be read; is it of another version?')
  }
}

/** The answer of the running service as it comes; null where none runs on this machine. */
export async function readFromService(place: Pick<Place, 'dataDir' | 'file'>, path: string): Promise<Readable | null> {
  const response = await openSocket(place, { method: 'GET', path }, 600_000)
  if (response === null || response.statusCode === 200) return response
  throw new CompopsError(parse(await textOf(response))?.error ?? `the service answered ${response.statusCode}`)
}

export interface PieceAnswer {
  readonly bytes: Buffer
  readonly offset: number
  /** Of the whole file. */
  readonly size: number
  readonly ended: boolean
}

export interface PieceQuery {
  readonly attempt: string
  readonly in: PieceOf
  readonly path: string
  readonly offset: number
  readonly bytes: number
  readonly task?: number | undefined
}

/** A piece of a file, over the running service's connection to the cluster; `problem` where there is none to be had. */
export async function askPiece(
  place: Pick<Place, 'dataDir' | 'file'>,
  query: PieceQuery,
): Promise<PieceAnswer | { readonly problem: string; readonly ended: boolean }> {
  const { attempt, path, offset, bytes } = query
  const asked = new URLSearchParams({ attempt, in: query.in, path, offset: String(offset), bytes: String(bytes) })
  if (query.task !== undefined) asked.set('task', String(query.task))
  const response = await openSocket(place, { method: 'GET', path: `/piece?${asked}` }, 300_000)
  if (response === null)
    throw new CompopsError('no service runs on this data directory: start it, files are read over its connections')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  const header = (name: string) => String(response.headers[name] ?? '')
  if (response.statusCode === 200)
    return {
      bytes: body,
      offset: Number(header(pieceHeaders.offset)),
      size: Number(header(pieceHeaders.size)),
      ended: header(pieceHeaders.ended) === 'yes',
    }
  const said = parse(body.toString('utf8')) as { error?: string; ended?: boolean } | null
  const problem = said?.error ?? `the service answered ${response.statusCode}`
  if (response.statusCode === 404) return { problem, ended: said?.ended === true }
  throw new CompopsError(problem, { transient: response.statusCode === 500 })
}

async function askSocket(place: Place, question: Question): Promise<Answer | null> {
  const response = await openSocket(place, question, 20_000)
  return response === null ? null : { status: response.statusCode ?? 0, text: await textOf(response) }
}

async function textOf(response: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** null where nobody listens. `timeout`: ms of silence. */
async function openSocket(
  place: Pick<Place, 'dataDir' | 'file'>,
  { method, path, body }: Question,
  timeout: number,
): Promise<IncomingMessage | null> {
  const directory = await open(place.dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT')
      throw new CompopsError(
        `${place.dataDir}, the data directory of ${place.file}, does not exist: has the service ever run?`,
      )
    throw new CompopsError(
      `${place.dataDir} cannot be opened: ${error.message}. Ask as the user that the service runs as.`,
    )
  })
  try {
    const socketPath = join(shortPath(place.dataDir, directory), socketName)
    return await new Promise<IncomingMessage | null>((resolve, reject) => {
      const asked = request(
        {
          socketPath,
          method,
          path,
          headers: body === undefined ? {} : { 'content-type': 'application/json' },
          timeout,
        },
        resolve,
      )
      asked.on('timeout', () =>
        asked.destroy(
          new CompopsError(
            'the service accepts the question but does not answer: is its database stuck, or the process frozen?',
          ),
        ),
      )
      asked.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(null)
        else if (error.code === 'EACCES')
          reject(
            new CompopsError(
              `${join(place.dataDir, socketName)} may not be used by this user: ask as the user that the service runs as, or as root.`,
            ),
          )
        else
          reject(
            error instanceof CompopsError
              ? error
              : new CompopsError(`the service could not be asked: ${describeError(error)}`),
          )
      })
      asked.end(body === undefined ? undefined : JSON.stringify(body))
    })
  } finally {
    await directory.close()
  }
}

/** No service on this machine: the embedded database under its lock, a Postgres beside whoever else is at it. */
async function askStore(place: Place, { method, path, body }: Question): Promise<Answer> {
  const databaseUrl = place.databaseUrl()
  // Loaded only now: a question to the running service needs none of it, and is answered sooner.
  const { createLog, createSecrets, openAudit } = await import('../log.ts')
  const { createOperatorApp } = await import('../operator.ts')
  const { isAtWork } = await import('../store/leases.ts')
  const { openStore } = await import('../store/open.ts')
  const { createWake } = await import('../wake.ts')
  const store = await openStore({ databaseUrl, dataDir: place.dataDir })
  const secrets = createSecrets()
  const audit = await openAudit(join(place.dataDir, 'audit', 'audit'), secrets, () => {})
  try {
    const password = databaseUrl === null ? null : URL.parse(databaseUrl)?.password
    if (password != null) secrets.add(decodeURIComponent(password))
    const app = createOperatorApp({
      db: store.db,
      dataDir: place.dataDir,
      timeZone: place.timeZone,
      running: databaseUrl !== null && (await isAtWork(store.db)),
      pollEvery: () => null,
      clusterOf: null,
      audit,
      publicUrl: '',
      secrets,
      clusters: null,
      wake: createWake(),
      log: createLog({ secrets, level: 'silent' }),
    })
    const response = await app.request(path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    return { status: response.status, text: await response.text() }
  } finally {
    await audit.close()
    await store.close()
  }
}
