import { BranchAnswer, RunAnswer, RunList } from '../../model/api.ts'
import { isId } from '../../model/id.ts'
import { CommandError, exitCodes, UsageError } from '../command.ts'
import type { Person } from './person.ts'

/** The computation branch that is meant: the word, else the one that is checked out. */
export function branchMeant(person: Person, word: string | undefined): string {
  const branch = word ?? person.clone?.branch ?? null
  if (branch === null) throw new UsageError('of which branch? None is checked out here')
  return branch.replace(/^refs\/heads\//, '')
}

/** The run that a branch shows, or one by its id or its commit. Without a word that of the branch that is checked out. */
export async function findRun(person: Person, word: string | undefined): Promise<RunAnswer> {
  const { service } = person
  if (word !== undefined && isId(word)) return service.get(RunAnswer, `/runs/${word}`)
  const name = branchMeant(person, word)
  const branch = await service.get(BranchAnswer, person.at('/branch'), { name }).catch(unlessKnown)
  if (branch?.run != null) return service.get(RunAnswer, `/runs/${branch.run.id}`)
  if (/^[0-9a-f]{7,64}$/i.test(name)) {
    const { runs } = await service.get(RunList, person.at('/runs'), { sha: name.toLowerCase(), limit: 1 })
    if (runs[0] !== undefined) return service.get(RunAnswer, `/runs/${runs[0].id}`)
  }
  throw new CommandError(
    exitCodes.unknown,
    `${name} has no run in ${person.project}, and GitLab may not show you the project; \`compops status --all\` lists what there is`,
  )
}

/** One word is a job of the branch that is checked out, or a branch; of two the second is the job. */
export async function findRunAndJob(
  person: Person,
  words: readonly string[],
): Promise<{ readonly run: RunAnswer; readonly job: string | undefined }> {
  const [first, second] = words
  if (second !== undefined || first === undefined) return { run: await findRun(person, first), job: second }
  if (!isId(first) && person.clone?.branch != null) {
    const own = await findRun(person, undefined).catch(unlessKnown)
    if (own?.job_list.some(job => job.name === first)) return { run: own, job: first }
  }
  return { run: await findRun(person, first), job: undefined }
}

function unlessKnown(error: unknown): null {
  if (error instanceof CommandError && error.exitCode === exitCodes.unknown) return null
  throw error
}
