import { git } from './git.ts'
import type { Mirror } from './mirror.ts'
import { checkSha } from './names.ts'

export interface CommitOfLine {
  readonly sha: string
  readonly committedAt: Date
}

/** Farther back nobody asks where a branch came from. */
const farthest = 2_000

/**
 * A branch's own commits by first parents, newest first, down to where its trunk begins: what was merged into it is not among them. Branches
 * that are not here are passed over.
 */
export async function lineOf(mirror: Mirror, head: string, trunk: string | null): Promise<CommitOfLine[]> {
  checkSha(head)
  const input = [head, ...(trunk === null ? [] : [`^refs/heads/${trunk}`]), ''].join('\n')
  const { stdout } = await git(
    mirror,
    [
      'rev-list',
      '--first-parent',
      '--ignore-missing',
      '--no-commit-header',
      '--format=%H %ct',
      `--max-count=${farthest}`,
      '--stdin',
    ],
    { input },
  )
  return stdout
    .toString()
    .split('\n')
    .flatMap(line => {
      const [sha, seconds] = line.split(' ')
      return sha === undefined || sha === '' ? [] : [{ sha, committedAt: new Date(Number(seconds) * 1000) }]
    })
}

/** The nearest commit of the line that one of these heads contains, and which of them do; null where their histories do not meet above the trunk. */
export async function meetingOf(
  mirror: Mirror,
  line: readonly CommitOfLine[],
  heads: readonly string[],
): Promise<{ readonly at: number; readonly heads: readonly string[] } | null> {
  const head = line[0]
  if (head === undefined || heads.length === 0) return null
  for (const sha of heads) checkSha(sha)
  const input = [head.sha, ...heads.map(sha => `^${sha}`), ''].join('\n')
  const alone = await git(
    mirror,
    ['rev-list', '--first-parent', '--ignore-missing', '--count', `--max-count=${farthest}`, '--stdin'],
    { input },
  )
  const at = Number(alone.stdout.toString().trim())
  const met = line[at]
  if (met === undefined) return null
  // What was computed is pinned (refs/compops/keep), so its heads are among the refs whatever has been pushed since.
  const found = await git(mirror, ['for-each-ref', `--contains=${met.sha}`, '--format=%(objectname)'])
  const containing = new Set(found.stdout.toString().split('\n'))
  return { at, heads: heads.filter(sha => containing.has(sha)) }
}
