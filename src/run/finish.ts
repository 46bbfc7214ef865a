import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { stateOfRun } from '../model/needs.ts'
import { rows, transact } from '../store/open.ts'
import { jobsOf, openStates, touchRuns } from '../store/runs.ts'
import { runs } from '../store/schema.ts'
import { touchTree } from '../store/tree.ts'
import { eachInTurn } from '../store/work.ts'

/** Asked again in the statement that closes: a branch that comes back may reopen jobs in between. */
const ended = sql`exists (select 1 from jobs j where j.run_id = runs.id)
  and not exists (select 1 from jobs j where j.run_id = runs.id and j.state in ${openStates})
  and not exists (select 1 from attempts a where a.run_id = runs.id and (not a.final or (a.collected is null and a.collect_problem is null)))`

/** Step 5: closes runs whose every job is final and whose results are here. What GitLab should show of them follows from the row. Returns how many. */
export async function finishRuns(context: Context): Promise<number> {
  const ready = await rows<{ id: string }>(
    context.db,
    sql`select id from runs where ended_at is null and ${ended} order by id limit 100`,
  )
  await eachInTurn(ready, ({ id }) => finishRun(context, id))
  return ready.length
}

/** When its last job ended, which may be long before we saw it; a cancellation is of the moment. */
const endOfLast = sql`case when exists (select 1 from jobs j where j.run_id = runs.id and j.state = 'canceled') then now()
  else least(now(), coalesce((select max(a.ended_at) from attempts a where a.run_id = runs.id), now())) end`

async function finishRun(context: Context, runId: string): Promise<void> {
  const state = stateOfRun(await jobsOf(context.db, runId))
  const closed = await transact(context.db, async tx => {
    const answer = await tx
      .update(runs)
      .set({ endedAt: endOfLast, state })
      .where(and(eq(runs.id, runId), isNull(runs.endedAt), ended))
      .returning()
    if (answer[0] !== undefined) {
      await touchRuns(tx, [runId])
      await touchTree(tx, answer[0].projectId)
    }
    return answer[0]
  })
  if (closed === undefined) return
  context.wake.call('tree')
  context.wake.call('compose')
  context.wake.call('ci')
  context.log.info({ step: 'finish', run: runId, state }, `run ${state}`)
  context.audit.record({
    act: 'run ended',
    by: closed.causedBy?.username ?? 'compops',
    run: runId,
    ref: closed.ref,
    sha: closed.sha,
    result: state,
  })
}
