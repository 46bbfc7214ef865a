import { z } from 'zod'
import type { Client } from './client.ts'
import { isGitLabError } from './errors.ts'
import { all, isMissing, read, rows, segment } from './read.ts'

export interface MergeRequest {
  readonly projectId: number
  readonly iid: number
  /** `locked` for the moment that a merge takes. */
  readonly state: 'opened' | 'closed' | 'merged' | 'locked'
  readonly draft: boolean
  readonly title: string
  /** Short. */
  readonly sourceBranch: string
  readonly targetBranch: string
  /** null once the fork it came from has been deleted. */
  readonly sourceProjectId: number | null
  readonly targetProjectId: number
  /** Head of the source branch; null while GitLab works it out. */
  readonly sha: string | null
  readonly webUrl: string
  readonly author: { readonly id: number; readonly username: string }
  /** Absent from lists. May be a pipeline that our own statuses made. */
  readonly headPipeline: { readonly id: number; readonly ref: string; readonly source: string | null } | null
  readonly labels: readonly string[]
  /** As GitLab writes it; also a note moves it. */
  readonly updatedAt: string | null
}

const mergeRequest = z
  .object({
    iid: z.number(),
    project_id: z.number(),
    state: z.enum(['opened', 'closed', 'merged', 'locked']),
    draft: z.boolean().nullish(),
    work_in_progress: z.boolean().nullish(),
    title: z.string().nullish(),
    source_branch: z.string(),
    target_branch: z.string(),
    source_project_id: z.number().nullish(),
    target_project_id: z.number().nullish(),
    sha: z.string().nullish(),
    web_url: z.string().nullish(),
    author: z.object({ id: z.number(), username: z.string() }).nullish(),
    head_pipeline: z.object({ id: z.number(), ref: z.string().nullish(), source: z.string().nullish() }).nullish(),
    labels: z.array(z.unknown()).nullish(),
    updated_at: z.string().nullish(),
  })
  .transform(
    (found): MergeRequest => ({
      projectId: found.project_id,
      iid: found.iid,
      state: found.state,
      draft: found.draft ?? found.work_in_progress ?? false,
      title: found.title ?? '',
      sourceBranch: found.source_branch,
      targetBranch: found.target_branch,
      sourceProjectId: found.source_project_id ?? null,
      targetProjectId: found.target_project_id ?? found.project_id,
      sha: found.sha ?? null,
      webUrl: found.web_url ?? '',
      // A deleted author is GitLab's ghost; one that is missing altogether is nobody.
      author: found.author ?? { id: 0, username: 'ghost' },
      headPipeline:
        found.head_pipeline === null || found.head_pipeline === undefined
          ? null
          : {
              id: found.head_pipeline.id,
              ref: found.head_pipeline.ref ?? '',
              source: found.head_pipeline.source ?? null,
            },
      updatedAt: found.updated_at ?? null,
      labels: (found.labels ?? []).filter(label => typeof label === 'string'),
    }),
  )

export function mergeRequestCalls(client: Client) {
  return {
    /**
     * The open merge requests from this project's branch into this project. GitLab's filter goes by the branch's name alone, so a fork's
     * branch of the same name has to be sorted out here.
     */
    async openMergeRequestsOf(projectId: number, sourceBranch: string): Promise<MergeRequest[]> {
      const found = await all(
        rows(mergeRequest, `the merge requests of ${sourceBranch}`, page =>
          client.mergeRequests.all({ projectId, state: 'opened', sourceBranch, ...page }),
        ),
      )
      return found.filter(one => one.sourceProjectId === projectId && one.sourceBranch === sourceBranch)
    },

    /** Those of this project's branch whatever their state, the newest first. */
    async mergeRequestsOf(projectId: number, sourceBranch: string): Promise<MergeRequest[]> {
      const found = await all(
        rows(mergeRequest, `the merge requests of ${sourceBranch}`, page =>
          client.mergeRequests.all({ projectId, sourceBranch, ...page }),
        ),
      )
      return found
        .filter(one => one.sourceProjectId === projectId && one.sourceBranch === sourceBranch)
        .sort((a, b) => b.iid - a.iid)
    },

    async createMergeRequest(
      projectId: number,
      given: {
        readonly sourceBranch: string
        readonly targetBranch: string
        readonly title: string
        readonly description: string
      },
    ): Promise<MergeRequest> {
      const { sourceBranch, targetBranch, title, description } = given
      const answer: unknown = await client.mergeRequests.create(projectId, sourceBranch, targetBranch, title, {
        description,
        removeSourceBranch: true,
      })
      return read(mergeRequest, answer, 'the new merge request', true)
    },

    /** Merge requests into the project, whatever their state, that were changed since. A project without merge requests has none. */
    async mergeRequestsChanged(projectId: number, since: Date): Promise<MergeRequest[]> {
      try {
        return await all(
          rows(mergeRequest, 'the merge requests', page =>
            client.mergeRequests.all({ projectId, updatedAfter: since.toISOString(), ...page }),
          ),
        )
      } catch (error) {
        // The feature can be switched off: then it answers 403.
        if (isGitLabError(error, 'forbidden')) return []
        throw error
      }
    },

    /** null if there is no such merge request; a project that cannot be seen is an error. */
    async mergeRequest(projectId: number, iid: number): Promise<MergeRequest | null> {
      try {
        const answer = await client.mergeRequests.show(projectId, segment(iid, 'a merge request') as number)
        return read(mergeRequest, answer, `!${iid}`)
      } catch (error) {
        if (isMissing(error)) return null
        throw error
      }
    },
  }
}
