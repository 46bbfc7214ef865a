import type { RunCommand } from './command.ts'
import { giveCommand } from './person/give.ts'

/** `compops run [BRANCH] [JOB] [--wait] [-- PARAM=VALUE …]`: the head of a branch anew, or one of its jobs. */
export const run: RunCommand = (args, io) => giveCommand({ verb: 'run', begins: true }, args, io)
