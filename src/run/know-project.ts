import { and, eq, ne } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { isGitLabError } from '../gitlab/gitlab.ts'
import { findProject, type ProjectRow, saveProject } from '../store/projects.ts'
import { projects } from '../store/schema.ts'

export interface KnownAs {
  readonly id: number
  readonly path: string
  readonly defaultBranch: string | null
}

/**
 * Remembers where GitLab says that a project is. Its id is what it is, its path is only where git finds it now: a path that another project
 * had before leads to this one from now on, so the other is asked for by its id first, else its heads would be read from a stranger.
 */
export async function knowProject(context: Context, found: KnownAs): Promise<ProjectRow> {
  const before = await context.db
    .select()
    .from(projects)
    .where(and(eq(projects.path, found.path), ne(projects.id, found.id)))
  for (const other of before) await findMoved(context, other)
  const known = await findProject(context.db, found.id)
  if (known !== null && known.path !== found.path) {
    context.log.info({ step: 'heads', project: found.path, id: found.id }, `${known.path} has moved to ${found.path}`)
    if (projectFor(context.config, found.path) === null) {
      // GitLab still serves the old address: what runs comes to its end.
      context.log.warn({ step: 'heads', project: found.path }, `no rule of the configuration matches ${found.path}`)
      return known
    }
  }
  return saveProject(context.db, found)
}

/** Another project stands at its path: it has moved, or is gone. */
async function findMoved(context: Context, other: ProjectRow): Promise<void> {
  const found = await context
    .gitlabOf(other.path)
    .project(other.id)
    .catch(error => {
      if (isGitLabError(error, 'not found')) return null
      throw error
    })
  if (found?.pathWithNamespace === other.path) return
  // Nowhere that git could be sent to.
  const path = found?.pathWithNamespace ?? `#${other.id}`
  await saveProject(context.db, { id: other.id, path, defaultBranch: found?.defaultBranch ?? null })
  context.log.warn(
    { step: 'heads', project: other.path, id: other.id },
    found === null
      ? `${other.path} is another project now; the former one is gone or cannot be seen`
      : `${other.path} is another project now; the former one has moved to ${path}`,
  )
}
