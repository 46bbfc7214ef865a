import { desc, eq } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import type { MergeRequest } from '../gitlab/gitlab.ts'
import { jobsNamed } from '../model/matrix.ts'
import { code, inline } from '../render/markdown.ts'
import { findBranch } from '../store/branches.ts'
import { type BranchRow, type JobRow, jobsOf, type RunRow, shortBranch } from '../store/runs.ts'
import { runs } from '../store/schema.ts'
import type { Order } from './order.ts'

/** What an order is about. */
export interface Place {
  /** Full; of a merge request from a fork `refs/merge-requests/7/head`: its branches are none of this project. */
  readonly ref: string
  readonly branch: BranchRow | null
  /** The run that the branch shows. */
  readonly run: RunRow | null
  readonly jobs: readonly JobRow[]
  /** The one job that was named; null: the run as a whole, or several. */
  readonly job: JobRow | null
  /** The jobs that were named: one, or all that a matrix has made of one; none: the run as a whole. */
  readonly chosen: readonly JobRow[]
  /** A branch was named, which need not be the one that the order was given on. */
  readonly named: boolean
  readonly fork: boolean
  readonly mergeRequest: MergeRequest | null
}

/** Reads again from GitLab where the order was given, and finds what it is about. Throws, with what there is, where that is not to be found. */
export async function placeOf(context: Context, order: Order): Promise<Place> {
  const { project, at } = order
  let mergeRequest: MergeRequest | null = null
  let ref: string
  if ('mergeRequest' in at) {
    mergeRequest = await context.gitlabOf(project.path).mergeRequest(project.id, at.mergeRequest)
    if (mergeRequest === null) throw new CompopsError(`merge request !${at.mergeRequest} is not there any more`)
    ref =
      mergeRequest.sourceProjectId === project.id
        ? `refs/heads/${mergeRequest.sourceBranch}`
        : `refs/merge-requests/${mergeRequest.iid}/head`
  } else ref = `refs/heads/${at.branch}`
  const here = await look(context, project.id, ref)
  const fork = !ref.startsWith('refs/heads/')
  const place: Place = { ...here, ref, mergeRequest, fork, named: false, job: null, chosen: [] }
  if (order.target === null) return place
  const chosen = jobsNamed(here.jobs, order.target)
  if (chosen.length > 0) return { ...place, chosen, job: chosen.length === 1 ? chosen[0]! : null }
  const other = `refs/heads/${order.target}`
  const there = await look(context, project.id, other)
  if (there.branch !== null) return { ...place, ...there, ref: other, fork: false, named: true }
  return { ...place, job: null, named: false }
}

/** What is said where a word names neither a job nor a branch. */
export function unknownTarget(place: Place, word: string): string {
  const names = place.jobs.slice(0, 40).map(job => code(job.name))
  const branch = place.fork ? `!${place.mergeRequest?.iid}` : code(shortBranch(place.ref))
  if (place.run === null) return `There is no run of ${branch} yet, and no branch ${code(word, 'paragraph', 100)}.`
  return `${code(word, 'paragraph', 100)} is neither a job of the run of ${branch} nor a computation branch. Its jobs: ${names.length === 0 ? 'none' : names.join(', ')}${place.jobs.length > 40 ? inline(` and ${place.jobs.length - 40} more`) : ''}.`
}

async function look(context: Context, projectId: number, ref: string): Promise<Pick<Place, 'branch' | 'run' | 'jobs'>> {
  const branch = await findBranch(context.db, projectId, ref)
  if (branch === null) return { branch: null, run: null, jobs: [] }
  const [run] = await context.db
    .select()
    .from(runs)
    .where(branch.latestRunId === null ? eq(runs.branchId, branch.id) : eq(runs.id, branch.latestRunId))
    .orderBy(desc(runs.createdAt))
    .limit(1)
  return { branch, run: run ?? null, jobs: run === undefined ? [] : await jobsOf(context.db, run.id) }
}
