import { z } from 'zod'
import { type AttemptArray, parseArray } from '../model/array.ts'
import { isId } from '../model/id.ts'
import { type Cause, Person } from '../model/run.ts'
import type { SubmitRequest } from './contract.ts'
import type { AttemptIds } from './layout.ts'

/**
 * What an attempt is, in a file beside its script: a service whose database is older than the cluster (a restored backup) learns from it what it has forgotten.
 * The job's user can write there: it is a hint for bookkeeping and gives nobody a right.
 */
export interface About {
  /** The GitLab instance whose ids these are. */
  readonly gitlab: string
  readonly projectPath: string
  readonly ref: string
  readonly sha: string
  readonly cause: Cause
  readonly how: string
  readonly by: Person | null
  readonly job: string
  /** The configured name, which may be reached as several accounts. */
  readonly cluster: string
  readonly attempt: number
  /** The tasks it was to run; null where the job is no array. */
  readonly array: AttemptArray | null
  readonly createdAt: Date
}

/** Longer files are not ours. */
export const aboutBytes = 32 * 1024

const Id = z.string().refine(isId)
const AboutFile = z.object({
  gitlab: z.string().max(2_000),
  project: z.object({ id: z.number().int().positive(), path: z.string().max(2_000) }),
  run: z.object({
    id: Id,
    ref: z
      .string()
      .startsWith('refs/heads/')
      .max(4_000)
      .refine(ref => !/[\0-\x20\x7f]/.test(ref)),
    sha: z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/),
    cause: z
      .string()
      .max(200)
      .regex(/^(?:(?:head|note|ci):\d{1,15}|(?:tick|api):[^\s\0]+)$/),
    how: z.string().max(2_000),
    by: Person.nullable(),
  }),
  job: z.object({ id: Id, name: z.string().min(1).max(300), cluster: z.string().max(300) }),
  attempt: z.object({
    id: Id,
    number: z.number().int().min(1).max(1_000_000),
    created_at: z.iso.datetime().refine(text => Date.parse(text) >= 0),
    array: z
      .object({
        tasks: z
          .string()
          .max(16_000)
          .refine(text => {
            const read = parseArray(text)
            return read.ok && read.value.tasks === text
          }),
        throttle: z.int().positive().nullable(),
        renumbered: z.boolean(),
      })
      .nullish(),
  }),
})

export function renderAbout(request: SubmitRequest): string {
  const { origin } = request
  const file: z.input<typeof AboutFile> = {
    gitlab: origin.gitlab,
    project: { id: request.projectId, path: request.projectPath },
    run: {
      id: request.runId,
      ref: `refs/heads/${request.branch}`,
      sha: request.sha,
      cause: origin.cause,
      how: origin.how.slice(0, 2_000),
      by: origin.by,
    },
    job: { id: request.jobId, name: request.spec.name, cluster: request.spec.cluster },
    attempt: {
      id: request.attemptId,
      number: request.attempt,
      created_at: origin.createdAt.toISOString(),
      ...(request.array == null ? {} : { array: request.array }),
    },
  }
  return `${JSON.stringify(file)}\n`
}

/** null where it is not such a file, or speaks of another attempt than the one in whose directory it lies. */
export function readAbout(text: string, ids: AttemptIds): About | null {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return null
  }
  const read = AboutFile.safeParse(json)
  if (!read.success) return null
  const { gitlab, project, run, job, attempt } = read.data
  const same =
    project.id === ids.projectId && run.id === ids.runId && job.id === ids.jobId && attempt.id === ids.attemptId
  if (!same) return null
  return {
    gitlab,
    projectPath: project.path,
    ref: run.ref,
    sha: run.sha,
    cause: run.cause as Cause,
    how: run.how,
    by: run.by,
    job: job.name,
    cluster: job.cluster,
    attempt: attempt.number,
    array: attempt.array ?? null,
    createdAt: new Date(attempt.created_at),
  }
}
