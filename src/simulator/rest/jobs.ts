import type { Hono } from 'hono'
import { accessLevel, canUpdatePipeline } from '../access.ts'
import { traceOf } from '../ci-run.ts'
import { cancelBuild, isFinal, playJob, refreshPipeline, retryBuild } from '../pipelines.ts'
import { badRequest, forbidden, notFound } from '../refusal.ts'
import type { SimJob, SimPipeline, SimProject } from '../types.ts'
import { ACCESS } from '../types.ts'
import type { World } from '../world.ts'
import { pipelinesOf } from '../world.ts'
import { showJob } from './entities.ts'
import type { RestContext, RestEnv } from './request.ts'
import { pathInteger, requireCode, requireUser } from './request.ts'

/** lib/api/ci/jobs.rb */
export function addJobRoutes(api: Hono<RestEnv>, world: World): void {
  const requireJob = (c: RestContext): { project: SimProject; pipeline: SimPipeline; job: SimJob } => {
    const project = requireCode(world, c)
    const id = pathInteger(c, 'job_id')
    for (const pipeline of pipelinesOf(world, project.id)) {
      const job = pipeline.jobs.find(j => j.id === id && j.type === 'build')
      if (job) return { project, pipeline, job }
    }
    throw notFound()
  }
  /** `update_build`: Developer, and on a protected ref the right to push or merge there. */
  const requireUpdate = (c: RestContext) => {
    const user = requireUser(c)
    const found = requireJob(c)
    if (found.project.archived || !canUpdatePipeline(user, found.project, found.pipeline.ref)) throw forbidden()
    return { ...found, user }
  }

  api.get('/projects/:id/jobs/:job_id', c => {
    const { pipeline, job } = requireJob(c)
    return c.json(showJob(world, pipeline, job))
  })

  api.get('/projects/:id/jobs/:job_id/trace', c => {
    const { project, job } = requireJob(c)
    if (project.visibility === 'private' && accessLevel(requireUser(c), project) < ACCESS.reporter) throw forbidden()
    return c.text(traceOf(world, job.id) ?? '')
  })

  api.post('/projects/:id/jobs/:job_id/play', c => {
    const { pipeline, job, user } = requireUpdate(c)
    if (job.status !== 'manual') throw badRequest('Unplayable Job')
    playJob(world, pipeline, job, user)
    return c.json(showJob(world, pipeline, job))
  })

  api.post('/projects/:id/jobs/:job_id/cancel', c => {
    const { pipeline, job } = requireUpdate(c)
    cancelBuild(world, pipeline, job)
    refreshPipeline(world, pipeline)
    return c.json(showJob(world, pipeline, job), 201)
  })

  api.post('/projects/:id/jobs/:job_id/retry', c => {
    const { pipeline, job, user } = requireUpdate(c)
    if (!isFinal(job.status) || job.status === 'skipped' || job.retried) throw forbidden('Job is not retryable')
    return c.json(showJob(world, pipeline, retryBuild(world, pipeline, job, user)), 201)
  })
}
