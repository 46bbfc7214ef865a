import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Simulator, SimulatorOptions } from '../../src/simulator/simulator.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'

/** A simulator with a project and its people, a client for the API, a git that talks to it, and somebody who listens to hooks. */

export interface Answer<T = Record<string, unknown>> {
  status: number
  headers: Headers
  body: T
}

export type Call = <T = Record<string, unknown>>(method: string, path: string, body?: unknown) => Promise<Answer<T>>

export interface Stage extends AsyncDisposable {
  sim: Simulator
  directory: string
  projectId: number
  ids: { alice: number; bot: number; reporter: number; guest: number; stranger: number }
  tokens: { alice: string; bot: string; reporter: string; guest: string; stranger: string }
  /** A client with that token; null sends none. */
  as(token: string | null): Call
  git(...args: string[]): Promise<string>
}

const run = promisify(execFile)

export const GIT_ENV = {
  PATH: process.env.PATH,
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_AUTHOR_NAME: 'Alice',
  GIT_AUTHOR_EMAIL: 'alice@example.org',
  GIT_COMMITTER_NAME: 'Alice',
  GIT_COMMITTER_EMAIL: 'alice@example.org',
  LC_ALL: 'C',
}

export async function setStage(options: Partial<SimulatorOptions> = {}): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), 'simulator-'))
  const settings = { ciDelayMs: 0, ciJobMs: 1, ...options.settings }
  const sim = await startSimulator({ dataDir: join(directory, 'data'), ...options, settings })
  const person = (username: string, bot = false) =>
    sim.createUser({ username, name: username, password: 'secret', bot }).id
  const ids = {
    alice: person('alice'),
    bot: person('project_1_bot_1', true),
    reporter: person('reporter'),
    guest: person('guest'),
    stranger: person('stranger'),
  }
  const project = sim.createProject({ path: 'physics/sub/heat' })
  sim.addMember(project.id, ids.alice, 40)
  sim.addMember(project.id, ids.bot, 30)
  sim.addMember(project.id, ids.reporter, 20)
  sim.addMember(project.id, ids.guest, 10)
  await sim.commit({
    projectId: project.id,
    branch: 'main',
    files: { 'README.md': '# Heat\n' },
    message: 'Begin',
    authorId: ids.alice,
  })
  const token = (id: number) => sim.createToken(id).token
  const tokens = {
    alice: token(ids.alice),
    bot: token(ids.bot),
    reporter: token(ids.reporter),
    guest: token(ids.guest),
    stranger: token(ids.stranger),
  }
  const as =
    (secret: string | null): Call =>
    async <T>(method: string, path: string, body?: unknown) => {
      const response = await fetch(`${sim.url}/api/v4${path}`, {
        method,
        headers: {
          ...(secret === null ? {} : { 'PRIVATE-TOKEN': secret }),
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false
      return { status: response.status, headers: response.headers, body: (isJson ? JSON.parse(text) : text) as T }
    }
  const git = async (...args: string[]) => {
    const { stdout, stderr } = await run('git', args, { cwd: directory, env: GIT_ENV })
    return `${stdout}${stderr}`
  }
  return {
    sim,
    directory,
    projectId: project.id,
    ids,
    tokens,
    as,
    git,
    async [Symbol.asyncDispose]() {
      await sim.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The address git pushes to as somebody. */
export function remote(stage: Stage, username: string, secret = 'secret', path = 'physics/sub/heat'): string {
  return `${stage.sim.url.replace('http://', `http://${username}:${secret}@`)}/${path}.git`
}

/** What git said when it failed. */
export async function failure(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => {
      throw new Error('it should have failed')
    },
    (error: { stderr?: string; message?: string }) => error.stderr ?? error.message ?? '',
  )
}

export interface HookBody {
  object_kind: string
  ref?: string
  before?: string
  after?: string
  object_attributes?: Record<string, unknown>
  [key: string]: unknown
}

export interface Received {
  headers: IncomingHttpHeaders
  raw: string
  body: HookBody
}

export interface Listener extends AsyncDisposable {
  url: string
  received: Received[]
  /** What the next deliveries are answered. */
  answer: { status: number; afterMs?: number }
}

/** A receiver of webhooks on loopback. */
export async function listenToHooks(): Promise<Listener> {
  const received: Received[] = []
  const answer: Listener['answer'] = { status: 200 }
  const server = createServer((request, response) => {
    let raw = ''
    request.setEncoding('utf8')
    request.on('data', chunk => {
      raw += chunk
    })
    request.on('end', () => {
      received.push({ headers: request.headers, raw, body: JSON.parse(raw) as HookBody })
      const reply = () => response.writeHead(answer.status, { 'Content-Type': 'text/plain' }).end('noted')
      if (answer.afterMs === undefined) reply()
      else setTimeout(reply, answer.afterMs).unref()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks/gitlab`,
    received,
    answer,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}
