import type { Hono } from 'hono'
import { resolveCommit } from '../git.ts'
import { badParameter, notFound } from '../refusal.ts'
import { listStatuses, postStatus } from '../statuses.ts'
import type { World } from '../world.ts'
import { showStatus } from './entities.ts'
import type { RestEnv } from './request.ts'
import { boolean, integer, oneOf, paginate, requireCode, requireUser, text } from './request.ts'

export function addStatusRoutes(api: Hono<RestEnv>, world: World): void {
  api.post('/projects/:id/statuses/:sha', async c => {
    const user = requireUser(c)
    const project = requireCode(world, c)
    const params = c.get('params')
    const state = text(params, 'state')
    if (state === undefined) throw badParameter('state is missing, state does not have a valid value')
    const coverage = text(params, 'coverage')
    if (coverage !== undefined && !Number.isFinite(Number(coverage))) throw badParameter('coverage is invalid')
    const job = await postStatus(world, project, user, {
      sha: c.req.param('sha'),
      state,
      ref: text(params, 'ref') || undefined,
      name: text(params, 'name') ?? text(params, 'context'),
      targetUrl: text(params, 'target_url'),
      description: text(params, 'description'),
      coverage: coverage === undefined ? undefined : Number(coverage),
      pipelineId: integer(params, 'pipeline_id'),
    })
    return c.json(showStatus(world, job), 201)
  })

  api.get('/projects/:id/repository/commits/:sha/statuses', async c => {
    const project = requireCode(world, c)
    const params = c.get('params')
    const sha = await resolveCommit(project.directory, c.req.param('sha'))
    if (sha === null) throw notFound('Commit')
    const jobs = listStatuses(world, project, sha, {
      ref: text(params, 'ref'),
      stage: text(params, 'stage'),
      name: text(params, 'name'),
      pipelineId: integer(params, 'pipeline_id'),
      all: boolean(params, 'all') ?? false,
    })
    const order = oneOf(params, 'order_by', ['id', 'pipeline_id'], 'id')
    const key = order === 'id' ? 'id' : 'pipelineId'
    const sign = oneOf(params, 'sort', ['asc', 'desc'], 'asc') === 'asc' ? 1 : -1
    const sorted = jobs.toSorted((a, b) => (a[key] - b[key]) * sign)
    return c.json(paginate(c, sorted).map(job => showStatus(world, job)))
  })
}
