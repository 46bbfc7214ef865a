import { Hono } from 'hono'
import { LIMITS, remember } from '../limits.ts'
import { Refusal } from '../refusal.ts'
import type { World } from '../world.ts'
import { addHookRoutes } from './hooks.ts'
import { addJobRoutes } from './jobs.ts'
import { addMergeRequestRoutes } from './merge-requests.ts'
import { addNoteRoutes } from './notes.ts'
import { addPipelineRoutes } from './pipelines.ts'
import { addProjectRoutes } from './projects.ts'
import { checkRateLimits, createRateLimits } from './rate-limits.ts'
import { addRepositoryRoutes } from './repository.ts'
import type { RestEnv } from './request.ts'
import { checkScope, readCredentials, readParams } from './request.ts'
import { addStatusRoutes } from './statuses.ts'
import { addUploadRoutes } from './uploads.ts'
import { addUserRoutes } from './users.ts'

/** `/api/v4`: who is asking, what they sent, then the endpoint; every refusal becomes an answer here. */
export function createApi(world: World): Hono<RestEnv> {
  const api = new Hono<RestEnv>()
  const limits = createRateLimits()

  api.use('*', async function recordRequest(c, next) {
    await next()
    const userId = c.get('credentials')?.user.id ?? null
    const { pathname, search } = new URL(c.req.url)
    const path = `${pathname}${search}`
    remember(world.requests, { method: c.req.method, path, status: c.res.status, userId }, LIMITS.requests)
  })

  api.use('*', async function prepare(c, next) {
    c.set('credentials', null)
    c.set('params', Object.create(null))
    const credentials = readCredentials(world, c)
    c.set('credentials', credentials)
    checkRateLimits(world, limits, c, credentials)
    if (credentials) checkScope(c, credentials)
    c.set('params', await readParams(c))
    await next()
  })

  api.onError((error, c) => {
    if (!(error instanceof Refusal)) {
      world.log(`simulator: ${error.stack ?? error.message}`)
      return c.json({ message: '500 Internal Server Error' }, 500)
    }
    for (const [name, value] of Object.entries(error.headers)) c.header(name, value)
    return typeof error.body === 'string' ? c.text(error.body, error.status) : c.json(error.body, error.status)
  })
  api.notFound(c => c.json({ error: '404 Not Found' }, 404))

  addUserRoutes(api, world)
  addProjectRoutes(api, world)
  addHookRoutes(api, world)
  addStatusRoutes(api, world)
  addRepositoryRoutes(api, world)
  addPipelineRoutes(api, world)
  addJobRoutes(api, world)
  addMergeRequestRoutes(api, world)
  addNoteRoutes(api, world)
  addUploadRoutes(api, world)
  return api
}
