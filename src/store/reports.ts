import { inArray, sql } from 'drizzle-orm'
import { newId } from '../model/id.ts'
import { storable } from '../model/storable.ts'
import type { Db } from './open.ts'
import { type Desired, type ReportKind, reports } from './schema.ts'

export interface ReportToWrite {
  readonly key: string
  readonly projectId: number
  readonly runId: string
  readonly desired: Desired
  /** What makes two of them the same to GitLab; the description of a status, for one, is only kept when the state changes. */
  readonly hash: string
  /** Does not wait for the pause between two edits. */
  readonly atOnce: boolean
}

/** Reports in one statement: few enough that the embedded database does not hold up the event loop. */
const some = 200

/** Writes what GitLab should show. What is the same as before is left alone; what was refused or parked gets another chance when it changes. */
export async function writeReports(db: Db, wanted: readonly ReportToWrite[]): Promise<void> {
  for (const atOnce of [true, false]) {
    const list = wanted.filter(report => report.atOnce === atOnce)
    for (let from = 0; from < list.length; from += some) await writeSome(db, list.slice(from, from + some), atOnce)
  }
}

async function writeSome(db: Db, list: readonly ReportToWrite[], atOnce: boolean): Promise<void> {
  const rows = list.map(({ key, projectId, runId, desired, hash }) => ({
    id: newId(),
    key,
    kind: desired.kind satisfies ReportKind,
    project: projectId,
    run: runId,
    desired,
    hash,
  }))
  // Evidence waits a moment, so that runs that end together come in one commit. What stands there already is not even locked.
  // Refused evidence is tried on and shown until it is committed; another status or note may well be taken.
  await db.execute(sql`
    insert into reports (id, key, kind, project_id, run_id, desired, desired_hash, next_at)
    select id, key, kind, project, run, desired, hash, now() + case when kind = 'evidence' then interval '2 seconds' else interval '0' end
    from jsonb_to_recordset(${JSON.stringify(storable(rows))}::jsonb)
      as new (id uuid, key text, kind text, project bigint, run uuid, desired jsonb, hash text)
    where not exists (select 1 from reports as old where old.key = new.key and old.desired_hash = new.hash)
    on conflict (key) do update set
      kind = excluded.kind, project_id = excluded.project_id, run_id = excluded.run_id, desired = excluded.desired,
      desired_hash = excluded.desired_hash, parked_at = null, tries = 0,
      refused = case when excluded.kind = 'evidence' then reports.refused end,
      unsent_since = case when reports.sent_hash = reports.desired_hash then now() else reports.unsent_since end,
      next_at = ${atOnce ? sql`now()` : sql`reports.next_at`}
    where reports.desired_hash <> excluded.desired_hash`)
}

/** Writes what is said once and never changed. */
export async function writeOnce(db: Db, report: Omit<ReportToWrite, 'atOnce'>): Promise<void> {
  await db
    .insert(reports)
    .values({
      id: newId(),
      key: report.key,
      kind: report.desired.kind,
      projectId: report.projectId,
      runId: report.runId,
      desired: report.desired,
      desiredHash: report.hash,
    })
    .onConflictDoNothing()
}

/** What had been sent is gone from where it should be seen: it is sent again. */
export async function sendAgain(db: Db, ids: readonly string[]): Promise<void> {
  for (let start = 0; start < ids.length; start += 500) {
    await db
      .update(reports)
      .set({ sentHash: null, unsentSince: sql`now()`, parkedAt: null, attempts: 0, nextAt: sql`now()` })
      .where(inArray(reports.id, ids.slice(start, start + 500)))
  }
}
