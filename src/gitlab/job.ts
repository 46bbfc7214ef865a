import { z } from 'zod'
import type { Client } from './client.ts'
import { all, read, rows, segment } from './read.ts'

/** A CI job. */
export interface CiJob {
  readonly id: number
  readonly name: string
  /** e.g. `manual`, `created`, `running`, `success`. */
  readonly status: string
}

const ciJob = z.object({ id: z.number(), name: z.string(), status: z.string() })

export function jobCalls(client: Client) {
  const id = (jobId: number) => segment(jobId, 'a CI job') as number
  return {
    async ciJob(projectId: number, jobId: number): Promise<CiJob> {
      return read(ciJob, await client.jobs.show(projectId, id(jobId)), `CI job ${jobId}`)
    },

    /** Of one pipeline, those that were retried left out. */
    async ciJobs(projectId: number, pipelineId: number): Promise<CiJob[]> {
      return all(
        rows(ciJob, `the jobs of pipeline ${pipelineId}`, page =>
          client.jobs.all(projectId, { pipelineId: segment(pipelineId, 'a pipeline') as number, ...page }),
        ),
      )
    },

    /**
     * Sets a manual job going, as whoever our token is. GitLab wants the role Developer, and on a protected ref the right to push or to merge there
     * (lib/api/ci/jobs.rb, Ci::BuildPolicy). A job that is not manual (any more) is 400 `Unplayable Job`.
     */
    async playCiJob(projectId: number, jobId: number): Promise<CiJob> {
      return read(ciJob, await client.jobs.play(projectId, id(jobId)), `playing CI job ${jobId}`, true)
    },

    /** Makes a new job in the place of one that has ended. */
    async retryCiJob(projectId: number, jobId: number): Promise<CiJob> {
      return read(ciJob, await client.jobs.retry(projectId, id(jobId)), `retrying CI job ${jobId}`, true)
    },
  }
}
