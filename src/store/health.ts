import { sql } from 'drizzle-orm'
import type { HoldMode } from '../model/hold.ts'
import { newId } from '../model/id.ts'
import { insertDeliveries } from './deliveries.ts'
import { type Db, first, transact } from './open.ts'

/** How the work stands, read in one statement: what `/readyz` and `/metrics` show of the store. Ages are seconds by the database's clock. */
export interface Overview {
  readonly connections: readonly {
    readonly name: string
    readonly unreachableSince: string | null
    readonly troubledSince: string | null
    readonly lastError: string | null
    readonly lastRoundAt: string | null
    readonly roundAge: number | null
    readonly recovering: boolean
  }[]
  readonly projects: { readonly troubled: number; readonly since: string | null; readonly recovering: number }
  readonly parked: {
    readonly deliveries: number
    readonly reports: number
    readonly attempts: number
    readonly runs: number
    readonly comments: number
    readonly schedules: number
    readonly ci_jobs: number
  }
  readonly unread: { readonly n: number; readonly age: number | null }
  readonly reports: readonly { readonly kind: string; readonly n: number; readonly age: number }[]
  /** Those in force. */
  readonly holds: readonly {
    readonly cluster: string
    readonly mode: HoldMode
    readonly reason: string | null
    readonly by: string
    readonly since: string
    readonly until: string | null
  }[]
  readonly jobs: readonly { readonly connection: string; readonly state: string; readonly n: number }[]
  /** CI jobs that are not through. */
  readonly ciJobs: readonly { readonly mode: string; readonly state: CiJobState; readonly n: number }[]
  /** Those in force. */
  readonly leases: readonly { readonly name: string; readonly holder: string }[]
}

/** What a CI job waits for: its run, the begin or the end of its batch jobs, or, when those have ended, that its gate is played and its row closed. */
export type CiJobState = 'asked' | 'queued' | 'running' | 'ended'

const ciJobsOpen = sql`select mode, state, count(*) as n from (
  select c.asked->>'mode' as mode, case when c.run_id is null then 'asked' when bool_or(j.state in ('running', 'suspended')) then 'running'
      when bool_or(j.state not in ('completed', 'failed', 'canceled', 'skipped')) then 'queued' else 'ended' end as state
    from ci_jobs c left join jobs j on j.run_id = c.run_id and (c.wanted is null or c.wanted ? j.name)
    where c.ended_at is null and c.parked_at is null group by c.id) o group by mode, state`

/** Every part has a partial index of its own, so that it costs the same with a hundred thousand rows that are done. */
export async function overview(db: Db): Promise<Overview> {
  const row = await first<{ overview: Overview | string }>(
    db,
    sql`select json_build_object(
      'connections', (select coalesce(json_agg(json_build_object('name', name, 'unreachableSince', unreachable_since, 'troubledSince', troubled_since,
        'lastError', last_error, 'lastRoundAt', last_round_at, 'roundAge', extract(epoch from now() - last_round_at), 'recovering', recovering)), '[]') from connections),
      'projects', (select json_build_object('troubled', count(*) filter (where last_error is not null), 'since', min(troubled_since) filter (where last_error is not null),
        'recovering', count(*) filter (where recovering)) from projects),
      'parked', json_build_object(
        'deliveries', (select count(*) from deliveries where parked_at is not null),
        'reports', (select count(*) from reports where parked_at is not null),
        'attempts', (select count(*) from attempts where parked_at is not null),
        'runs', (select count(*) from runs where parked_at is not null),
        'comments', (select count(*) from comments where parked_at is not null),
        'schedules', (select count(*) from schedules where parked_at is not null),
        'ci_jobs', (select count(*) from ci_jobs where parked_at is not null)),
      'ciJobs', (select coalesce(json_agg(json_build_object('mode', mode, 'state', state, 'n', n)), '[]') from (${ciJobsOpen}) c),
      'unread', (select json_build_object('n', count(*), 'age', extract(epoch from now() - min(received_at))) from deliveries where done_at is null and parked_at is null),
      'reports', (select coalesce(json_agg(json_build_object('kind', kind, 'n', n, 'age', age)), '[]') from (
        select kind, count(*) as n, extract(epoch from now() - min(unsent_since)) as age from reports
          where sent_hash is distinct from desired_hash and parked_at is null group by kind) r),
      'jobs', (select coalesce(json_agg(json_build_object('connection', connection, 'state', state, 'n', n)), '[]') from (
        select connection, state, count(*) as n from jobs where state not in ('completed', 'failed', 'canceled', 'skipped') group by connection, state) j),
      'holds', (select coalesce(json_agg(json_build_object('cluster', cluster, 'mode', mode, 'reason', reason, 'by', "by", 'since', since, 'until', "until")), '[]')
        from holds where "until" is null or "until" > now()),
      'leases', (select coalesce(json_agg(json_build_object('name', name, 'holder', holder)), '[]') from leases where until > now())
    ) as overview`,
  )
  const answer = row!.overview
  return typeof answer === 'string' ? (JSON.parse(answer) as Overview) : answer
}

/**
 * Writes and commits one small row: a full disk or a standby lets a ping through. A single statement, so that a process that is frozen in the middle holds
 * no lock that another replica waits for.
 */
export async function probeWrite(db: Db, holder: string): Promise<void> {
  await db.execute(
    sql`insert into leases (name, holder, fence, until) values ('write probe', ${holder}, 1, now())
      on conflict (name) do update set holder = excluded.holder, until = excluded.until`,
  )
}

class Undone extends Error {}

/** Whether a delivery could be stored: one is inserted and taken back. Only asked after storing one has failed. */
export async function probeInsert(db: Db): Promise<void> {
  const id = newId()
  const probe = { id, key: `probe ${id}`, receivedAt: new Date(), eventHeader: 'probe', kind: 'other', projectId: null }
  const rest = { projectPath: null, ref: null, sha: null, outcome: 'ignored', reason: 'probe', event: null } as const
  try {
    await transact(db, async tx => {
      await insertDeliveries(tx, [{ ...probe, ...rest, body: null, bodySize: 0, bodySha256: '' }])
      throw new Undone()
    })
  } catch (error) {
    if (!(error instanceof Undone)) throw error
  }
}
