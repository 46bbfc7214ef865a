import { nextChunk } from '../scheduler/array.ts'
import { cancelAttempts } from './cancel.ts'
import { askCapacity } from './capacity.ts'
import { collectAttempt } from './collect.ts'
import { collectArray } from './collect-array.ts'
import type { Cluster, ClusterOptions } from './contract.ts'
import { openDirectories } from './directories.ts'
import { listenForEvents } from './events.ts'
import { examineCluster } from './examine.ts'
import { openRunFiles } from './files.ts'
import { openInputs } from './inputs.ts'
import { observeAttempts } from './observe.ts'
import { openReach } from './reach.ts'
import { reuseResult } from './reuse.ts'
import { planSubmission, submitAttempt } from './submit.ts'
import { removeTrial } from './trial.ts'

export type * from './contract.ts'

/** Where a dialect meets a connection. Connects when something is first asked of it. */
export function openCluster(options: ClusterOptions): Cluster {
  const reach = openReach(options)
  const { dialect } = options
  return {
    name: options.name,
    root: reach.root,
    nativeDependencies: dialect.nativeDependencies,
    excludesNodes: dialect.excludesNodes ?? false,
    inWords: reason => dialect.reasonInWords(reason),
    tellsCapacity: dialect.capacity !== undefined,
    capacity: () => askCapacity(reach),
    facts: reach.facts,
    async chunk(tasks, room) {
      const { maxArraySize } = await reach.facts()
      return nextChunk(dialect.array, tasks, { maxArraySize, room })
    },
    plan: request => planSubmission(reach, request),
    submit: request => submitAttempt(reach, request),
    reuse: request => reuseResult(reach, request),
    observe: attempts => observeAttempts(reach, attempts),
    listen: listening => listenForEvents(reach, listening),
    collect: (attempt, { array, ...asked } = {}) =>
      array === undefined ? collectAttempt(reach, attempt, asked) : collectArray(reach, attempt, { ...asked, array }),
    cancel: (attempts, asked) => cancelAttempts(reach, attempts, asked),
    examine: options => examineCluster(reach, options),
    removeTrial: () => removeTrial(reach),
    directories: openDirectories(reach),
    files: openRunFiles(reach),
    inputs: openInputs(reach),
    stats: reach.stats,
    needsSession: async () => (await options.remote.needsSession?.()) ?? null,
    async close() {
      await Promise.all([options.remote.close(), options.transfer?.close()])
    },
  }
}
