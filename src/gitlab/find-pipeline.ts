import { isGitLabError } from './errors.ts'
import type { GitLab } from './gitlab.ts'
import { choosePipeline, type Pipeline } from './pipeline.ts'
import { rememberedBy } from './status-memory.ts'

/** What a status belongs to. */
export interface Place {
  readonly projectId: number
  readonly sha: string
  /** Short. */
  readonly branch: string
  readonly mergeRequestIid: number | null
  readonly pipelineSha?: string | null
}

/** Where it is posted. */
export interface Where {
  /** The commit's, or that of the merged result. */
  readonly sha: string
  /** null: by branch, so that GitLab takes the newest pipeline of it or makes an `external` one. */
  readonly pipelineId: number | null
}

/** Where statuses of a (project, sha, merge request, branch) went a moment ago. */
const recent = rememberedBy<Where & { readonly at: number }>(1_000)

/** The sha of pipelines that are not on their commit's (merged results). It never changes, so it is kept without a limit of time. */
const otherShas = rememberedBy<string>(1_000)

export function shaOfPipeline(gitlab: GitLab, status: Place, pipelineId: number | null): string | null {
  return status.pipelineSha ?? otherShas.of(gitlab).get(`${status.projectId} ${pipelineId}`) ?? null
}

export function keepPipeline(gitlab: GitLab, status: Place, where: Where): void {
  if (where.sha !== status.sha) otherShas.of(gitlab).set(`${status.projectId} ${where.pipelineId}`, where.sha)
  recent.of(gitlab).set(placeKey(status), { ...where, at: gitlab.time.now() })
}

/** The remembered pipeline is not there for this sha: it may be one of merged results, else it is forgotten and looked for afresh. */
export async function findAgain(gitlab: GitLab, status: Place, pipelineId: number): Promise<Where> {
  recent.of(gitlab).delete(placeKey(status))
  const remembered = await unlessRefused(() => gitlab.pipeline(status.projectId, pipelineId))
  const ours = remembered?.ref === `refs/merge-requests/${status.mergeRequestIid}/merge`
  if (remembered !== null && ours && remembered.sha !== status.sha && remembered.sha !== status.pipelineSha) {
    return { sha: remembered.sha, pipelineId }
  }
  return findPipeline(gitlab, status, pipelineId)
}

/** Where statuses belong now, whatever was found a moment ago: a pipeline has appeared. */
export function findPipelineAnew(gitlab: GitLab, status: Place): Promise<Where> {
  recent.of(gitlab).delete(placeKey(status))
  return findPipeline(gitlab, status, null)
}

export async function findPipeline(gitlab: GitLab, status: Place, not: number | null): Promise<Where> {
  const { projectId, sha, branch, mergeRequestIid: iid } = status
  const known = recent.of(gitlab).get(placeKey(status))
  // A run's first statuses come in a bunch; later, a pipeline that was made meanwhile must be seen.
  if (known !== undefined && gitlab.time.now() - known.at < 30_000) return known
  const choose = (found: readonly Pipeline[], head: number | null) =>
    choosePipeline(
      found.filter(one => one.id !== not),
      { sha, branch, mergeRequestIid: iid, pipelineOf: () => head },
    )

  let chosen: Pipeline | null = null
  if (iid !== null) {
    const ofMergeRequest = (await unlessRefused(() => gitlab.mergeRequestPipelines(projectId, iid))) ?? []
    const merged = ofMergeRequest.some(one => one.ref === `refs/merge-requests/${iid}/merge` && one.sha !== sha)
    const mergeRequest = merged ? await unlessRefused(() => gitlab.mergeRequest(projectId, iid)) : null
    chosen = choose(ofMergeRequest, mergeRequest?.sha === sha ? (mergeRequest.headPipeline?.id ?? null) : null)
  }
  chosen ??= choose((await unlessRefused(() => gitlab.pipelines(projectId, { sha }))) ?? [], null)
  return chosen === null ? { sha, pipelineId: null } : { sha: chosen.sha, pipelineId: chosen.id }
}

/** Pipelines may be hidden from the token (CI/CD off, public pipelines off) although statuses are allowed: GitLab then finds one itself. */
async function unlessRefused<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask()
  } catch (error) {
    if (isGitLabError(error, 'not found', 'forbidden')) return null
    throw error
  }
}

function placeKey(status: Place): string {
  return `${status.projectId} ${status.sha} ${status.mergeRequestIid ?? '-'} ${status.branch}`
}
