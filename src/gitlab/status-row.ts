import { z } from 'zod'
import type { Client } from './client.ts'
import { all, read, rows, segment } from './read.ts'

/** The states that may be asked for. */
export type StatusState = 'pending' | 'running' | 'success' | 'failed' | 'canceled' | 'skipped'

export const finalStatusStates: ReadonlySet<string> = new Set(['success', 'failed', 'canceled', 'skipped'])

/** One row: GitLab makes a new one each time a finished status is set again, and marks the older ones as retried. */
export interface CommitStatus {
  readonly id: number
  readonly sha: string
  readonly ref: string | null
  readonly name: string
  /** Besides the states that may be asked for also GitLab's own, e.g. `created`, `canceling`. */
  readonly state: string
  readonly description: string | null
  readonly targetUrl: string | null
  readonly authorId: number | null
  /** null from GitLab before 16.6. */
  readonly pipelineId: number | null
}

const commitStatus = z
  .object({
    id: z.number(),
    sha: z.string().nullish(),
    ref: z.string().nullish(),
    name: z.string().nullish(),
    status: z.string(),
    description: z.string().nullish(),
    target_url: z.string().nullish(),
    author: z.object({ id: z.number() }).nullish(),
    pipeline_id: z.number().nullish(),
  })
  .transform(
    (found): CommitStatus => ({
      id: found.id,
      sha: found.sha ?? '',
      ref: found.ref ?? null,
      name: found.name ?? '',
      state: found.status,
      description: found.description ?? null,
      targetUrl: found.target_url ?? null,
      authorId: found.author?.id ?? null,
      pipelineId: found.pipeline_id ?? null,
    }),
  )

export function commitStatusCalls(client: Client) {
  return {
    /**
     * The list mixes all refs and pipelines of the sha, CI jobs too. Without `all`, only the latest row of each name and pipeline. A GitLab that
     * does not know the filter `pipeline_id` ignores it, so it is applied here again.
     */
    async commitStatuses(
      projectId: number,
      sha: string,
      options: { ref?: string; pipelineId?: number; name?: string; all?: boolean } = {},
    ): Promise<CommitStatus[]> {
      const { pipelineId, name } = options
      const found = await all(
        rows(commitStatus, `the statuses of ${sha}`, page =>
          client.commits.allStatuses(projectId, segment(sha, 'a commit') as string, { ...options, ...page }),
        ),
      )
      return found.filter(
        row =>
          (pipelineId === undefined || row.pipelineId === null || row.pipelineId === pipelineId) &&
          (name === undefined || row.name === name),
      )
    },

    /** One POST and no more; `sendCommitStatus` knows what to make of its refusals. */
    async createCommitStatus(
      projectId: number,
      sha: string,
      status: {
        readonly state: StatusState
        readonly name: string
        readonly description?: string
        readonly targetUrl?: string
        readonly coverage?: number
        /** Never both: a merge request's pipeline has another ref than its branch, and then GitLab answers 404. */
        readonly where: { readonly pipelineId: number } | { readonly ref: string }
      },
    ): Promise<CommitStatus> {
      const { state, where, ...fields } = status
      // gitbeaker's type of the state leaves out `skipped`.
      const answer = await client.commits.editStatus(
        projectId,
        segment(sha, 'a commit') as string,
        state as 'success',
        {
          ...fields,
          ...where,
        },
      )
      return read(commitStatus, answer, `the status ${status.name}`, true)
    },
  }
}
