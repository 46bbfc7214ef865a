import type { RunCommand } from './command.ts'
import { giveCommand } from './person/give.ts'

/** `compops run [BRANCH] [JOB] [--subtree] [--wait] [-- KEY=VALUE …]`: the head of a branch anew, or one of its jobs; with `--subtree` what hangs below follows. */
export const run: RunCommand = (args, io) => giveCommand({ verb: 'run', begins: true, flags: ['subtree'] }, args, io)
