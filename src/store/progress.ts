/** What running jobs say of themselves, in one statement whatever their number. */
import { sql } from 'drizzle-orm'
import type { Progress } from '../model/observation.ts'
import { storable } from '../model/storable.ts'
import { type Db, first, rows } from './open.ts'

/** Whether anything of the account may still say something: what has been handed over, so that its root is there. */
export async function isUnderWay(db: Db, connection: string): Promise<boolean> {
  const found = await first<{ any: boolean }>(
    db,
    sql`select exists (select 1 from attempts where connection = ${connection} and not final and native_id is not null) as any`,
  )
  return found?.any === true
}

/** Which of these attempts are of the account and have not ended. */
export async function openAmong(db: Db, connection: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set()
  const found = await rows<{ id: string }>(
    db,
    sql`select a.id from attempts a join jsonb_array_elements_text(${JSON.stringify(ids)}::jsonb) as asked (id) on a.id = asked.id::uuid
      where a.connection = ${connection} and not a.final`,
  )
  return new Set(found.map(row => row.id))
}

/** Returns the runs in which something is new. */
export async function writeProgress(
  db: Db,
  connection: string,
  progress: ReadonlyMap<string, Progress>,
): Promise<string[]> {
  const list = [...progress].map(([id, said]) => ({ id, said }))
  const written = await rows<{ run_id: string }>(
    db,
    sql`update attempts set progress = new.said
      from jsonb_to_recordset(${JSON.stringify(storable(list))}::jsonb) as new (id uuid, said jsonb)
      where attempts.id = new.id and attempts.connection = ${connection} and not attempts.final and attempts.progress is distinct from new.said
      returning attempts.run_id`,
  )
  return [...new Set(written.map(row => row.run_id))]
}
