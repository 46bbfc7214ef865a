import { eq, sql } from 'drizzle-orm'
import type { Db } from './open.ts'
import { projects } from './schema.ts'

export type ProjectRow = typeof projects.$inferSelect

/** Remembers a project under GitLab's id. Its path and default branch may change; an unknown default branch never forgets a known one. */
export async function saveProject(
  db: Db,
  project: { id: number; path: string; defaultBranch: string | null },
): Promise<ProjectRow> {
  const saved = await db
    .insert(projects)
    .values(project)
    .onConflictDoUpdate({
      target: projects.id,
      set: { path: project.path, defaultBranch: sql`coalesce(excluded.default_branch, ${projects.defaultBranch})` },
    })
    .returning()
  return saved[0]!
}

export async function findProject(db: Db, id: number): Promise<ProjectRow | null> {
  return (await db.select().from(projects).where(eq(projects.id, id)))[0] ?? null
}

export async function allProjects(db: Db): Promise<ProjectRow[]> {
  return db.select().from(projects).orderBy(projects.id)
}
