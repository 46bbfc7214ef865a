import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Gives all tests an empty home. Jobs begin with a login shell, and the start files of whoever runs the tests are slow and theirs; one that is killed
 * half-way, as tests do, may even leave a lock behind for which each later login waits a minute.
 */
export function leaveHome(): void {
  const { HOME: before } = process.env
  if (before !== undefined && existsSync(join(before, '.pyenv'))) process.env.PYENV_ROOT ??= join(before, '.pyenv')
  const home = mkdtempSync(join(tmpdir(), 'compops-home-'))
  process.env.HOME = home
  process.once('exit', () => rmSync(home, { recursive: true, force: true, maxRetries: 3 }))
}
