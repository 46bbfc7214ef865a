import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** The real git, as a researcher would call it. Nothing of this machine's own git configuration takes part. */
export async function runGit(directory: string, args: readonly string[]): Promise<string> {
  const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' }
  const { stdout } = await promisify(execFile)('git', [...args], { cwd: directory, env })
  return stdout
}
