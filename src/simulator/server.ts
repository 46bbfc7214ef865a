import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { HttpBindings } from '@hono/node-server'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import type { FaultBook, FaultEffect } from './faults.ts'
import { handleGit, readGitRequest } from './git-http.ts'
import { createLfs, isLfsPath } from './lfs.ts'
import { LIMITS, remember } from './limits.ts'
import { addOauthRoutes } from './oauth.ts'
import { createPages } from './pages/pages.ts'
import { pause } from './pipelines.ts'
import { Refusal, unauthorized } from './refusal.ts'
import { createApi } from './rest/api.ts'
import { readCredentials } from './rest/request.ts'
import type { World } from './world.ts'

/** One port for the API, git and the pages, and the faults in front of all of them. */
export function createSimulatorServer(world: World, faults: FaultBook): Server {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.route('/api/v4', createApi(world))
  // doorkeeper's, which is no part of the API.
  app.get('/oauth/token/info', c => {
    try {
      const credentials = readCredentials(world, c)
      if (credentials?.token?.oauth !== true) throw unauthorized()
      const { token, user } = credentials
      return c.json({ resource_owner_id: user.id, scope: token.scopes, scopes: token.scopes, expires_in: 7_200 })
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return c.json({ error: 'invalid_token', error_description: 'The access token is invalid' }, 401)
    }
  })
  // What readers of `id_tokens` need: where the keys are, and the keys.
  app.get('/.well-known/openid-configuration', c =>
    c.json({
      issuer: world.url,
      jwks_uri: `${world.url}/oauth/discovery/keys`,
      id_token_signing_alg_values_supported: ['RS256'],
    }),
  )
  app.get('/oauth/discovery/keys', c => c.json(world.signingKeys.jwks()))
  addOauthRoutes(app, world)
  app.all('/api/*', c => c.json({ error: '404 Not Found' }, 404))
  const lfs = createLfs(world)
  app.use('*', async function splitLfs(c, next) {
    return isLfsPath(c.req.path) ? lfs.fetch(c.req.raw) : next()
  })
  app.route('/', createPages(world))

  const spoiled = new WeakMap<IncomingMessage, FaultEffect>()
  const listener = getRequestListener(async (request, env) => {
    const { incoming, outgoing } = env as HttpBindings
    const response = await app.fetch(request, env)
    const fault = spoiled.get(incoming)
    if (!fault) return response
    if (fault.half) await sendHalf(outgoing as ServerResponse, response)
    resetConnection(incoming)
    return RESPONSE_ALREADY_SENT
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(`http://simulator${request.url ?? '/'}`)
    const method = request.method ?? 'GET'
    const path = `${url.pathname}${url.search}`
    const fault = faults.take(method, path)
    remember(world.arrivals, { at: performance.now(), method, path, spoiled: fault !== null }, LIMITS.requests)
    if (fault && (await spoilBefore(world, fault, request, response))) return
    const spoilsAfter = fault?.resetAfterDoing === true || fault?.half === true
    const asked = readGitRequest(method, url)
    if (asked === null) {
      if (fault && spoilsAfter) spoiled.set(request, fault)
      await listener(request, response)
      return
    }
    const beforeAnswer = () => {
      if (fault?.resetAfterDoing === true) resetConnection(request)
      return fault?.resetAfterDoing === true
    }
    await handleGit(world, asked, request, fault?.half === true ? halved(response, request) : response, {
      beforeAnswer,
    })
  }

  return createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      world.log(`simulator: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
      if (!response.headersSent) response.writeHead(500, { 'Content-Type': 'text/plain' })
      response.end('500 Internal Server Error\n')
    })
  })
}

/** True when the fault was the answer. */
async function spoilBefore(
  world: World,
  fault: FaultEffect,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  if (fault.delayMs !== undefined) await pause(world, fault.delayMs)
  if (fault.hang) return true
  if (fault.reset) {
    resetConnection(request)
    return true
  }
  if (fault.status === undefined) return false
  request.resume()
  const later = fault.retryAfter === undefined ? {} : { 'Retry-After': String(fault.retryAfter) }
  response.writeHead(fault.status, { 'Content-Type': 'text/html', ...later, ...fault.headers })
  response.end(fault.body ?? `${fault.status}\n`)
  return true
}

/** Lets the answer's first bytes through and resets the connection instead of the rest. Git's own answers are written in pieces, or in one. */
function halved(response: ServerResponse, request: IncomingMessage): ServerResponse {
  const send = response.write.bind(response) as (chunk: Buffer, written: () => void) => boolean
  const cut = (chunk: unknown) => {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk ?? ''))
    send(bytes.subarray(0, Math.max(1, Math.floor(bytes.length / 2))), () => resetConnection(request))
  }
  let begun = false
  const once = (chunk: unknown) => {
    if (!begun && chunk !== undefined) cut(chunk)
    else if (!begun) resetConnection(request)
    begun = true
    return true
  }
  response.write = once as typeof response.write
  response.end = function end(chunk?: unknown) {
    once(chunk)
    return response
  } as typeof response.end
  return response
}

function resetConnection(request: IncomingMessage): void {
  request.socket.resetAndDestroy()
}

async function sendHalf(outgoing: ServerResponse, response: Response): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer())
  outgoing.writeHead(response.status, { ...Object.fromEntries(response.headers), 'content-length': body.length })
  await new Promise<void>(resolve => {
    outgoing.write(body.subarray(0, Math.floor(body.length / 2)), () => resolve())
  })
}

export async function listen(server: Server, port: number, host: string): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { port: actual } = server.address() as AddressInfo
  return `http://${host.includes(':') ? `[${host}]` : host}:${actual}`
}
