/** What happened, for people who look: deliveries of GitLab, and acts of persons. Newest first, page by page. */
import { type SQL, sql } from 'drizzle-orm'
import type { Person } from '../model/run.ts'
import { containing, type Db, rows } from './open.ts'

export interface ListedDelivery {
  readonly id: string
  readonly projectId: number
  readonly receivedAt: Date
  readonly kind: string
  readonly ref: string | null
  readonly sha: string | null
  readonly outcome: 'accepted' | 'ignored'
  /** What came of it, or why nothing did; null: nobody has acted on it yet. */
  readonly result: string | null
  readonly lastError: string | null
  readonly parked: boolean
  readonly runId: string | null
}

export async function listDeliveries(
  db: Db,
  asked: {
    readonly projectIds: readonly number[]
    /** `others`: not our own evidence, statuses and notes coming back. */
    readonly which: 'others' | 'all' | 'ignored' | 'waiting'
    readonly search: string
    /** The last one of the page before. */
    readonly after: string | null
    readonly limit: number
  },
): Promise<ListedDelivery[]> {
  if (asked.projectIds.length === 0) return []
  const conditions: SQL[] = [sql`d.project_id in ${[...asked.projectIds]}`]
  const own = sql`coalesce(d.result, d.reason, '') like 'our own%'`
  if (asked.which === 'others') conditions.push(sql`not ${own}`)
  if (asked.which === 'ignored') conditions.push(sql`d.outcome = 'ignored' and not ${own}`)
  if (asked.which === 'waiting') conditions.push(sql`d.done_at is null`)
  if (asked.after !== null)
    conditions.push(
      sql`(d.received_at, d.id) < (select o.received_at, o.id from deliveries o where o.id = ${asked.after}::uuid)`,
    )
  if (asked.search !== '') {
    const like = containing(asked.search)
    conditions.push(sql`(d.ref ilike ${like} or d.sha ilike ${like} or d.kind ilike ${like} or d.result ilike ${like})`)
  }
  const found = await rows<{
    id: string
    project_id: number | string
    received_at: Date | string
    kind: string
    ref: string | null
    sha: string | null
    outcome: 'accepted' | 'ignored'
    reason: string | null
    result: string | null
    last_error: string | null
    parked: boolean
    run_id: string | null
  }>(
    db,
    sql`select d.id, d.project_id, d.received_at, d.kind, d.ref, d.sha, d.outcome, d.reason, d.result, d.last_error, d.parked_at is not null as parked,
        (select r.id from runs r where r.project_id = d.project_id and r.delivery_id = d.id limit 1) as run_id
      from deliveries d where ${sql.join(conditions, sql` and `)} order by d.received_at desc, d.id desc limit ${asked.limit}`,
  )
  return found.map(row => ({
    ...{ id: row.id, projectId: Number(row.project_id), receivedAt: new Date(row.received_at), kind: row.kind },
    ...{ ref: row.ref, sha: row.sha, outcome: row.outcome, result: row.result ?? row.reason },
    ...{ lastError: row.last_error, parked: row.parked, runId: row.run_id },
  }))
}

export interface ListedAct {
  readonly id: string
  readonly projectId: number
  readonly verb: string
  readonly by: Person
  readonly said: string
  readonly cause: string
  readonly at: Date
}

export async function listActs(
  db: Db,
  asked: {
    readonly projectIds: readonly number[]
    readonly search: string
    readonly after: string | null
    readonly limit: number
  },
): Promise<ListedAct[]> {
  if (asked.projectIds.length === 0) return []
  const conditions: SQL[] = [sql`a.project_id in ${[...asked.projectIds]}`]
  if (asked.after !== null) conditions.push(sql`a.id < ${asked.after}::uuid`)
  if (asked.search !== '') {
    const like = containing(asked.search)
    conditions.push(sql`(a.verb ilike ${like} or a.said ilike ${like} or a.by ->> 'username' ilike ${like})`)
  }
  const found = await rows<Omit<ListedAct, 'projectId' | 'at'> & { project_id: number | string; at: Date | string }>(
    db,
    sql`select a.id, a.project_id, a.verb, a.by, a.said, a.cause, a.at from acts a
      where ${sql.join(conditions, sql` and `)} order by a.id desc limit ${asked.limit}`,
  )
  return found.map(({ project_id, at, ...row }) => ({ ...row, projectId: Number(project_id), at: new Date(at) }))
}
