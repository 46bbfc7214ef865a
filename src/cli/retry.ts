import { isId } from '../model/id.ts'
import { type RunCommand, readCommandLine, UsageError } from './command.ts'
import { askOperator } from './operator.ts'
import { giveCommand } from './person/give.ts'
import { isPersons } from './person/person.ts'

/**
 * A person's: `compops retry [BRANCH] JOB [--wait]` runs a job again that did not complete. The operator's: `compops retry --all | ID…` gives parked rows another
 * chance; exit code 1 where there was nothing to retry.
 */
export const run: RunCommand = async (args, io) =>
  (await isPersons(args, io.env)) ? giveCommand({ verb: 'retry', begins: true }, args, io) : retryParked(args, io)

const retryParked: RunCommand = async (args, io) => {
  const { config, flags, files: ids } = readCommandLine(args, io.env, { flags: ['all'], files: 1_000 })
  const all = flags.has('all')
  if (all === ids.length > 0)
    throw new UsageError('which rows? `compops retry --all`, or the ids that `compops parked` lists')
  const strange = ids.find(id => !isId(id))
  if (strange !== undefined)
    throw new UsageError(`${JSON.stringify(strange)} is no id of a row; \`compops parked\` lists them`)
  const body = all ? { all } : { ids }
  const { retried } = await askOperator<{ retried: number }>(config, io.env, {
    method: 'POST',
    path: '/retry',
    body,
  })
  io.stdout.write(
    retried === 0 ? 'Nothing was parked.\n' : `${retried} ${retried === 1 ? 'row gets' : 'rows get'} another chance.\n`,
  )
  return retried === 0 && !all ? 1 : 0
}
