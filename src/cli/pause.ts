import type { RunCommand } from './command.ts'
import { holdCluster } from './hold-cluster.ts'

/** `compops pause CLUSTER [--reason TEXT] [--until TIME]`: nothing is handed over to it any more, from this moment. */
export const run: RunCommand = (args, io) => holdCluster('pause', args, io)
