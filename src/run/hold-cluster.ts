import type { Audit, Log } from '../log.ts'
import { describeHold, type Hold } from '../model/hold.ts'
import { liftHold, setHold } from '../store/holds.ts'
import type { Db } from '../store/open.ts'
import type { Wake } from '../wake.ts'

/** What holding a cluster back needs, with a service or without one. */
export interface HoldContext {
  readonly db: Db
  readonly wake: Wake
  readonly log: Log
  readonly audit: Pick<Audit, 'record'> | null
}

/** Pauses or drains a cluster for all projects, whoever asked: the operator on this machine, or an administrator on a page. */
export async function holdCluster(context: HoldContext, asked: Parameters<typeof setHold>[1]): Promise<Hold> {
  const hold = await setHold(context.db, asked)
  tell(context, `cluster ${hold.mode === 'pause' ? 'paused' : 'drained'}`, hold.cluster, hold.by, describeHold(hold))
  return hold
}

/** Whether there was anything to end. */
export async function resumeCluster(context: HoldContext, cluster: string, by: string): Promise<boolean> {
  const lifted = await liftHold(context.db, cluster)
  if (lifted !== null) tell(context, 'cluster resumed', cluster, by, `${cluster} goes on`)
  return lifted !== null
}

function tell(context: HoldContext, act: string, cluster: string, by: string, result: string): void {
  context.log.info({ step: 'hold', cluster, by }, result)
  context.audit?.record({ act, by, cluster, result })
  for (const topic of ['prepare', 'submit', 'poll'] as const) context.wake.call(topic)
}
