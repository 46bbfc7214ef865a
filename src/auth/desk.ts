import { eq, sql } from 'drizzle-orm'
import { type Config, type ProjectConfig, projectFor } from '../config/index.ts'
import { isId } from '../model/id.ts'
import type { Db } from '../store/open.ts'
import { findProject, type ProjectRow } from '../store/projects.ts'
import { findRun } from '../store/runs.ts'
import { attempts, jobs, projects, type runs } from '../store/schema.ts'
import { noSuch, noSuchProject, type ProjectAccess } from './access.ts'
import { Refusal } from './refusal.ts'
import type { Caller } from './sign-in.ts'

/** A project that the caller may look at. */
export interface Seen {
  readonly project: ProjectRow
  readonly rule: ProjectConfig
  /** Their role there, as GitLab numbers them. */
  readonly level: number
}

export type RunSeen = Seen & { readonly run: typeof runs.$inferSelect }
export type JobSeen = Seen & { readonly job: typeof jobs.$inferSelect }
export type AttemptSeen = Seen & { readonly attempt: typeof attempts.$inferSelect }

/**
 * Where everything that is asked for is looked up: only what GitLab shows to the caller is there, whatever its id. Each throws Refusal; `anew` asks GitLab for their rights
 * again instead of believing what it said within the last minute.
 */
export interface Desk {
  project(caller: Caller, idOrPath: string, anew?: boolean): Promise<Seen>
  run(caller: Caller, id: string, anew?: boolean): Promise<RunSeen>
  job(caller: Caller, id: string, anew?: boolean): Promise<JobSeen>
  attempt(caller: Caller, id: string): Promise<AttemptSeen>
}

export function openDesk(
  context: { readonly db: Db; readonly config: Pick<Config, 'projects'> },
  access: ProjectAccess,
): Desk {
  const { db, config } = context

  async function see(caller: Caller, project: ProjectRow | null, anew: boolean): Promise<Seen> {
    const rule = project === null ? null : projectFor(config, project.path)
    if (project === null || rule === null) throw noSuchProject()
    return { project, rule, ...(await access(caller, project, anew)) }
  }

  /** Something of a project, in the words of whoever asked for it by its own id. */
  async function seeOwner(caller: Caller, thing: string, projectId: number | null, anew = false): Promise<Seen> {
    try {
      return await see(caller, projectId === null ? null : await findProject(db, projectId), anew)
    } catch (error) {
      throw error instanceof Refusal && error.status === 404 ? noSuch(thing) : error
    }
  }

  return {
    async project(caller, idOrPath, anew = false) {
      // GitLab's own paths hold no other letters, and differ by more than their case.
      const [project = null] = /^\d{1,15}$/.test(idOrPath)
        ? await db
            .select()
            .from(projects)
            .where(eq(projects.id, Number(idOrPath)))
        : await db.select().from(projects).where(sql`lower(${projects.path}) = lower(${idOrPath})`)
      return see(caller, project, anew)
    },
    async run(caller, id, anew) {
      const run = isId(id) ? await findRun(db, id) : null
      const seen = await seeOwner(caller, 'run', run?.projectId ?? null, anew)
      return { ...seen, run: run! }
    },
    async job(caller, id, anew) {
      const [job] = isId(id) ? await db.select().from(jobs).where(eq(jobs.id, id)) : []
      const seen = await seeOwner(caller, 'job', job?.projectId ?? null, anew)
      return { ...seen, job: job! }
    },
    async attempt(caller, id) {
      const [attempt] = isId(id) ? await db.select().from(attempts).where(eq(attempts.id, id)) : []
      const seen = await seeOwner(caller, 'attempt', attempt?.projectId ?? null)
      return { ...seen, attempt: attempt! }
    },
  }
}
