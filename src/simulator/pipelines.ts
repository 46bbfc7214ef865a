import { setTimeout as delay } from 'node:timers/promises'
import type { CiJob } from './ci-config.ts'
import { readCiOf } from './ci-include.ts'
import { runScript } from './ci-run.ts'
import type { Commit } from './git.ts'
import { findCommit, readBlob } from './git.ts'
import { LIMITS } from './limits.ts'
import { jobPayload, pipelinePayload } from './payloads.ts'
import type { JobStatus, PipelineSource, SimJob, SimMergeRequest, SimPipeline, SimProject, SimUser } from './types.ts'
import { ZERO_SHA } from './types.ts'
import type { World } from './world.ts'
import { pipelinesOf } from './world.ts'

const FINAL: readonly JobStatus[] = ['success', 'failed', 'canceled', 'skipped']

export function isFinal(status: JobStatus): boolean {
  return FINAL.includes(status)
}

/** lib/gitlab/ci/status/composite.rb over the rows that were not retried. */
export function compositeStatus(
  jobs: readonly Pick<SimJob, 'status' | 'allowFailure' | 'retried'>[],
): JobStatus | null {
  const seen = new Set(
    jobs
      .filter(job => !job.retried)
      .map(job => {
        if (!job.allowFailure) return job.status
        if (job.status === 'manual') return 'ignored'
        return ['failed', 'canceled'].includes(job.status) ? 'warning' : job.status
      }),
  )
  if (seen.size === 0) return null
  const onlyOf = (...names: string[]) => [...seen].every(status => names.includes(status))
  if (onlyOf('skipped', 'ignored')) return 'skipped'
  if (onlyOf('success', 'skipped', 'warning', 'ignored')) return 'success'
  if (onlyOf('created', 'warning', 'ignored')) return 'created'
  if (onlyOf('canceled', 'success', 'skipped', 'warning', 'ignored')) return 'canceled'
  if (seen.has('canceling')) return 'canceling'
  if (onlyOf('pending', 'created', 'skipped', 'warning', 'ignored')) return 'pending'
  if (seen.has('running') || seen.has('pending')) return 'running'
  // Nothing goes on before somebody plays it.
  if (seen.has('manual')) return 'manual'
  if (seen.has('created')) return 'running'
  return 'failed'
}

export interface NewPipeline {
  project: SimProject
  user: SimUser
  sha: string
  ref: string
  source: PipelineSource
  tag?: boolean
  beforeSha?: string
  mergeRequest?: SimMergeRequest
  yamlErrors?: string
}

export async function createPipeline(world: World, o: NewPipeline): Promise<SimPipeline> {
  const commit: Commit | null = await findCommit(o.project.directory, o.sha)
  const pipeline: SimPipeline = {
    id: world.nextId('pipeline'),
    iid: o.project.nextPipelineIid++,
    projectId: o.project.id,
    sha: o.sha,
    commit,
    beforeSha: o.beforeSha ?? ZERO_SHA,
    ref: o.ref,
    tag: o.tag ?? false,
    source: o.source,
    status: 'created',
    userId: o.user.id,
    mergeRequestId: o.mergeRequest?.id ?? null,
    yamlErrors: o.yamlErrors ?? null,
    archived: false,
    jobs: [],
    createdAt: world.now(),
    updatedAt: world.now(),
    startedAt: null,
    finishedAt: null,
  }
  const all = pipelinesOf(world, o.project.id)
  all.push(pipeline)
  if (all.length > LIMITS.pipelines) all.splice(0, all.length - LIMITS.pipelines)
  world.pipelines.set(o.project.id, all)
  return pipeline
}

export function addJob(
  world: World,
  pipeline: SimPipeline,
  job: Pick<SimJob, 'type' | 'name' | 'stage' | 'stageIndex' | 'userId'> & Partial<SimJob>,
): SimJob {
  const row: SimJob = {
    id: world.nextId('job'),
    projectId: pipeline.projectId,
    pipelineId: pipeline.id,
    status: 'created',
    sha: pipeline.sha,
    ref: pipeline.ref,
    description: null,
    targetUrl: null,
    coverage: null,
    allowFailure: false,
    failureReason: null,
    exitCode: null,
    retried: false,
    createdAt: world.now(),
    queuedAt: null,
    startedAt: null,
    finishedAt: null,
    ...job,
  }
  pipeline.jobs.push(row)
  return row
}

/** Moves a row and writes the times that GitLab writes with it. The pipeline follows with `refreshPipeline`. */
export function setJobStatus(world: World, pipeline: SimPipeline, job: SimJob, status: JobStatus): void {
  if (job.status === status) return
  const now = world.now()
  job.status = status
  if (status === 'pending') job.queuedAt = now
  if (status === 'running') job.startedAt = now
  if (isFinal(status) && status !== 'skipped') job.finishedAt = now
  // GenericCommitStatus has no Job hook.
  if (job.type === 'build')
    world.webhooks.fire(pipeline.projectId, 'jobs', jobPayload(world, pipeline, job, pipeline.commit))
}

/** Computes the pipeline's status from its rows; a change is told by a Pipeline hook. */
export function refreshPipeline(world: World, pipeline: SimPipeline): void {
  setPipelineStatus(world, pipeline, compositeStatus(pipeline.jobs) ?? pipeline.status)
}

export function setPipelineStatus(world: World, pipeline: SimPipeline, status: JobStatus): void {
  const now = world.now()
  pipeline.updatedAt = now
  if (status === pipeline.status) return
  pipeline.status = status
  if (status === 'running') {
    pipeline.startedAt ??= now
    pipeline.finishedAt = null
  } else if (isFinal(status)) pipeline.finishedAt = now
  world.webhooks.fire(pipeline.projectId, 'pipelines', pipelinePayload(world, pipeline, pipeline.commit))
}

const SKIP_CI = /\[(ci[ _-]skip|skip[ _-]ci)\]/i

export interface CiTrigger {
  project: SimProject
  user: SimUser
  sha: string
  ref: string
  source: PipelineSource
  tag?: boolean
  beforeSha?: string
  mergeRequest?: SimMergeRequest
  /** `git push -o ci.skip` */
  skipOption?: boolean
}

export type CiOutcome = { pipeline: SimPipeline } | { refused: string }

/** GitLab makes pipelines asynchronously, some time after the push. Held ones wait for `releaseCi`, and nobody waits for them. */
export function scheduleCi(world: World, trigger: CiTrigger): void {
  const create = () => createCiPipeline(world, trigger)
  const later = async () => {
    await pause(world, world.settings.ciDelayMs)
    if (world.closed.aborted) return
    if (world.settings.ciHold) world.heldCi.push(create)
    else await create()
  }
  world.track(later())
}

export function releaseCi(world: World): void {
  world.settings.ciHold = false
  for (const create of world.heldCi.splice(0)) world.track(create())
}

/** Makes the CI pipeline of a commit, if its `.gitlab-ci.yml` asks for one. */
export async function createCiPipeline(world: World, o: CiTrigger): Promise<CiOutcome> {
  const file = await readBlob(o.project.directory, o.sha, '.gitlab-ci.yml')
  if (file === null) return { refused: 'Missing CI config file' }
  const config = await readCiOf(world, o.project, o.sha, file.bytes.toString())
  const wanted = config.jobs.filter(job => (o.source === 'merge_request_event' ? job.mergeRequest : job.push))
  if (config.error !== null) {
    if (o.source === 'merge_request_event') return { refused: config.error }
    const failed = await createPipeline(world, { ...o, yamlErrors: config.error })
    setPipelineStatus(world, failed, 'failed')
    return { pipeline: failed }
  }
  if (wanted.length === 0) {
    return {
      refused: 'The resulting pipeline would have been empty. Review the rules configuration for the relevant jobs.',
    }
  }
  const pipeline = await createPipeline(world, o)
  // Neither the marker nor the push option reaches merge request pipelines (gitlab-org/gitlab#27955) or the API.
  const skippable = o.source === 'push' && (o.skipOption || SKIP_CI.test(pipeline.commit?.message ?? ''))
  if (skippable) setPipelineStatus(world, pipeline, 'skipped')
  else startJobs(world, pipeline, wanted)
  return { pipeline }
}

function startJobs(world: World, pipeline: SimPipeline, jobs: CiJob[]): void {
  for (const ci of jobs) {
    const { name, stage, stageIndex, allowFailure } = ci
    const job = addJob(world, pipeline, {
      ...{ type: 'build', name, stage, stageIndex, allowFailure },
      userId: pipeline.userId,
    })
    world.ciJobs.set(job.id, ci)
  }
  advance(world, pipeline)
}

/** The jobs that a job waits for, and how they stand together: `needs`, else all earlier stages. */
function before(
  world: World,
  builds: readonly SimJob[],
  job: SimJob,
  names = byName(builds),
): { jobs: SimJob[]; status: JobStatus } {
  const needs = world.ciJobs.get(job.id)?.needs ?? null
  const jobs =
    needs === null
      ? builds.filter(other => other.stageIndex < job.stageIndex)
      : needs.flatMap(name => names.get(name) ?? [])
  return { jobs, status: compositeStatus(jobs) ?? 'success' }
}

/** A pipeline of thousands of jobs is looked through once, not for each of them. */
const byName = (builds: readonly SimJob[]) => Map.groupBy(builds, job => job.name)

/** Lets begin what waits for nothing any more, as a runner without limits would see it. */
export function advance(world: World, pipeline: SimPipeline): void {
  const builds = pipeline.jobs.filter(job => job.type === 'build' && !job.retried)
  const names = byName(builds)
  const begun: SimJob[] = []
  for (let moved = true; moved; ) {
    moved = false
    for (const job of builds.filter(one => one.status === 'created').sort((a, b) => a.stageIndex - b.stageIndex)) {
      const { status } = before(world, builds, job, names)
      if (!isFinal(status)) continue
      moved = true
      const runs = status === 'success' || (status === 'skipped' && world.ciJobs.get(job.id)?.needs == null)
      if (!runs) setJobStatus(world, pipeline, job, 'skipped')
      else if (world.ciJobs.get(job.id)?.manual === true) setJobStatus(world, pipeline, job, 'manual')
      else {
        setJobStatus(world, pipeline, job, 'pending')
        begun.push(job)
      }
    }
  }
  refreshPipeline(world, pipeline)
  begin(world, pipeline, begun)
}

function begin(world: World, pipeline: SimPipeline, jobs: readonly SimJob[]): void {
  if (world.settings.ciJobs !== 'wait') for (const job of jobs) world.track(runJob(world, pipeline, job))
}

async function runJob(world: World, pipeline: SimPipeline, job: SimJob): Promise<void> {
  await pause(world, world.settings.ciJobMs)
  if (job.status !== 'pending') return
  setJobStatus(world, pipeline, job, 'running')
  refreshPipeline(world, pipeline)
  const ci = world.ciJobs.get(job.id)
  if (world.settings.ciJobs === 'run' && ci !== undefined) {
    world.traces.set(job.id, { parts: [], hidden: [], written: 0 })
    const builds = pipeline.jobs.filter(other => other.type === 'build' && !other.retried)
    const status = await runScript(world, pipeline, job, ci, before(world, builds, job).jobs)
    if (!world.closed.aborted) finishBuild(world, pipeline, job, status)
    return
  }
  await pause(world, world.settings.ciJobMs)
  if (isRunning(job)) finishBuild(world, pipeline, job, world.settings.ciJobs === 'fail' ? 'failed' : 'success')
}

// The state moves under our feet while we sleep, which the type checker cannot know.
function isRunning(job: SimJob): boolean {
  return job.status === 'running'
}

/** app/services/ci/play_build_service.rb; the caller has asked for the right. */
export function playJob(world: World, pipeline: SimPipeline, job: SimJob, user: SimUser): void {
  job.userId = user.id
  setJobStatus(world, pipeline, job, 'pending')
  refreshPipeline(world, pipeline)
  begin(world, pipeline, [job])
}

/** A new row takes its place; what was skipped behind it waits anew. */
export function retryBuild(world: World, pipeline: SimPipeline, job: SimJob, user: SimUser): SimJob {
  job.retried = true
  const { name, stage, stageIndex, allowFailure } = job
  const again = addJob(world, pipeline, { type: 'build', name, stage, stageIndex, allowFailure, userId: user.id })
  const ci = world.ciJobs.get(job.id)
  if (ci !== undefined) world.ciJobs.set(again.id, ci)
  for (const other of pipeline.jobs)
    if (other.type === 'build' && other.status === 'skipped' && !other.retried) other.status = 'created'
  advance(world, pipeline)
  return again
}

/** What runs gets its `after_script` first, as GitLab has it since 17.0. */
export function cancelBuild(world: World, pipeline: SimPipeline, job: SimJob): void {
  const running = world.running.get(job.id)
  if (running !== undefined && job.status === 'running') {
    setJobStatus(world, pipeline, job, 'canceling')
    running.cancel()
  } else if (!isFinal(job.status) && job.status !== 'canceling') setJobStatus(world, pipeline, job, 'canceled')
}

export function finishBuild(
  world: World,
  pipeline: SimPipeline,
  job: SimJob,
  status: 'success' | 'failed' | 'canceled',
): void {
  if (job.status === 'pending') setJobStatus(world, pipeline, job, 'running')
  if (status === 'failed') job.failureReason = 'script_failure'
  setJobStatus(world, pipeline, job, status)
  advance(world, pipeline)
}

export function cancelPipeline(world: World, pipeline: SimPipeline): void {
  for (const job of pipeline.jobs) cancelBuild(world, pipeline, job)
  refreshPipeline(world, pipeline)
}

/** Sleeps, but never past the end of the simulator. */
export async function pause(world: World, ms: number): Promise<void> {
  await delay(ms, undefined, { signal: world.closed }).catch(() => {})
}
