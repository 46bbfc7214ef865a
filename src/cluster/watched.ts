import { CompopsError } from '../errors.ts'
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
