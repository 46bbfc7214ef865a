import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { accessLevel, canReadCode, canSee } from '../access.ts'
import type { Credentials } from '../credentials.ts'
import { checkToken, hasScope } from '../credentials.ts'
import { badParameter, forbidden, notFound, Refusal, unauthorized } from '../refusal.ts'
import type { AccessLevel, SimMergeRequest, SimProject, SimUser } from '../types.ts'
import type { World } from '../world.ts'
import { findMergeRequest, findProject } from '../world.ts'

export interface RestEnv {
  Bindings: HttpBindings
  Variables: { credentials: Credentials | null; params: Params }
}
export type RestContext = Context<RestEnv>

/** Query and body in one, as grape hands them to an endpoint. No prototype: names come from outside. */
export type Params = Record<string, unknown>

/** @throws Refusal 401 for a token that is there and no good. */
export function readCredentials(world: World, c: Context): Credentials | null {
  const bearer = /^Bearer\s+(\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
  const own = c.req.header('private-token') ?? c.req.query('private_token')
  const secret = own ?? bearer
  if (secret === undefined || secret === '') return null
  if (own !== undefined && world.tokens.get(own)?.oauth === true) throw unauthorized()
  return checkToken(world, secret)
}

/** Reading needs `read_api` or `api`, writing `api`; `/user` is also open to `read_user`. */
export function checkScope(c: Context, credentials: Credentials): void {
  const reading = c.req.method === 'GET' || c.req.method === 'HEAD'
  const accepted = reading ? ['api', 'read_api'] : ['api']
  if (reading && /^\/api\/v4\/users?(\/|$)/.test(c.req.path)) accepted.push('read_user')
  // Every token may look at itself.
  if (/^\/api\/v4\/personal_access_tokens\/self$/.test(c.req.path) && reading) return
  if (hasScope(credentials, accepted)) return
  throw new Refusal(403, {
    error: 'insufficient_scope',
    error_description: 'The request requires higher privileges than provided by the access token.',
    scope: accepted.join(' '),
  })
}

function assign(params: Params, key: string, value: unknown): void {
  if (!key.endsWith('[]')) params[key] = value
  else {
    const name = key.slice(0, -2)
    const list = params[name]
    params[name] = Array.isArray(list) ? [...list, value] : [value]
  }
}

export async function readParams(c: Context): Promise<Params> {
  const params = Object.create(null) as Params
  for (const [key, value] of new URL(c.req.url).searchParams) assign(params, key, value)
  if (['GET', 'HEAD', 'DELETE'].includes(c.req.method)) return params
  const type = c.req.header('content-type') ?? ''
  if (type.startsWith('application/json')) {
    const text = await c.req.text()
    if (text === '') return params
    let body: unknown
    try {
      body = JSON.parse(text)
    } catch {
      throw badParameter('message body does not match declared format')
    }
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
      for (const [key, value] of Object.entries(body)) params[key] = value
    }
  } else if (type.startsWith('application/x-www-form-urlencoded') || type.startsWith('multipart/form-data')) {
    for (const [key, value] of await c.req.formData()) assign(params, key, value)
  }
  return params
}

export function text(params: Params, name: string): string | undefined {
  const value = params[name]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw badParameter(`${name} is invalid`)
}

export function requireText(params: Params, name: string): string {
  const value = text(params, name)
  if (value === undefined) throw badParameter(`${name} is missing`)
  return value
}

export function integer(params: Params, name: string): number | undefined {
  const value = text(params, name)
  if (value === undefined || value === '') return undefined
  if (!/^-?\d{1,15}$/.test(value)) throw badParameter(`${name} is invalid`)
  return Number(value)
}

export function boolean(params: Params, name: string): boolean | undefined {
  const value = params[name]
  if (value === undefined || value === null || value === '') return undefined
  if (value === true || value === 'true' || value === '1' || value === 1) return true
  if (value === false || value === 'false' || value === '0' || value === 0) return false
  throw badParameter(`${name} is invalid`)
}

export function oneOf<T extends string>(params: Params, name: string, values: readonly T[], fallback: T): T
export function oneOf<T extends string>(params: Params, name: string, values: readonly T[]): T | undefined
export function oneOf<T extends string>(params: Params, name: string, values: readonly T[], fallback?: T) {
  const value = text(params, name)
  if (value === undefined || value === '') return fallback
  if (!values.includes(value as T)) throw badParameter(`${name} does not have a valid value`)
  return value as T
}

export function time(params: Params, name: string): Date | undefined {
  const value = text(params, name)
  if (value === undefined || value === '') return undefined
  const date = new Date(value)
  if (Number.isNaN(date.getTime())) throw badParameter(`${name} is invalid`)
  return date
}

/** `a,b` or a list. */
export function list(params: Params, name: string): string[] | undefined {
  const value = params[name]
  if (value === undefined || value === null) return undefined
  if (Array.isArray(value)) return value.map(String)
  return String(value)
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')
}

export function pathInteger(c: Context, name: string): number {
  const value = c.req.param(name) ?? ''
  if (!/^\d{1,15}$/.test(value)) throw badParameter(`${name} is invalid`)
  return Number(value)
}

export function requireUser(c: RestContext): SimUser {
  const credentials = c.get('credentials')
  if (credentials === null) throw unauthorized()
  return credentials.user
}

/** 404 for what one may not see, 401 for a stranger, 403 for too low a role. */
export function requireProject(world: World, c: RestContext, level: AccessLevel | 0 = 0): SimProject {
  const user = c.get('credentials')?.user ?? null
  const id = c.req.param('id') ?? ''
  const project = findProject(world, id)
  const moved = project === null ? world.redirects.get(id.toLowerCase()) : undefined
  if (moved !== undefined && world.projects.has(moved)) {
    const url = `${world.url}/api/v4/projects/${moved}`
    throw new Refusal(301, { message: `This resource has been moved permanently to ${url}` }, { Location: url })
  }
  if (project === null || !canSee(user, project)) throw notFound('Project')
  if (level > 0) {
    if (user === null) throw unauthorized()
    if (accessLevel(user, project) < level) throw forbidden()
  }
  return project
}

/** A project whose code, merge requests and pipelines the caller may read. */
export function requireCode(world: World, c: RestContext): SimProject {
  const project = requireProject(world, c)
  if (!canReadCode(c.get('credentials')?.user ?? null, project)) throw forbidden()
  return project
}

export function requireMergeRequest(world: World, c: RestContext): { project: SimProject; mr: SimMergeRequest } {
  const project = requireCode(world, c)
  const mr = findMergeRequest(world, project.id, pathInteger(c, 'iid'))
  if (mr === null) throw notFound()
  return { project, mr }
}

const DEFAULT_PER_PAGE = 20
const MAX_PER_PAGE = 100

interface Page {
  page: number
  perPage: number
}

export function readPage(params: Params): Page {
  const page = integer(params, 'page') ?? 1
  const perPage = integer(params, 'per_page') ?? DEFAULT_PER_PAGE
  if (perPage < 1) throw badParameter('per_page does not have a valid value')
  return { page: Math.max(page, 1), perPage: Math.min(perPage, MAX_PER_PAGE) }
}

/**
 * The asked page of a list, and GitLab's headers for it. `x-total` is left out on purpose: GitLab leaves it out above 10,000 rows and
 * for commits, so nobody may count on it.
 */
export function paginate<T>(c: RestContext, items: readonly T[]): T[] {
  const { page, perPage } = readPage(c.get('params'))
  const start = (page - 1) * perPage
  setPageHeaders(c, { page, perPage }, items.length > start + perPage)
  return items.slice(start, start + perPage)
}

export function setPageHeaders(c: RestContext, { page, perPage }: Page, more: boolean): void {
  const address = (number: number) => {
    const url = new URL(c.req.url)
    url.searchParams.delete('private_token')
    url.searchParams.set('page', String(number))
    url.searchParams.set('per_page', String(perPage))
    return url.href
  }
  const links = [`<${address(1)}>; rel="first"`]
  if (page > 1) links.unshift(`<${address(page - 1)}>; rel="prev"`)
  if (more) links.unshift(`<${address(page + 1)}>; rel="next"`)
  c.header('x-page', String(page))
  c.header('x-per-page', String(perPage))
  c.header('x-prev-page', page > 1 ? String(page - 1) : '')
  c.header('x-next-page', more ? String(page + 1) : '')
  c.header('link', links.join(', '))
}
