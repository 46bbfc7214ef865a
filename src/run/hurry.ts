import { sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { rows } from '../store/open.ts'

/**
 * GitLab answers again: what waits out its silence, up to minutes long by now, is tried in the next seconds. Spread a little, so that a
 * GitLab that is only just back is not met by everything at once. Returns how many rows were hurried.
 */
export async function hurryAfterOutage(context: Context): Promise<number> {
  const soon = sql`least(next_at, now() + random() * interval '3 seconds')`
  const waiting = sql`parked_at is null and lease_until is null and last_error is not null and next_at > now()`
  const hurried = [
    ...(await rows(
      context.db,
      sql`update deliveries set next_at = ${soon} where done_at is null and ${waiting} returning id`,
    )),
    ...(await rows(
      context.db,
      sql`update reports set next_at = ${soon} where sent_hash is distinct from desired_hash and ${waiting} returning id`,
    )),
    ...(await rows(
      context.db,
      sql`update comments set next_at = ${soon} where done_at is null and ${waiting} returning id`,
    )),
  ]
  if (context.troubles.has('gitlab')) context.wake.call('introduce')
  if (hurried.length === 0) return 0
  for (const topic of ['deliveries', 'comments', 'send', 'evidence'] as const) context.wake.call(topic)
  context.log.info({ step: 'gitlab', rows: hurried.length }, 'GitLab answers again: what waited for it is tried now')
  return hurried.length
}
