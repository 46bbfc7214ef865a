import { readFileSync, realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { PlanAnswer } from '../model/api.ts'
import { countOf } from '../render/amounts.ts'
import { plain } from '../render/plain.ts'
import { renderPlan } from '../render/plan-table.ts'
import { explainProblems, filesOf } from '../spec/index.ts'
import { CommandError, exitCodes, type Io, type RunCommand, terminalStyle, UsageError } from './command.ts'
import { type Clone, readClone } from './person/clone.ts'
import { readParameter } from './person/give.ts'
import { checkOffline } from './person/offline.ts'
import { openPerson, readPersonLine } from './person/person.ts'

/**
 * `compops plan [FILE]`: what would run, without running it, from the `.compops.yml` of the clone as it stands on this disk, or from that file; `--branch NAME` from the file
 * that GitLab has there. `--scripts` shows also what would be submitted, line by line; `--offline` asks no service and tells only what is wrong in the file itself. Exit code 1
 * where something is. Behind `--` other values than those of the file: `-- degree=12 solve.mem=8G`.
 */
export const run: RunCommand = async (args, io) => {
  const end = args.indexOf('--')
  const values = end === -1 ? {} : Object.fromEntries(args.slice(end + 1).map(readParameter))
  const line = readPersonLine(end === -1 ? args : args.slice(0, end), io.env, {
    flags: ['scripts', 'offline'],
    values: ['branch'],
    files: 1,
  })
  const branch = line.values.get('branch')
  const [given] = line.files
  if (branch !== undefined && (given !== undefined || line.flags.has('offline')))
    throw new UsageError('--branch is what GitLab has, a file what this disk has: which is meant?')
  if (line.flags.has('offline') && end !== -1)
    throw new UsageError('other values are applied by a service: leave --offline out')
  if (line.flags.has('offline')) return planOffline(await readClone(), given, line.flags.has('json'), io)
  const person = await openPerson(line, io)
  const asked = { ...(branch === undefined ? await readLocal(person.clone, given) : { branch }), values }
  const plan = await person.service.post(PlanAnswer, person.at('/plan'), asked)
  if (line.flags.has('json')) io.stdout.write(`${JSON.stringify(plan, null, 2)}\n`)
  else io.stdout.write(renderPlan(plan, { ...terminalStyle(io), scripts: line.flags.has('scripts') }))
  return plan.explained === null && plan.jobs.every(job => job.problem === null) ? 0 : exitCodes.failed
}

async function planOffline(clone: Clone | null, given: string | undefined, json: boolean, io: Io): Promise<number> {
  const file = fileMeant(clone, given)
  const text = await readText(file)
  const root = clone?.folder ?? dirname(file)
  const { jobs, problems } = checkOffline(text, path => readInside(root, path))
  if (json) io.stdout.write(`${JSON.stringify({ problems, jobs }, null, 2)}\n`)
  else if (problems.length > 0) io.stdout.write(`\n${plain(explainProblems(problems, text))}\n\n`)
  else
    io.stdout.write(
      `${countOf(jobs.length, 'job')}: ${jobs.map(job => job.name).join(', ')}. Nothing is wrong in the file itself; clusters, secrets and limits only a service knows.\n`,
    )
  return problems.length > 0 ? exitCodes.failed : 0
}

async function readLocal(clone: Clone | null, given: string | undefined) {
  const text = await readText(fileMeant(clone, given))
  const files: Record<string, string> = {}
  // Those that are not here are looked for in the commit.
  for (const path of clone === null ? [] : filesOf(text)) {
    const found = readInside(clone!.folder, path)
    if (found !== null) files[path] = found
  }
  return { text, files, ...(clone?.branch == null ? {} : { branch: clone.branch }) }
}

function fileMeant(clone: Clone | null, given: string | undefined): string {
  if (given !== undefined) return resolve(given)
  if (clone === null) throw new UsageError('of which file? Give one, or --branch NAME for what GitLab has')
  return join(clone.folder, '.compops.yml')
}

async function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const code = error.code === 'ENOENT' ? exitCodes.unknown : exitCodes.failed
    throw new CommandError(code, `${file} cannot be read: ${error.message}`)
  })
}

/** Only what lies in the clone: a file of somebody else's repository must not name what else is on this disk. */
function readInside(folder: string, path: string): string | null {
  try {
    const [root, file] = [realpathSync(folder), realpathSync(join(folder, path))]
    return file.startsWith(`${root}${sep}`) ? readFileSync(file, 'utf8') : null
  } catch {
    return null
  }
}
