import type { Hono } from 'hono'
import { accessLevel, canSee } from '../access.ts'
import { badParameter, conflict, notFound, Refusal } from '../refusal.ts'
import { ACCESS, type ProtectedBranch } from '../types.ts'
import type { World } from '../world.ts'
import { userOf } from '../world.ts'
import { showMember, showProject, showProtectedBranch } from './entities.ts'
import type { Params, RestEnv } from './request.ts'
import {
  boolean,
  integer,
  oneOf,
  paginate,
  pathInteger,
  readPage,
  requireProject,
  requireText,
  requireUser,
  text,
} from './request.ts'

export function addProjectRoutes(api: Hono<RestEnv>, world: World): void {
  api.get('/projects', c => {
    const params = c.get('params')
    const user = c.get('credentials')?.user ?? null
    const minimum = integer(params, 'min_access_level') ?? 0
    const membership = boolean(params, 'membership') ?? false
    const search = text(params, 'search')?.toLowerCase()
    const namespaces = boolean(params, 'search_namespaces') ?? false
    const ascending = oneOf(params, 'sort', ['asc', 'desc'], 'desc') === 'asc'
    const order = oneOf(
      params,
      'order_by',
      ['id', 'created_at', 'name', 'path', 'last_activity_at', 'updated_at'],
      'created_at',
    )
    const after = integer(params, 'id_after')
    const before = integer(params, 'id_before')
    const key = (p: { id: number; name: string; path: string; lastActivityAt: Date }) =>
      order === 'name'
        ? p.name
        : order === 'path'
          ? p.path
          : order === 'id' || order === 'created_at'
            ? p.id
            : p.lastActivityAt.getTime()
    const found = [...world.projects.values()]
      .filter(
        project =>
          canSee(user, project) &&
          (!membership || (user !== null && project.members.has(user.id))) &&
          (minimum === 0 || accessLevel(user, project) >= minimum) &&
          (search === undefined ||
            `${project.name} ${project.path} ${namespaces ? project.fullPath : ''}`.toLowerCase().includes(search)) &&
          (after === undefined || project.id > after) &&
          (before === undefined || project.id < before),
      )
      .sort((a, b) => {
        const [x, y] = [key(a), key(b)]
        return (x < y ? -1 : x > y ? 1 : a.id - b.id) * (ascending ? 1 : -1)
      })
    if (text(params, 'pagination') !== 'keyset') return c.json(paginate(c, found).map(p => showProject(world, p)))
    // Keyset: no page numbers, only the address of what follows.
    const { perPage } = readPage(params)
    const shown = found.slice(0, perPage)
    const last = shown.at(-1)
    if (found.length > perPage && last) {
      const next = new URL(c.req.url)
      next.searchParams.set(ascending ? 'id_after' : 'id_before', String(last.id))
      c.header('link', `<${next.href}>; rel="next"`)
    }
    return c.json(shown.map(p => showProject(world, p)))
  })

  api.get('/projects/:id', c => {
    const project = requireProject(world, c)
    const user = c.get('credentials')?.user ?? null
    const level = accessLevel(user, project)
    const access = level === 0 ? null : { access_level: level, notification_level: 3 }
    return c.json({ ...showProject(world, project), permissions: { project_access: access, group_access: null } })
  })

  // lib/api/ci/variables.rb: for Maintainers only, reading too.
  api.get('/projects/:id/variables', c => {
    const project = requireProject(world, c, ACCESS.maintainer)
    const shown = paginate(c, [...(world.variables.get(project.id)?.values() ?? [])])
    return c.json(
      shown.map(one => ({
        ...{ variable_type: 'env_var', key: one.key, value: one.value, hidden: false, protected: one.protected },
        ...{ masked: one.masked, raw: false, environment_scope: '*', description: null },
      })),
    )
  })

  // lib/api/protected_branches.rb: reading is for Developers (since 17), changing for Maintainers.
  api.get('/projects/:id/protected_branches', c => {
    const project = requireProject(world, c, ACCESS.developer)
    return c.json(paginate(c, project.protectedBranches).map(showProtectedBranch))
  })

  api.post('/projects/:id/protected_branches', c => {
    const project = requireProject(world, c, ACCESS.maintainer)
    const params = c.get('params')
    const name = requireText(params, 'name')
    if (project.protectedBranches.some(rule => rule.pattern === name))
      throw conflict(`Protected branch '${name}' already exists`)
    const level = (key: string) => {
      const value = integer(params, key) ?? ACCESS.maintainer
      if (value !== 0 && value !== ACCESS.developer && value !== ACCESS.maintainer)
        throw badParameter(`${key} does not have a valid value`)
      return value as ProtectedBranch['pushLevel']
    }
    const rule: ProtectedBranch = {
      pattern: name,
      pushLevel: level('push_access_level'),
      pushUserIds: [],
      mergeLevel: level('merge_access_level'),
      allowForcePush: boolean(params, 'allow_force_push') ?? false,
    }
    project.protectedBranches = [...project.protectedBranches, rule]
    return c.json(showProtectedBranch(rule), 201)
  })

  // Since 15.6. Rows without an id are added to those that are there.
  api.patch('/projects/:id/protected_branches/:name', c => {
    const project = requireProject(world, c, ACCESS.maintainer)
    const rule = project.protectedBranches.find(({ pattern }) => pattern === c.req.param('name'))
    if (rule === undefined) throw notFound()
    const params = c.get('params')
    const added = readPushUsers(params)
    const { protectionForUsers } = world.settings
    if (added.length > 0 && protectionForUsers === 'refused')
      throw new Refusal(422, { message: ['Push access levels user must be blank'] })
    for (const id of protectionForUsers === 'licensed' ? added : []) {
      if (rule.pushUserIds.includes(id))
        throw new Refusal(422, { message: ['Push access levels user has already been taken'] })
      if (!project.members.has(id))
        throw new Refusal(422, { message: ['Push access levels user is not a member of the project'] })
    }
    if (protectionForUsers === 'licensed') rule.pushUserIds = [...rule.pushUserIds, ...added]
    rule.allowForcePush = boolean(params, 'allow_force_push') ?? rule.allowForcePush
    return c.json(showProtectedBranch(rule))
  })

  api.delete('/projects/:id/protected_branches/:name', c => {
    const project = requireProject(world, c, ACCESS.maintainer)
    const name = c.req.param('name')
    if (!project.protectedBranches.some(rule => rule.pattern === name)) throw notFound()
    project.protectedBranches = project.protectedBranches.filter(rule => rule.pattern !== name)
    return c.body(null, 204)
  })

  for (const path of ['/projects/:id/members/all', '/projects/:id/members'] as const) {
    api.get(path, c => {
      const project = requireProject(world, c)
      requireUser(c)
      const query = text(c.get('params'), 'query')?.toLowerCase()
      const members = [...project.members]
        .map(([id, level]) => showMember(world, userOf(world, id), level))
        .filter(m => query === undefined || `${m.name} ${m.username}`.toLowerCase().includes(query))
      return c.json(paginate(c, members))
    })

    api.get(`${path}/:user_id`, c => {
      const project = requireProject(world, c)
      requireUser(c)
      const user = world.users.get(pathInteger(c, 'user_id'))
      const level = user && project.members.get(user.id)
      if (!user || level === undefined) throw notFound()
      return c.json(showMember(world, user, level))
    })
  }
}

/** The users of `allowed_to_push`; of its other kinds of rows nobody makes use here. */
function readPushUsers(params: Params): number[] {
  const rows = params.allowed_to_push ?? []
  if (!Array.isArray(rows)) throw badParameter('allowed_to_push is invalid')
  return rows.map(row => {
    const id: unknown = typeof row === 'object' && row !== null ? row.user_id : undefined
    if (typeof id !== 'number') throw badParameter('allowed_to_push[user_id] is invalid')
    return id
  })
}
