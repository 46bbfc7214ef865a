import type { ProjectConfig } from '../config/index.ts'
import { type Context, connectionName } from '../context.ts'
import { newId } from '../model/id.ts'
import type { JobSpec } from '../model/job-spec.ts'
import type { Person } from '../model/run.ts'
import type { ProjectRow } from '../store/projects.ts'

/** Each value of a job that is no line of its script, and where it came from. */
export function valuesOf(spec: JobSpec): { readonly key: string; readonly value: unknown; readonly from: string }[] {
  const known: Readonly<Record<string, unknown>> = {
    ...{ cluster: spec.cluster, ...spec.resources, array: spec.array?.tasks },
    ...Object.fromEntries(Object.entries(spec.params).map(([name, value]) => [`params.${name}`, value])),
    ...Object.fromEntries(Object.entries(spec.env).map(([name, value]) => [`env.${name}`, value])),
  }
  return Object.entries(spec.origins)
    .filter(([key]) => known[key] !== undefined)
    .map(([key, from]) => ({ key, value: known[key], from }))
}

export interface JobToPlan {
  readonly project: ProjectRow
  readonly rule: ProjectConfig
  readonly spec: JobSpec
  readonly branch: string
  readonly sha: string
  readonly by: Person
}

/** What would be submitted of a job, line by line, with where each value came from; nothing is asked of its cluster. Throws CompopsError where its scheduler has no words for it. */
export function planJob(
  context: Context,
  { project, rule, spec, branch, sha, by }: JobToPlan,
): readonly { readonly text: string; readonly from: string | null }[] {
  return context.clusterOf(connectionName(spec.cluster, rule)).plan({
    ...{ projectId: project.id, projectPath: project.path, branch, sha, spec, dependsOn: [] },
    ...{ runId: newId(), jobId: newId(), attemptId: newId(), attempt: 1, siblings: [], secrets: {} },
    ...{ parentBranch: null, parentRunId: null, person: by.username },
    origin: { gitlab: context.config.gitlab.url, cause: 'api:plan', how: 'a plan', by, createdAt: context.clock.now() },
    source: { sha, path: '', size: 0 },
  }).lines
}
