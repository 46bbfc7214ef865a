/** The directories of runs on clusters, as far as they have been removed: what is due, and what became of it. */
import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { RetentionFacts } from '../model/retention.ts'
import { ofCiJob } from './ci-jobs.ts'
import { type Db, rows } from './open.ts'
import { fromEvidence } from './recovery.ts'
import { openStates } from './runs.ts'
import { runDirectories } from './schema.ts'

export interface RunOnCluster {
  readonly id: string
  readonly projectId: number
  readonly facts: RetentionFacts
}

interface FactRow {
  readonly id: string
  readonly project_id: number | string
  readonly ended_at: Date | string | null
  readonly under_way: boolean
  readonly uncollected: boolean
  readonly committed: boolean
  readonly kept_by: string | null
  readonly recovering: boolean
  readonly latest_completed: boolean
  readonly branch_lives: boolean
  readonly shown: boolean
  readonly head_of: string | null
  readonly used_by: string | null
  readonly child: string | null
  readonly reused_by: string | null
}

/**
 * Runs that were handed to this account and whose directory has not been removed, by id, behind `after`, of those that ended before `endedBy`; or one run
 * alone. What is younger is most of them, and never due: its facts would be found for nothing.
 */
export async function runsOnCluster(
  db: Db,
  connection: string,
  which: { readonly after: string | null; readonly endedBy: Date; readonly limit: number } | { readonly run: string },
): Promise<RunOnCluster[]> {
  const chosen =
    'run' in which
      ? sql`r.id = ${which.run}`
      : sql`r.ended_at <= ${which.endedBy.toISOString()}::timestamptz and r.id > ${which.after ?? '00000000-0000-0000-0000-000000000000'}::uuid`
  const found = await rows<FactRow>(
    db,
    sql`
      select r.id, r.project_id, r.ended_at, r.kept_by,
        exists (select 1 from jobs j where j.run_id = r.id and j.state in ${openStates})
          or exists (select 1 from attempts a where a.run_id = r.id and not a.final) as under_way,
        exists (select 1 from attempts a where a.run_id = r.id and a.final and a.collected is null and a.collect_problem is null) as uncollected,
        coalesce((select e.sent_hash is not null and e.sent_hash = e.desired_hash from reports e where e.key = 'evidence ' || r.id::text),
          (select bool_and(a.collect_problem is not distinct from ${fromEvidence}) from attempts a where a.run_id = r.id), false)
          and r.version = r.reported_version as committed,
        p.recovering or coalesce((select c.recovering from connections c where c.name = ${connection}), false) as recovering,
        coalesce(r.id = (select l.id from runs l where l.branch_id = r.branch_id and l.state = 'completed' and l.ended_at is not null
          order by l.created_at desc, l.id desc limit 1), false) as latest_completed,
        b.state = 'active' and not ${ofCiJob(sql`b.ref`)} as branch_lives,
        coalesce(b.state = 'active' and not ${ofCiJob(sql`b.ref`)} and b.latest_run_id = r.id, false) as shown,
        (select substr(hb.ref, 12) from branches hb
          where hb.project_id = r.project_id and hb.state = 'active' and not ${ofCiJob(sql`hb.ref`)} and hb.head_sha = r.sha order by hb.ref limit 1) as head_of,
        (select substr(ur.ref, 12) from runs ur where ur.parent_run_id = r.id and ur.parent_gate = 'passed' and ur.ended_at is null
          order by ur.ref limit 1) as used_by,
        (select substr(cb.ref, 12) from branches cb join runs cr on cr.id = cb.latest_run_id
          where cb.project_id = r.project_id and cb.state = 'active' and cr.parent->>'branch' = substr(r.ref, 12) limit 1) as child,
        (select ur.id from attempts u join runs ur on ur.id = u.run_id
          where u.reused is not null and u.reused->>'runId' = r.id::text and ur.ended_at is null limit 1) as reused_by
      from runs r join branches b on b.id = r.branch_id join projects p on p.id = r.project_id
      where ${chosen}
        and exists (select 1 from attempts a where a.run_id = r.id and a.connection = ${connection})
        and not exists (select 1 from run_directories d where d.run_id = r.id and d.connection = ${connection})
      order by r.id limit ${'run' in which ? 1 : which.limit}`,
  )
  return found.map(row => ({
    id: row.id,
    projectId: Number(row.project_id),
    facts: {
      endedAt: row.ended_at === null ? null : new Date(row.ended_at),
      underWay: row.under_way,
      uncollected: row.uncollected,
      committed: row.committed,
      keptBy: row.kept_by,
      recovering: row.recovering,
      latestCompleted: row.latest_completed,
      branchLives: row.branch_lives,
      shown: row.shown,
      headOf: row.head_of,
      usedBy: row.used_by,
      child: row.child,
      reusedBy: row.reused_by,
    },
  }))
}

/** Directories whose removal was begun, by this round or by a process that died, and whose next try is due. */
export async function directoriesBeingRemoved(
  db: Db,
  connection: string,
  limit: number,
): Promise<{ runId: string; projectId: number }[]> {
  const found = await rows<{ run_id: string; project_id: number | string }>(
    db,
    sql`select d.run_id, r.project_id from run_directories d join runs r on r.id = d.run_id
      where d.connection = ${connection} and d.removed_at is null and d.next_at <= now() order by d.next_at, d.run_id limit ${limit}`,
  )
  return found.map(row => ({ runId: row.run_id, projectId: Number(row.project_id) }))
}

export async function markRemoved(db: Db, connection: string, runIds: readonly string[]): Promise<void> {
  if (runIds.length === 0) return
  await db
    .update(runDirectories)
    .set({ removedAt: sql`now()`, problem: null })
    .where(and(eq(runDirectories.connection, connection), inArray(runDirectories.runId, [...runIds])))
}

/** They stand still: tried again in 10 min, 20 min … a day, for ever, behind what has not been tried. */
export async function putOffRemoval(db: Db, connection: string, runIds: readonly string[], why: string): Promise<void> {
  if (runIds.length === 0) return
  await db
    .update(runDirectories)
    .set({
      problem: why,
      tries: sql`${runDirectories.tries} + 1`,
      nextAt: sql`now() + make_interval(secs => least(86400, 600 * power(2, least(${runDirectories.tries}, 10))))`,
    })
    .where(
      and(
        eq(runDirectories.connection, connection),
        inArray(runDirectories.runId, [...runIds]),
        isNull(runDirectories.removedAt),
      ),
    )
}
