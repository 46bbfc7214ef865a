import { sql } from 'drizzle-orm'
import { type Db, rows } from '../../src/store/open.ts'
import type { QueuedJob } from './queue.ts'
import { runsOn, waitsFor } from './queue.ts'

/** `count` jobs in runs of a hundred, every `nth` one running and the others waiting, as an earlier poll would have left them. */
export async function seedJobs(db: Db, connection: string, count: number, nth = 2): Promise<QueuedJob[]> {
  const isRunning = sql`n % ${sql.raw(String(nth))} = 0`
  await db.execute(sql`
    create temporary table seed as
      select n, gen_random_uuid() as job_id, gen_random_uuid() as attempt_id, md5(${connection} || n / 100)::uuid as run_id
      from generate_series(1, ${sql.raw(String(count))}) as n`)
  await db.execute(sql`
    insert into runs (id, project_id, branch_id, ref, sha, cause, caused_how, state)
    select distinct run_id, 1, run_id, 'refs/heads/' || run_id, md5(run_id::text), 'push', 'push', 'running' from seed`)
  await db.execute(sql`
    insert into jobs (id, run_id, project_id, position, name, spec, cluster, connection, state, message)
    select job_id, run_id, 1, n, 'job-' || n, '{}', ${connection}, ${connection},
      case when ${isRunning} then 'running' else 'queued' end, case when ${isRunning} then null else ${waitsFor} end from seed`)
  await db.execute(sql`
    insert into attempts (id, job_id, run_id, project_id, connection, number, native_id, state, message, nodes, submitted_at, started_at)
    select attempt_id, job_id, run_id, 1, ${connection}, 1, (100000 + n)::text,
      case when ${isRunning} then 'running' else 'queued' end, case when ${isRunning} then null else ${waitsFor} end,
      case when ${isRunning} then ${JSON.stringify(runsOn)}::jsonb else '[]' end, now(), case when ${isRunning} then now() end from seed`)
  await db.execute(sql`drop table seed`)
  await db.execute(sql`analyze`)
  return rows<QueuedJob>(
    db,
    sql`select id, native_id as "nativeId", state = 'running' as running from attempts where connection = ${connection} order by id`,
  )
}
