import { sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { rows } from '../store/open.ts'

/**
 * Of these runs, those of which nothing begins because all open merge requests of their branch are drafts, in projects that want it so (`drafts: hold`), each
 * with the sentence. Read from the rows each time: a merge request that is marked ready, closed or joined by another needs nothing undone.
 */
export async function heldAsDrafts(context: Context, runIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const held = new Map<string, string>()
  if (runIds.length === 0 || context.config.projects.every(rule => rule.drafts === 'run')) return held
  const ids = sql.join(
    runIds.map(id => sql`${id}::uuid`),
    sql`, `,
  )
  const found = await rows<{ id: string; path: string; iid: number }>(
    context.db,
    sql`select r.id, p.path, min(m.iid) as iid from runs r
      join projects p on p.id = r.project_id
      join merge_requests m on m.project_id = r.project_id and m.source_project_id = r.project_id
        and r.ref = 'refs/heads/' || m.source_branch and m.state = 'opened'
      where r.id in (${ids}) group by r.id, p.path having bool_and(m.draft)`,
  )
  for (const { id, path, iid } of found)
    if (projectFor(context.config, path)?.drafts === 'hold')
      held.set(id, `!${iid} is a draft: it begins when that is marked ready`)
  return held
}
