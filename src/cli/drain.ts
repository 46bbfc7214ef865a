import type { RunCommand } from './command.ts'
import { holdCluster } from './hold-cluster.ts'

/** `compops drain CLUSTER [--reason TEXT] [--until TIME]`: no further job begins there; the others go on. */
export const run: RunCommand = (args, io) => holdCluster('drain', args, io)
