import { eq } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { branchPath, pathUrl } from '../render/links.ts'
import { openMergeRequests } from '../store/merge-requests.ts'
import { shortBranch } from '../store/runs.ts'
import { projects, reports, runs } from '../store/schema.ts'

/**
 * The page in GitLab where a person reads about a run: its merge request, else the branch's page once that is committed, else its commit.
 * GitLab decides who may see it. null when there is no such run.
 */
export async function whereToLook(context: Context, runId: string): Promise<string | null> {
  const found = await context.db
    .select({ projectId: runs.projectId, projectPath: projects.path, ref: runs.ref, sha: runs.sha })
    .from(runs)
    .innerJoin(projects, eq(projects.id, runs.projectId))
    .where(eq(runs.id, runId))
  if (found[0] === undefined) return null
  const run = { ...found[0], branch: shortBranch(found[0].ref) }
  const project = `${context.config.gitlab.url}/${pathUrl(run.projectPath)}/-`
  const open = (await openMergeRequests(context.db, run.projectId, run.branch)).at(-1)
  if (open !== undefined) return `${project}/merge_requests/${open.iid}`
  const evidence = await context.db
    .select({ sent: reports.sentHash })
    .from(reports)
    .where(eq(reports.key, `evidence ${runId}`))
  const branch = projectFor(context.config, run.projectPath)?.evidence.branch
  if (evidence[0]?.sent != null && branch !== undefined)
    return `${project}/blob/${pathUrl(branch)}/${pathUrl(branchPath(run.branch, 'md'))}`
  return `${project}/commit/${run.sha}`
}
