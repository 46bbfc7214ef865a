import { type Cache, createCache } from '../auth/cache.ts'
import type { Context } from '../context.ts'
import { type CiJob, type GitLab, isGitLabError } from '../gitlab/gitlab.ts'
import type { CiJobRow } from '../store/ci-jobs.ts'

type List = Map<string, { readonly id: number; status: string }>
type OfPipeline = Pick<CiJobRow, 'projectId' | 'pipelineId'>
type Found = Pick<CiJob, 'id' | 'status'>

/**
 * The CI jobs of pipelines, as GitLab listed them last: a pipeline of 2,000 gates is forty pages, too many to ask for at each of them. How a job stands is believed for a moment; its id for
 * longer, and then GitLab is asked for that one job. Nothing rests on it: after a restart it is asked for anew.
 */
const kept = new WeakMap<Context['db'], Cache<List>>()
const believed = 5_000
const mostPipelines = 50

function listsOf({ db, clock }: Pick<Context, 'db' | 'clock'>): Cache<List> {
  const before = kept.get(db)
  if (before !== undefined) return before
  const made = createCache<List>(() => clock.now().getTime(), mostPipelines)
  kept.set(db, made)
  return made
}

const keyOf = ({ projectId, pipelineId }: OfPipeline) => `${projectId} ${pipelineId}`

/** A job of the pipeline by its name, the newest where it was retried; undefined where there is none. */
export async function jobByName(
  context: Context,
  gitlab: GitLab,
  of: OfPipeline,
  name: string,
): Promise<Found | undefined> {
  const before = listsOf(context).look(keyOf(of))
  if (before?.fresh === true) return before.value.get(name)
  const known = before?.value.get(name)
  if (known !== undefined) {
    const now = await gitlab.ciJob(of.projectId, known.id).catch(error => {
      if (isGitLabError(error, 'not found')) return null
      throw error
    })
    // Of one that has ended there may be a newer one.
    if (now !== null && !ended.has(now.status)) return now
  }
  return (await list(context, gitlab, of)).get(name)
}

const ended: ReadonlySet<string> = new Set(['success', 'failed', 'canceled', 'skipped'])

/** How CI jobs of one pipeline stand, by their ids: one by one where they are few. One that GitLab does not list was retried, and is asked for by itself. */
export async function statusOfJob(
  context: Context,
  gitlab: GitLab,
  row: OfPipeline & Pick<CiJobRow, 'ciJobId'>,
  { few }: { readonly few: boolean },
): Promise<string> {
  if (!few) {
    const before = listsOf(context).look(keyOf(row))
    const jobs = before?.fresh === true ? before.value : await list(context, gitlab, row)
    const job = [...jobs.values()].find(one => one.id === row.ciJobId)
    if (job !== undefined) return job.status
  }
  return (await gitlab.ciJob(row.projectId, row.ciJobId)).status
}

async function list(context: Context, gitlab: GitLab, of: OfPipeline): Promise<List> {
  const jobs: List = new Map()
  for (const job of await gitlab.ciJobs(of.projectId, of.pipelineId)) {
    const other = jobs.get(job.name)
    if (other === undefined || other.id < job.id) jobs.set(job.name, { id: job.id, status: job.status })
  }
  listsOf(context).keep(keyOf(of), jobs, believed)
  return jobs
}

/** We have changed it, or found it otherwise than the list has it. */
export function forgetJobs(context: Context, of: OfPipeline): void {
  listsOf(context).forget(keyOf(of))
}

/** We have set it going; the others stand as they did. */
export function nowPlayed(context: Context, of: OfPipeline, name: string): void {
  const job = listsOf(context).look(keyOf(of))?.value.get(name)
  if (job !== undefined) job.status = 'pending'
}
