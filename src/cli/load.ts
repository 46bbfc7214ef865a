import { readPlace } from '../config/index.ts'
import type { HourOfLoad } from '../model/load.ts'
import { renderLoad } from '../render/load.ts'
import { type RunCommand, readCommandLine, terminalStyle } from './command.ts'
import { askOperator } from './operator.ts'

/** `compops load [CLUSTER]`: how often clusters were signed in to and their schedulers asked in the last 24 hours. `--json` for scripts. */
export const run: RunCommand = async (args, io) => {
  const { config, flags, files } = readCommandLine(args, io.env, { flags: ['json'], files: 1 })
  const query = files[0] === undefined ? '' : `?${new URLSearchParams({ cluster: files[0] })}`
  const { load } = await askOperator<{ load: HourOfLoad[] }>(config, io.env, { method: 'GET', path: `/load${query}` })
  if (flags.has('json')) io.stdout.write(`${JSON.stringify(load, null, 2)}\n`)
  else {
    const { timeZone } = await readPlace(config, io.env)
    const revived = load.map(row => ({ ...row, hour: new Date(row.hour) }))
    io.stdout.write(renderLoad(revived, { ...terminalStyle(io), timeZone, now: new Date() }))
  }
  return 0
}
