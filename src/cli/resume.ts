import { type RunCommand, readCommandLine, UsageError } from './command.ts'
import { personOf } from './hold-cluster.ts'
import { askOperator } from './operator.ts'

/** `compops resume CLUSTER`: ends a pause or a drain. Exit code 1 where there was none. */
export const run: RunCommand = async (args, io) => {
  const { config, files } = readCommandLine(args, io.env, { files: 1 })
  const [cluster] = files
  if (cluster === undefined) throw new UsageError('which cluster? compops resume falcon')
  const { lifted } = await askOperator<{ lifted: boolean }>(config, io.env, {
    method: 'POST',
    path: '/resume',
    body: { cluster, by: personOf(io) },
  })
  io.stdout.write(lifted ? `${cluster} goes on.\n` : `${cluster} was neither paused nor drained.\n`)
  return lifted ? 0 : 1
}
