import type { RunCommand } from './command.ts'
import { giveCommand } from './person/give.ts'

/** `compops approve [BRANCH]`: lets a run begin that costs more than may begin unasked. Of a Maintainer who did not cause it. */
export const run: RunCommand = (args, io) => giveCommand({ verb: 'approve' }, args, io)
