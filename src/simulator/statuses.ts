import { accessLevel, canUpdatePipeline } from './access.ts'
import { branchesContaining, resolveCommit } from './git.ts'
import { addJob, createPipeline, pause, refreshPipeline, setJobStatus } from './pipelines.ts'
import { badParameter, badRequest, conflict, forbidden, notFound, Refusal } from './refusal.ts'
import type { JobStatus, SimJob, SimPipeline, SimProject, SimUser } from './types.ts'
import { ACCESS } from './types.ts'
import type { World } from './world.ts'
import { pipelinesOf } from './world.ts'

/**
 * `POST /projects/:id/statuses/:sha`, step by step as app/services/ci/create_commit_status_service.rb does it:
 * its refusals are what an honest client has to live with.
 */
export interface StatusPost {
  sha: string
  state: string
  ref?: string | undefined
  name?: string | undefined
  targetUrl?: string | undefined
  description?: string | undefined
  coverage?: number | undefined
  pipelineId?: number | undefined
}

export const STATES = ['pending', 'running', 'success', 'failed', 'canceled', 'skipped'] as const
type State = (typeof STATES)[number]

const LIMIT_PIPELINES = 100
const EXTERNAL_STAGE_INDEX = 1_000_000

/** From which states each event may start (the state machine of CommitStatus). `enqueue` before `run` may fail silently. */
const TRANSITIONS: Record<State, { event: string; from: readonly JobStatus[] }> = {
  pending: { event: 'enqueue', from: ['created', 'skipped'] },
  running: { event: 'run', from: ['created', 'skipped', 'pending'] },
  success: { event: 'success', from: ['created', 'pending', 'running'] },
  failed: { event: 'drop', from: ['created', 'pending', 'running'] },
  canceled: { event: 'cancel', from: ['created', 'pending', 'running'] },
  skipped: { event: 'skip', from: ['created', 'pending'] },
}

const leases = new WeakMap<World, Set<string>>()

async function withLease<T>(world: World, key: string, work: () => Promise<T>): Promise<T> {
  const held = leases.get(world) ?? new Set()
  leases.set(world, held)
  for (let tries = 0; held.has(key); tries += 1) {
    if (tries >= world.settings.statusLeaseTries) throw conflict('Another update to this commit status is in progress')
    await pause(world, world.settings.statusLeaseSleepMs)
  }
  held.add(key)
  try {
    return await work()
  } finally {
    held.delete(key)
  }
}

function firstMatchingPipeline(world: World, project: SimProject, sha: string, post: StatusPost): SimPipeline | null {
  const newest = pipelinesOf(world, project.id)
    .filter(pipeline => pipeline.sha === sha)
    .toSorted((a, b) => b.id - a.id)
  const limited = post.pipelineId === undefined ? newest.slice(0, LIMIT_PIPELINES) : newest
  return (
    limited.find(
      pipeline =>
        !pipeline.archived &&
        (post.ref === undefined || pipeline.ref === post.ref) &&
        (post.pipelineId === undefined || pipeline.id === post.pipelineId),
    ) ?? null
  )
}

function unfinishedStatus(pipeline: SimPipeline, ref: string, name: string, user: SimUser): SimJob | undefined {
  return pipeline.jobs.find(
    job =>
      job.type === 'external' &&
      (job.status === 'pending' || job.status === 'running') &&
      job.ref === ref &&
      job.name === name &&
      job.userId === user.id,
  )
}

function validate(post: StatusPost, name: string, pipeline: SimPipeline): Record<string, string[]> {
  const errors: Record<string, string[]> = {}
  const tooLong = 'is too long (maximum is 255 characters)'
  if (pipeline.jobs.some(job => job.name === name && job.type !== 'external' && !job.retried)) {
    errors.name = ['has already been taken']
  }
  if (name === '') errors.name = ["can't be blank"]
  if (name.length > 255) errors.name = [tooLong]
  if ((post.description?.length ?? 0) > 255) errors.description = [tooLong]
  if ((post.ref?.length ?? 0) > 255) errors.ref = [tooLong]
  if (post.targetUrl !== undefined && post.targetUrl !== '') {
    const problems: string[] = []
    const url = URL.canParse(post.targetUrl) ? new URL(post.targetUrl) : null
    if (url === null || /[\s\x00-\x1f]/.test(post.targetUrl)) problems.push('must be a valid URL')
    else if (!['http:', 'https:'].includes(url.protocol)) {
      problems.push('is blocked: Only allowed schemes are http, https')
    }
    if (post.targetUrl.length > 255) problems.push(tooLong)
    if (problems.length > 0) errors.target_url = problems
  }
  return errors
}

/** @throws Refusal in GitLab's wording: 400, 403, 404, 409, 422. */
export async function postStatus(world: World, project: SimProject, user: SimUser, post: StatusPost): Promise<SimJob> {
  if (!STATES.includes(post.state as State)) throw badParameter('state does not have a valid value')
  if (project.archived || accessLevel(user, project) < ACCESS.developer) throw forbidden()
  return withLease(world, `${project.id}:${post.sha}`, async () => {
    if (world.settings.statusWorkMs > 0) await pause(world, world.settings.statusWorkMs)
    return applyStatus(world, project, user, post)
  })
}

async function applyStatus(world: World, project: SimProject, user: SimUser, post: StatusPost): Promise<SimJob> {
  const sha = await resolveCommit(project.directory, post.sha)
  if (sha === null) throw notFound('Commit')
  const matching = firstMatchingPipeline(world, project, sha, post)
  const ref = post.ref ?? matching?.ref ?? (await branchesContaining(project.directory, sha))[0]
  if (ref === undefined) throw notFound('References for commit')
  const name = post.name ?? 'default'
  if (post.pipelineId !== undefined && matching === null) throw notFound('Pipeline for pipeline_id, sha and ref')

  const limit = world.settings.ciPipelineSize
  const full = matching !== null && limit > 0 && matching.jobs.length >= limit
  const appendable = matching !== null && (!full || unfinishedStatus(matching, ref, name, user) !== undefined)
  if (post.pipelineId !== undefined && !appendable) {
    throw new Refusal(422, { message: 'The number of jobs has exceeded the limit' })
  }

  const pipeline =
    matching !== null && appendable
      ? matching
      : await createPipeline(world, { project, user, sha, ref, source: 'external' })
  // GitLab asks only now, so a refused post on a protected branch leaves an empty pipeline behind.
  if (!canUpdatePipeline(user, project, pipeline.ref)) throw new Refusal(403, { message: '403 Forbidden' })

  const errors = validate(post, name, pipeline)
  if (Object.keys(errors).length > 0) throw badRequest(errors)

  const unfinished = unfinishedStatus(pipeline, ref, name, user)
  const state = post.state as State
  const { event, from } = TRANSITIONS[state]
  const current = unfinished?.status ?? 'created'
  if (!from.includes(current)) {
    throw badRequest(
      `Cannot transition status via :${event} from :${current} (Reason(s): Status cannot transition via "${event}")`,
    )
  }
  const job =
    unfinished ??
    addJob(world, pipeline, {
      type: 'external',
      name,
      stage: 'external',
      stageIndex: EXTERNAL_STAGE_INDEX,
      userId: user.id,
    })
  if (post.description !== undefined) job.description = post.description
  if (post.targetUrl !== undefined) job.targetUrl = post.targetUrl
  if (post.coverage !== undefined) job.coverage = post.coverage
  if (state === 'running' && job.status === 'created') setJobStatus(world, pipeline, job, 'pending')
  if (state === 'failed') job.failureReason = 'api_failure'
  setJobStatus(world, pipeline, job, state)
  for (const older of pipeline.jobs) {
    if (older !== job && older.name === job.name && !older.retried) older.retried = true
  }
  refreshPipeline(world, pipeline)
  return job
}

/** Rows of all pipelines of the sha, oldest first; retried ones only when asked for. */
export function listStatuses(
  world: World,
  project: SimProject,
  sha: string,
  filter: {
    ref?: string | undefined
    stage?: string | undefined
    name?: string | undefined
    pipelineId?: number | undefined
    all?: boolean
  } = {},
): SimJob[] {
  return pipelinesOf(world, project.id)
    .filter(pipeline => pipeline.sha === sha && (filter.pipelineId === undefined || pipeline.id === filter.pipelineId))
    .flatMap(pipeline => pipeline.jobs)
    .filter(
      job =>
        (filter.all || !job.retried) &&
        (filter.ref === undefined || job.ref === filter.ref) &&
        (filter.stage === undefined || job.stage === filter.stage) &&
        (filter.name === undefined || job.name === filter.name),
    )
    .toSorted((a, b) => a.id - b.id)
}
