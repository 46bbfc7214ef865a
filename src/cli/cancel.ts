import type { RunCommand } from './command.ts'
import { giveCommand } from './person/give.ts'

/** `compops cancel [BRANCH] [JOB]`: ends a job, or all that is unfinished of a branch. */
export const run: RunCommand = (args, io) => giveCommand({ verb: 'cancel' }, args, io)
