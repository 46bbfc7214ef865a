import type { Hono } from 'hono'
import { accessLevel, canUpdatePipeline } from '../access.ts'
import { resolveRef } from '../git.ts'
import { cancelPipeline, createCiPipeline } from '../pipelines.ts'
import { badRequest, forbidden, notFound } from '../refusal.ts'
import type { SimPipeline, SimProject } from '../types.ts'
import { ACCESS } from '../types.ts'
import type { World } from '../world.ts'
import { pipelinesOf, userOf } from '../world.ts'
import { showJob, showPipeline, showPipelineBasic } from './entities.ts'
import type { RestContext, RestEnv } from './request.ts'
import {
  boolean,
  list,
  oneOf,
  paginate,
  pathInteger,
  requireCode,
  requireProject,
  requireText,
  requireUser,
  text,
  time,
} from './request.ts'

const SOURCES = ['push', 'merge_request_event', 'external', 'api', 'web', 'trigger', 'schedule'] as const

export function addPipelineRoutes(api: Hono<RestEnv>, world: World): void {
  const requirePipeline = (c: RestContext): { project: SimProject; pipeline: SimPipeline } => {
    const project = requireCode(world, c)
    const id = pathInteger(c, 'pipeline_id')
    const pipeline = pipelinesOf(world, project.id).find(p => p.id === id)
    if (!pipeline) throw notFound()
    return { project, pipeline }
  }

  api.get('/projects/:id/pipelines', c => {
    const project = requireCode(world, c)
    const params = c.get('params')
    const [sha, ref, status, username] = ['sha', 'ref', 'status', 'username'].map(name => text(params, name))
    const source = oneOf(params, 'source', SOURCES)
    const scope = oneOf(params, 'scope', ['running', 'pending', 'finished', 'branches', 'tags'])
    const [updatedAfter, updatedBefore] = [time(params, 'updated_after'), time(params, 'updated_before')]
    const ascending = oneOf(params, 'sort', ['asc', 'desc'], 'desc') === 'asc'
    const order = oneOf(params, 'order_by', ['id', 'status', 'ref', 'updated_at', 'user_id'], 'id')
    const key = (p: SimPipeline) => (order === 'updated_at' ? p.updatedAt.getTime() : p.id)
    const found = pipelinesOf(world, project.id)
      .filter(
        p =>
          (sha === undefined || p.sha === sha) &&
          (ref === undefined || p.ref === ref) &&
          (status === undefined || p.status === status) &&
          (source === undefined || p.source === source) &&
          (username === undefined || userOf(world, p.userId).username === username) &&
          (updatedAfter === undefined || p.updatedAt > updatedAfter) &&
          (updatedBefore === undefined || p.updatedAt < updatedBefore) &&
          (scope === undefined ||
            (scope === 'running' && p.status === 'running') ||
            (scope === 'pending' && p.status === 'pending') ||
            (scope === 'finished' && p.finishedAt !== null) ||
            (scope === 'branches' && !p.tag) ||
            (scope === 'tags' && p.tag)),
      )
      .sort((a, b) => (key(a) - key(b) || a.id - b.id) * (ascending ? 1 : -1))
    return c.json(paginate(c, found).map(p => showPipelineBasic(world, p)))
  })

  api.get('/projects/:id/pipelines/latest', async c => {
    const project = requireCode(world, c)
    const ref = text(c.get('params'), 'ref') || project.defaultBranch
    const head = await resolveRef(project.directory, `refs/heads/${ref}`)
    const latest = pipelinesOf(world, project.id).findLast(p => p.ref === ref && (head === null || p.sha === head))
    if (!latest) throw notFound()
    return c.json(showPipeline(world, latest))
  })

  api.get('/projects/:id/pipelines/:pipeline_id', c => c.json(showPipeline(world, requirePipeline(c).pipeline)))

  api.get('/projects/:id/pipelines/:pipeline_id/jobs', c => {
    const { pipeline } = requirePipeline(c)
    const scope = list(c.get('params'), 'scope')
    const retried = boolean(c.get('params'), 'include_retried') ?? false
    // Commit statuses are not jobs; they show in the commit's statuses.
    const jobs = pipeline.jobs.filter(
      job => job.type === 'build' && (retried || !job.retried) && (scope === undefined || scope.includes(job.status)),
    )
    return c.json(paginate(c, jobs.toReversed()).map(job => showJob(world, pipeline, job)))
  })

  api.post('/projects/:id/pipeline', async c => {
    const project = requireProject(world, c, ACCESS.developer)
    const user = requireUser(c)
    const ref = requireText(c.get('params'), 'ref')
    const branch = await resolveRef(project.directory, `refs/heads/${ref}`)
    const tag = branch === null ? await resolveRef(project.directory, `refs/tags/${ref}`) : null
    const sha = branch ?? tag
    if (sha === null) throw badRequest({ base: ['Reference not found'] })
    if (!canUpdatePipeline(user, project, ref)) {
      throw badRequest({
        base: [
          "You do not have sufficient permission to run a pipeline on '" +
            ref +
            "'. Please select a different branch or contact your administrator for assistance.",
        ],
      })
    }
    const outcome = await createCiPipeline(world, { project, user, sha, ref, tag: tag !== null, source: 'api' })
    if ('refused' in outcome) throw badRequest({ base: [outcome.refused] })
    return c.json(showPipeline(world, outcome.pipeline), 201)
  })

  api.post('/projects/:id/pipelines/:pipeline_id/cancel', c => {
    const user = requireUser(c)
    const { project, pipeline } = requirePipeline(c)
    if (!canUpdatePipeline(user, project, pipeline.ref)) throw forbidden()
    cancelPipeline(world, pipeline)
    return c.json(showPipeline(world, pipeline))
  })

  api.delete('/projects/:id/pipelines/:pipeline_id', c => {
    const user = requireUser(c)
    const { project, pipeline } = requirePipeline(c)
    if (accessLevel(user, project) < ACCESS.owner) throw forbidden()
    const all = pipelinesOf(world, project.id)
    all.splice(all.indexOf(pipeline), 1)
    return c.body(null, 204)
  })
}
