import { z } from 'zod'
import type { Client } from './client.ts'
import { all, read, rows, segment } from './read.ts'

export interface Pipeline {
  readonly id: number
  /** Short branch or tag name, or `refs/merge-requests/<iid>/head|merge|train`. */
  readonly ref: string
  readonly sha: string
  readonly status: string
  /** e.g. `push`, `merge_request_event`, `external`; null from GitLab before 14. */
  readonly source: string | null
  readonly createdAt: string | null
}

const pipeline = z
  .object({
    id: z.number(),
    ref: z.string().nullish(),
    sha: z.string().nullish(),
    status: z.string().nullish(),
    source: z.string().nullish(),
    created_at: z.string().nullish(),
  })
  .transform(
    (found): Pipeline => ({
      id: found.id,
      ref: found.ref ?? '',
      sha: found.sha ?? '',
      status: found.status ?? '',
      source: found.source ?? null,
      createdAt: found.created_at ?? null,
    }),
  )

export function pipelineCalls(client: Client) {
  return {
    async pipeline(projectId: number, id: number): Promise<Pipeline> {
      return read(
        pipeline,
        await client.pipelines.show(projectId, segment(id, 'a pipeline id') as number),
        `pipeline ${id}`,
      )
    },

    /** Those of one commit, newest first, as GitLab lists them. */
    async pipelines(projectId: number, options: { sha: string }): Promise<Pipeline[]> {
      return all(
        rows(pipeline, `the pipelines of ${options.sha}`, page =>
          client.pipelines.all(projectId, { sha: options.sha, ...page }),
        ),
      )
    },

    /** Branch pipelines of its commits too, and merged-results pipelines, whose sha is not the head's. */
    async mergeRequestPipelines(projectId: number, iid: number): Promise<Pipeline[]> {
      return all(
        rows(pipeline, `the pipelines of !${iid}`, page =>
          // gitbeaker's type leaves out that this list is paginated.
          client.mergeRequests.allPipelines(projectId, segment(iid, 'a merge request') as number, page as object),
        ),
      )
    },
  }
}

// Sources whose pipelines GitLab counts for a branch. Child pipelines (`parent_pipeline`) and those of scans, policies and the Web IDE
// terminal stand on the branch too, but say nothing about its state.
const branchSources: ReadonlySet<string> = new Set([
  'push',
  'web',
  'api',
  'schedule',
  'trigger',
  'pipeline',
  'chat',
  'external',
  'unknown',
])

/**
 * The pipeline that a commit status belongs to; null if there is none yet. For a merge request its own pipeline, where people look: detached
 * (`…/head`), or for merged results (`…/merge`), whose sha is that of the trial merge, so only `pipelineOf` (what GitLab calls the head
 * pipeline on that ref) can tell which one is this commit's. Else the newest of the branch; one that some integration's statuses
 * made (`external`) only where there is no real one.
 */
export function choosePipeline(
  pipelines: readonly Pipeline[],
  context: {
    readonly sha: string
    /** Short. */
    readonly branch: string
    readonly mergeRequestIid: number | null
    readonly pipelineOf?: (ref: string) => number | null
  },
): Pipeline | null {
  const { sha, branch, mergeRequestIid: iid, pipelineOf } = context
  const newestFirst = pipelines.filter(found => found.source !== 'parent_pipeline').sort((a, b) => b.id - a.id)
  if (iid !== null) {
    const merged = `refs/merge-requests/${iid}/merge`
    const headOfMerged = pipelineOf?.(merged) ?? null
    const own = newestFirst.find(
      found =>
        (found.ref === `refs/merge-requests/${iid}/head` && found.sha === sha) ||
        (found.ref === merged && (found.id === headOfMerged || found.sha === sha)),
    )
    if (own !== undefined) return own
  }
  const ofBranch = newestFirst.filter(
    found => found.ref === branch && found.sha === sha && branchSources.has(found.source ?? 'unknown'),
  )
  return ofBranch.find(found => found.source !== 'external') ?? ofBranch[0] ?? null
}
