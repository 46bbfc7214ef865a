import type { RunCommand } from './command.ts'
import { giveCommand } from './person/give.ts'

/** `compops unhold [BRANCH] [JOB]`: lets go on what a person holds. */
export const run: RunCommand = (args, io) => giveCommand({ verb: 'unhold' }, args, io)
