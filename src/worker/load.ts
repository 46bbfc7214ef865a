import type { ClusterStats } from '../cluster/contract.ts'
import type { Context } from '../context.ts'
import { addLoad } from '../store/load.ts'

export interface LoadCount {
  /** Writes down what has been added since the last time. */
  count(): Promise<void>
}

type Counted = Pick<ClusterStats, 'logins' | 'commands' | 'schedulerCommands'>

/** Our own use of clusters. A kill loses what was counted since it was last written: half a minute. */
export function createLoadCount(context: Context): LoadCount {
  const written = new Map<string, Counted>()
  let counting: Promise<void> = Promise.resolve()

  async function countNow(): Promise<void> {
    for (const connection of context.connections()) {
      const now = context.clusterOf(connection).stats()
      const before = written.get(connection) ?? { logins: 0, commands: 0, schedulerCommands: 0 }
      const load = {
        connection,
        logins: now.logins - before.logins,
        programs: now.commands - before.commands,
        schedulerCommands: now.schedulerCommands - before.schedulerCommands,
      }
      if (load.logins + load.programs + load.schedulerCommands === 0) continue
      await addLoad(context.db, load)
      written.set(connection, now)
    }
  }
  return {
    count() {
      // One after the other: two at once would write the same difference twice.
      counting = counting.catch(() => {}).then(countNow)
      return counting
    },
  }
}
