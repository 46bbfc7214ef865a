import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Event } from '../model/event.ts'
import { type Db, rows } from './open.ts'
import { comments, deliveries } from './schema.ts'
import { type Claimed, claim, stillClaimed } from './work.ts'

export type DeliveryRow = typeof deliveries.$inferSelect

export interface DeliveryToStore {
  readonly id: string
  /** Unique: the same delivery twice is one row. */
  readonly key: string
  readonly receivedAt: Date
  readonly eventHeader: string
  readonly kind: string
  readonly projectId: number | null
  readonly projectPath: string | null
  /** Full: `refs/heads/x`. A pipeline's is as GitLab says it, short. */
  readonly ref: string | null
  readonly sha: string | null
  readonly outcome: 'accepted' | 'ignored'
  readonly reason: string | null
  readonly event: Event | null
  /** What arrived, for whoever asks why; null above 64 KiB. */
  readonly body: string | null
  readonly bodySize: number
  readonly bodySha256: string
}

/** Stores a batch in one statement and says of each, in order, whether it was new. PostgreSQL's jsonb knows no NUL character: it is shown as U+FFFD. */
export async function insertDeliveries(
  db: Db,
  batch: readonly DeliveryToStore[],
): Promise<('inserted' | 'duplicate')[]> {
  const payload = JSON.stringify(batch).replaceAll('\\u0000', '\\ufffd')
  const inserted = await rows<{ id: string }>(
    db,
    sql`insert into deliveries (id, key, received_at, event_header, kind, project_id, project_path, ref, sha, outcome, reason, event, body, body_size, body_sha256, done_at, result)
      select id, key, "receivedAt", "eventHeader", kind, "projectId", "projectPath", ref, sha, outcome, reason, event, body, "bodySize", "bodySha256",
        case when outcome = 'ignored' then now() end, case when outcome = 'ignored' then reason end
      from jsonb_to_recordset(${payload}::jsonb) as d(id uuid, key text, "receivedAt" timestamptz, "eventHeader" text, kind text, "projectId" bigint, "projectPath" text, ref text, sha text,
        outcome text, reason text, event jsonb, body text, "bodySize" int, "bodySha256" text)
      on conflict (key) do nothing returning id`,
  )
  const fresh = new Set(inserted.map(row => row.id))
  return batch.map(delivery => (fresh.has(delivery.id) ? 'inserted' : 'duplicate'))
}

/** Not of a project that another living lane is at: its deliveries are read in order, and a project whose git is slow fills one lane and no more. */
export async function claimDeliveries(db: Db, claimant: string, limit: number): Promise<DeliveryRow[]> {
  const elsewhere = sql`exists (select 1 from deliveries o join leases l on l.name = 'process ' || split_part(o.lease_holder, ' ', 1)
    where o.project_id = ${deliveries.projectId} and o.done_at is null and o.parked_at is null and o.lease_until > now()
      and o.lease_holder <> ${claimant} and l.until > now())`
  const condition = and(isNull(deliveries.doneAt), sql`not ${elsewhere}`)
  const claimed = await claim(db, deliveries, { claimant, seconds: 120, limit, condition })
  return claimed.sort((a, b) => a.receivedAt.getTime() - b.receivedAt.getTime() || (a.id < b.id ? -1 : 1))
}

/** Whether a push to this ref has been stored that nobody has acted on yet. */
export async function isPushPending(db: Db, projectId: number, ref: string): Promise<boolean> {
  const found = await db
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(
      and(
        eq(deliveries.projectId, projectId),
        eq(deliveries.ref, ref),
        eq(deliveries.kind, 'push'),
        eq(deliveries.outcome, 'accepted'),
        isNull(deliveries.doneAt),
        isNull(deliveries.parkedAt),
      ),
    )
    .limit(1)
  return found.length > 0
}

export async function closeDelivery(db: Db, row: Claimed, result: string): Promise<void> {
  await db
    .update(deliveries)
    .set({ doneAt: sql`now()`, result, leaseUntil: null, lastError: null })
    .where(stillClaimed(deliveries, row))
}

/** Deliveries are kept for `why`; after this many days nobody asks. */
export async function pruneDeliveries(db: Db, days: number): Promise<void> {
  await db.delete(comments).where(sql`${comments.doneAt} < now() - make_interval(days => ${days})`)
  await db.delete(deliveries).where(sql`${deliveries.doneAt} < now() - make_interval(days => ${days})`)
}
