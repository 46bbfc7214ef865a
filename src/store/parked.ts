import { sql } from 'drizzle-orm'
import { type ParkedRow, type ParkingTable, parkingTables } from '../model/parked.ts'
import { type Db, rows } from './open.ts'

export type { ParkedRow, ParkingTable }

/** At most `limit` of them, oldest first. */
export async function parkedRows(db: Db, limit = 1_000): Promise<ParkedRow[]> {
  const found = await rows<Omit<ParkedRow, 'parkedAt' | 'tries'> & { parkedAt: string | Date; tries: number | string }>(
    db,
    sql`select p."table", p.id, p.what, p.tries, p."lastError", p."parkedAt", coalesce(j.path, p.path) as "projectPath" from (
        select 'deliveries' as "table", id, kind || coalesce(' of ' || ref, '') as what, tries, last_error as "lastError", parked_at as "parkedAt", project_id, project_path as path
          from deliveries where parked_at is not null
        union all select 'reports', id, key, tries, last_error, parked_at, project_id, null from reports where parked_at is not null
        union all select 'attempts', a.id, 'attempt ' || a.number || ' of job ' || coalesce(j.name, '?') || ' on ' || a.connection, a.tries, a.last_error, a.parked_at, a.project_id, null
          from attempts a left join jobs j on j.id = a.job_id where a.parked_at is not null
        union all select 'runs', id, 'what GitLab should show of the run of ' || ref || ' at ' || left(sha, 8), tries, last_error, parked_at, project_id, null
          from runs where parked_at is not null
        union all select 'comments', id, 'the commands of note ' || note_id || ' on !' || iid, tries, last_error, parked_at, project_id, null
          from comments where parked_at is not null
        union all select 'ci_jobs', id, 'what CI job ' || ci_job_id || ' (' || name || ') left to us', tries, last_error, parked_at, project_id, null
          from ci_jobs where parked_at is not null
        union all select 'schedules', s.id, 'the schedule ' || s.cron || coalesce(' of ' || b.ref, ''), s.tries, s.last_error, s.parked_at, s.project_id, null
          from schedules s left join branches b on b.id = s.branch_id where s.parked_at is not null
      ) p left join projects j on j.id = p.project_id order by p."parkedAt", p.id limit ${limit}`,
  )
  return found.map(row => ({ ...row, tries: Number(row.tries), parkedAt: new Date(row.parkedAt) }))
}

/** Gives parked rows another chance: all of them, those of a table, or one. Returns how many. Its last error stays until it has gone well. */
export async function retryParked(db: Db, which: { table?: ParkingTable; id?: string } = {}): Promise<number> {
  let freed = 0
  for (const table of parkingTables) {
    if (which.table !== undefined && which.table !== table) continue
    const one = which.id === undefined ? sql`` : sql` and id = ${which.id}`
    const back = await rows<{ id: string }>(
      db,
      sql`update ${sql.identifier(table)} set parked_at = null, tries = 0, interrupted = 0, next_at = now(), lease_until = null where parked_at is not null${one} returning id`,
    )
    freed += back.length
  }
  return freed
}
