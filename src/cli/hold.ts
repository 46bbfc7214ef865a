import type { RunCommand } from './command.ts'
import { giveCommand } from './person/give.ts'

/** `compops hold [BRANCH] [JOB] [--why TEXT]`: nothing further of a job or branch begins. */
export const run: RunCommand = (args, io) => giveCommand({ verb: 'hold', values: ['why'] }, args, io)
