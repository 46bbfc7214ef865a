import { eq, sql } from 'drizzle-orm'
import type { Audit } from '../log.ts'
import type { Removal } from '../model/retention.ts'
import type { Run } from '../model/run.ts'
import { type Db, transact } from '../store/open.ts'
import { removalsOf } from '../store/runs.ts'
import { runs } from '../store/schema.ts'

/** Keeps the directories of a run whatever their age (`by`), or leaves them to their age again (null). Returns what is removed already, or being removed. */
export async function keepRun(
  db: Db,
  audit: Pick<Audit, 'record'> | null,
  run: Pick<Run, 'id' | 'branch' | 'sha'>,
  keep: boolean,
  by: string,
): Promise<Removal[]> {
  const removed = await transact(db, async tx => {
    // Under the lock that a removal takes: it has begun, or it sees this.
    await tx.execute(sql`select 1 from ${runs} where ${runs.id} = ${run.id} for update`)
    await tx
      .update(runs)
      .set({ keptBy: keep ? by : null })
      .where(eq(runs.id, run.id))
    return removalsOf(tx, run.id)
  })
  audit?.record({
    act: keep ? 'run kept' : 'run no longer kept',
    by,
    run: run.id,
    ref: `refs/heads/${run.branch}`,
    sha: run.sha,
    result: removed.length === 0 ? 'done' : 'done, but its directory is gone',
  })
  return removed
}
