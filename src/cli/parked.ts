import { readPlace } from '../config/index.ts'
import type { ParkedRow } from '../model/parked.ts'
import { renderParked } from '../render/parked.ts'
import { type RunCommand, readCommandLine, terminalStyle } from './command.ts'
import { askOperator } from './operator.ts'

/** `compops parked`: the rows that failed too often and wait for a person. `--json` for scripts. */
export const run: RunCommand = async (args, io) => {
  const { config, flags } = readCommandLine(args, io.env, { flags: ['json'] })
  const { rows } = await askOperator<{ rows: ParkedRow[] }>(config, io.env, { method: 'GET', path: '/parked' })
  if (flags.has('json')) io.stdout.write(`${JSON.stringify(rows, null, 2)}\n`)
  else {
    const { timeZone } = await readPlace(config, io.env)
    const revived = rows.map(row => ({ ...row, parkedAt: new Date(row.parkedAt) }))
    io.stdout.write(renderParked(revived, { ...terminalStyle(io), timeZone, now: new Date() }))
  }
  return 0
}
