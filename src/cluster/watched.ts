import { CompopsError } from '../errors.ts'
import { toRanges } from '../model/array.ts'
import type { WatchedAttempt } from './contract.ts'
import { jobName, pathsOf } from './layout.ts'
import type { Reach } from './reach.ts'

/** How attempts are named to the programs: a line `<native id or -> <name> <directory>` each. */
export function listAttempts(
  { dialect, root }: Pick<Reach, 'dialect' | 'root'>,
  attempts: readonly WatchedAttempt[],
): string {
  return attempts
    .map(({ projectId, runId, jobId, id, nativeId }) => {
      if (nativeId !== null && !dialect.nativeId.test(nativeId))
        throw new CompopsError(`${JSON.stringify(nativeId)} is not a job id of ${dialect.name}`)
      const { attempt } = pathsOf(root, { projectId, runId, jobId, attemptId: id })
      return `${nativeId ?? '-'} ${jobName(id)} ${attempt}\n`
    })
    .join('')
}

/** Of which tasks of arrays the files are wanted: a line `<number of the attempt> <from> <to> <step> <directory>` for each range of theirs. */
export function listTasks({ root }: Pick<Reach, 'root'>, attempts: readonly WatchedAttempt[]): string {
  return attempts
    .flatMap(({ projectId, runId, jobId, id, tasks }, n) => {
      if (tasks === undefined) return []
      const { attempt } = pathsOf(root, { projectId, runId, jobId, attemptId: id })
      const numbers = tasks.map(task => task.index).sort((a, b) => a - b)
      return toRanges(numbers).map(({ from, to, step }) => `${n} ${from} ${to} ${step} ${attempt}\n`)
    })
    .join('')
}
