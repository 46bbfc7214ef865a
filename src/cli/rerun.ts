import type { RunCommand } from './command.ts'
import { giveCommand } from './person/give.ts'

/** `compops rerun [BRANCH] [--wait]`: what failed, was cancelled or is missing in the run of a branch, again. */
export const run: RunCommand = (args, io) => giveCommand({ verb: 'rerun', begins: true }, args, io)
