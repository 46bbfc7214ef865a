import { Tree } from '../model/api.ts'
import { renderTree } from '../render/branch-tree.ts'
import { CommandError, exitCodes, type RunCommand, terminalStyle } from './command.ts'
import { openPerson, readPersonLine } from './person/person.ts'

/** `compops tree [BRANCH]`: the computation branches, each below its parent, with the state of its run. With a branch: that one and what is below it. */
export const run: RunCommand = async (args, io) => {
  const line = readPersonLine(args, io.env, { files: 1 })
  const person = await openPerson(line, io)
  const tree = await person.service.get(Tree, person.at('/tree'))
  const [from] = line.files
  if (line.flags.has('json')) {
    io.stdout.write(`${JSON.stringify(tree, null, 2)}\n`)
    return 0
  }
  const here = person.clone?.branch ?? null
  const text = renderTree(tree, { ...terminalStyle(io), now: new Date(), from, here })
  if (text !== '') io.stdout.write(text)
  else if (from === undefined) io.stdout.write(`${person.project} has no computation branches yet.\n`)
  else throw new CommandError(exitCodes.unknown, `${from} is no computation branch of ${person.project}`)
  return 0
}
