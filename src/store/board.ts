/** The table of jobs over several projects, as a scheduler shows its queue; and what computing has cost. */
import { type SQL, sql } from 'drizzle-orm'
import type { ArraySpec } from '../model/array.ts'
import type { Resources } from '../model/job-spec.ts'
import type { FailureReason, JobState } from '../model/job-state.ts'
import type { Progress } from '../model/observation.ts'
import { containing, type Db, first, rows } from './open.ts'
import { openStates } from './runs.ts'

export const boardSorts = ['newest', 'job', 'branch', 'cluster', 'state', 'waited', 'ran'] as const
export type BoardSort = (typeof boardSorts)[number]

export interface BoardAsked {
  readonly projectIds: readonly number[]
  /** `now`: what is under way. `day`: that, and what ended within 24 hours. */
  readonly when: 'now' | 'day' | 'all'
  readonly state: JobState | null
  readonly cluster: string | null
  /** Part of a branch, a job's name, a native id, or a person. */
  readonly search: string
  readonly sort: BoardSort
  readonly descending: boolean
  readonly offset: number
  readonly limit: number
}

export interface BoardJob {
  readonly id: string
  readonly name: string
  readonly runId: string
  readonly projectId: number
  readonly ref: string
  readonly sha: string
  readonly by: string | null
  readonly cluster: string
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
  readonly resources: Resources
  readonly array: ArraySpec | null
  readonly nativeId: string | null
  readonly attempts: number
  readonly progress: Progress | null
  readonly createdAt: Date
  readonly queuedAt: Date | null
  readonly startedAt: Date | null
  readonly endedAt: Date | null
}

export interface Board {
  readonly jobs: readonly BoardJob[]
  readonly total: number
  /** Of everything that `when`, cluster and search leave, by state. */
  readonly states: Readonly<Partial<Record<JobState, number>>>
}

export async function readBoard(db: Db, asked: BoardAsked): Promise<Board> {
  if (asked.projectIds.length === 0) return { jobs: [], total: 0, states: {} }
  const conditions: SQL[] = [sql`j.project_id in ${[...asked.projectIds]}`]
  if (asked.when === 'now') conditions.push(sql`j.state in ${openStates}`)
  if (asked.when === 'day')
    conditions.push(sql`(j.state in ${openStates} or r.ended_at > now() - interval '24 hours' or r.ended_at is null)`)
  if (asked.cluster !== null) conditions.push(sql`j.cluster = ${asked.cluster}`)
  if (asked.search !== '') {
    const like = containing(asked.search)
    conditions.push(sql`(j.name ilike ${like} or substr(r.ref, 12) ilike ${like} or r.caused_by ->> 'username' ilike ${like}
      or j.id in (select n.job_id from attempts n where n.native_id ilike ${like}))`)
  }
  const from = sql`from jobs j join runs r on r.id = j.run_id`
  const where = sql`where ${sql.join(conditions, sql` and `)}`
  const counted = await rows<{ state: JobState; n: number | string }>(
    db,
    sql`select j.state, count(*) as n ${from} ${where} group by j.state`,
  )
  const states = Object.fromEntries(counted.map(row => [row.state, Number(row.n)])) as Board['states']
  const total = asked.state === null ? Object.values(states).reduce((sum, n) => sum + n, 0) : (states[asked.state] ?? 0)
  const direction = asked.descending ? sql`desc nulls last` : sql`asc nulls last`
  const byAttempt = asked.sort === 'waited' || asked.sort === 'ran'
  const order = {
    newest: sql`j.id`,
    job: sql`j.name`,
    branch: sql`r.ref`,
    cluster: sql`j.cluster`,
    state: sql`j.state`,
    waited: sql`coalesce(a.started_at, a.ended_at, now()) - coalesce(a.queued_at, a.submitted_at)`,
    ran: sql`coalesce(a.ended_at, now()) - a.started_at`,
  }[asked.sort]
  // Only the page's own jobs are looked up further, unless the order itself is by what their attempts say.
  const page = sql`select j.id as job_id, ${order} as sorted ${from} ${byAttempt ? lastAttempt(sql`j.id`) : sql``}
    ${where} ${asked.state === null ? sql`` : sql`and j.state = ${asked.state}`}`
  const found = await rows<BoardFields>(
    db,
    sql`select j.id, j.name, j.run_id, j.project_id, r.ref, r.sha, r.caused_by ->> 'username' as by, j.cluster, j.state, j.reason, j.message,
        j.spec -> 'resources' as resources, j.spec -> 'array' as task_array, a.native_id, a.number, a.progress, r.created_at, coalesce(a.queued_at, a.submitted_at) as queued_at,
        a.started_at, a.ended_at
      from (${page} order by sorted ${direction}, j.id desc limit ${asked.limit} offset ${asked.offset}) page
      join jobs j on j.id = page.job_id join runs r on r.id = j.run_id ${lastAttempt(sql`j.id`)}
      order by page.sorted ${direction}, j.id desc`,
  )
  return { jobs: found.map(toBoardJob), total, states }
}

const lastAttempt = (job: SQL) => sql`left join lateral (
    select native_id, number, progress, queued_at, submitted_at, started_at, ended_at from attempts one where one.job_id = ${job} order by number desc limit 1
  ) a on true`

interface BoardFields {
  readonly id: string
  readonly name: string
  readonly run_id: string
  readonly project_id: number | string
  readonly ref: string
  readonly sha: string
  readonly by: string | null
  readonly cluster: string
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
  readonly resources: Resources | null
  readonly task_array: ArraySpec | null
  readonly native_id: string | null
  readonly number: number | null
  readonly progress: Progress | null
  readonly created_at: Date | string
  readonly queued_at: Date | string | null
  readonly started_at: Date | string | null
  readonly ended_at: Date | string | null
}

const date = (value: Date | string | null) => (value === null ? null : new Date(value))

function toBoardJob(row: BoardFields): BoardJob {
  return {
    ...{ id: row.id, name: row.name, runId: row.run_id, projectId: Number(row.project_id), ref: row.ref, sha: row.sha },
    ...{ by: row.by, cluster: row.cluster, state: row.state, reason: row.reason, message: row.message },
    ...{ resources: row.resources ?? {}, array: row.task_array, nativeId: row.native_id, attempts: row.number ?? 0 },
    progress: row.progress,
    createdAt: new Date(row.created_at),
    ...{ queuedAt: date(row.queued_at), startedAt: date(row.started_at), endedAt: date(row.ended_at) },
  }
}

/** Jobs by state, of runs that are under way, and how many ended within 24 hours, well and badly. */
export async function countBoard(
  db: Db,
  projectIds: readonly number[],
): Promise<{
  readonly open: Readonly<Partial<Record<JobState, number>>>
  readonly completed: number
  readonly failed: number
}> {
  if (projectIds.length === 0) return { open: {}, completed: 0, failed: 0 }
  const open = await rows<{ state: JobState; n: number | string }>(
    db,
    sql`select state, count(*) as n from jobs where state in ${openStates} and project_id in ${[...projectIds]} group by state`,
  )
  const ended = await first<{ completed: number | string; failed: number | string }>(
    db,
    sql`select count(*) filter (where a.state = 'completed') as completed, count(*) filter (where a.state = 'failed') as failed
      from attempts a where a.ended_at > now() - interval '24 hours' and a.project_id in ${[...projectIds]}`,
  )
  return {
    open: Object.fromEntries(open.map(row => [row.state, Number(row.n)])),
    completed: Number(ended?.completed ?? 0),
    failed: Number(ended?.failed ?? 0),
  }
}

/** What is under way of these projects, by cluster and state. */
export async function openOn(
  db: Db,
  projectIds: readonly number[],
): Promise<ReadonlyMap<string, Readonly<Partial<Record<JobState, number>>>>> {
  const counts = new Map<string, Partial<Record<JobState, number>>>()
  if (projectIds.length === 0) return counts
  const found = await rows<{ cluster: string; state: JobState; n: number | string }>(
    db,
    sql`select cluster, state, count(*) as n from jobs where state in ${openStates} and project_id in ${[...projectIds]} group by 1, 2`,
  )
  for (const { cluster, state, n } of found) counts.set(cluster, { ...counts.get(cluster), [state]: Number(n) })
  return counts
}

export interface Usage {
  readonly name: string
  readonly coreSeconds: number
}

export interface UsageTables {
  readonly person: readonly Usage[]
  readonly project: readonly Usage[]
  readonly cluster: readonly Usage[]
}

const mostUsers = 8

/** Core time that was held in the last days, by person, project and cluster: the most first. What was held is looked at once for all three. */
export async function usageOf(db: Db, projects: ReadonlyMap<number, string>, days: number): Promise<UsageTables> {
  if (projects.size === 0) return { person: [], project: [], cluster: [] }
  const found = await rows<{
    person: string | null
    project: number | string | null
    cluster: string | null
    kind: 'person' | 'project' | 'cluster'
    seconds: number | string
  }>(
    db,
    sql`with held as materialized (
        select coalesce(r.caused_by ->> 'username', 'nobody') as person, a.project_id as project, split_part(a.connection, '#', 1) as cluster,
          extract(epoch from coalesce(a.ended_at, now()) - greatest(a.started_at, now() - ${days} * interval '1 day'))
            * coalesce((a.accounting ->> 'cpus')::float8, 1) as seconds
        from attempts a join runs r on r.id = a.run_id
        where a.project_id in ${[...projects.keys()]} and a.started_at is not null and coalesce(a.ended_at, now()) > now() - ${days} * interval '1 day'
          and (not a.final or a.ended_at is not null))
      select person, project, cluster, case grouping(person, project, cluster) when 3 then 'person' when 5 then 'project' else 'cluster' end as kind,
        sum(seconds) as seconds
      from held group by grouping sets ((person), (project), (cluster)) order by seconds desc`,
  )
  const table = (kind: keyof UsageTables) =>
    found
      .filter(row => row.kind === kind)
      .slice(0, mostUsers)
      .map(row => ({
        name: kind === 'project' ? (projects.get(Number(row.project)) ?? '') : (row[kind] ?? ''),
        coreSeconds: Math.max(0, Number(row.seconds)),
      }))
  return { person: table('person'), project: table('project'), cluster: table('cluster') }
}
