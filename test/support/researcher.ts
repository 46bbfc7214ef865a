import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Alice at her own computer: a working copy, and the git of every day. */
export interface Researcher {
  /** Commits these files on the branch (a new one begins at `from`, by default main) and pushes. Returns the sha. */
  push(branch: string, files: Readonly<Record<string, string>>, message: string, from?: string): Promise<string>
  /** Sets the branch to a commit that she has, by force. */
  reset(branch: string, sha: string): Promise<void>
  remove(branch: string): Promise<void>
}

export async function startResearcher(dir: string, url: string): Promise<Researcher> {
  await mkdir(dir, { recursive: true })
  const env = {
    PATH: process.env.PATH,
    HOME: dir,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'Alice Archer',
    GIT_AUTHOR_EMAIL: 'alice@example.org',
    GIT_COMMITTER_NAME: 'Alice Archer',
    GIT_COMMITTER_EMAIL: 'alice@example.org',
  }
  const git = async (...args: string[]) => (await run('git', args, { cwd: dir, env })).stdout.trim()
  await git('clone', '--quiet', url, '.')
  const known = new Set<string>()
  return {
    async push(branch, files, message, from = 'origin/main') {
      await git('checkout', '--quiet', '--force', ...(known.has(branch) ? [branch] : ['-B', branch, from]))
      known.add(branch)
      for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
      await git('add', '--all')
      await git('commit', '--quiet', '--allow-empty', '-m', message)
      await git('push', '--quiet', '--force', 'origin', `HEAD:refs/heads/${branch}`)
      return git('rev-parse', 'HEAD')
    },
    async reset(branch, sha) {
      await git('checkout', '--quiet', '--force', '-B', branch, sha)
      known.add(branch)
      await git('push', '--quiet', '--force', 'origin', `HEAD:refs/heads/${branch}`)
    },
    async remove(branch) {
      await git('push', '--quiet', 'origin', `:refs/heads/${branch}`)
      known.delete(branch)
    },
  }
}
