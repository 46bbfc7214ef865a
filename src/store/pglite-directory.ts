import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, readdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CompopsError } from '../errors.ts'

/** The PostgreSQL major of the PGlite we ship with; a directory of another one cannot be opened, so each is named by it. */
export const pgliteMajor = 18

/**
 * Makes the embedded database's directory where there is none, in a child process: initdb's memory, half a gigabyte, is never given
 * back by the process that ran it. Written beside and renamed, so that a half-made one is never opened.
 */
export async function createPgliteDirectory(dataDir: string, directory: string): Promise<void> {
  if (await exists(join(directory, 'PG_VERSION'))) return
  const older = (await readdir(dataDir)).find(name => /^pglite-\d+$/.test(name) && name !== `pglite-${pgliteMajor}`)
  if (older !== undefined) {
    throw new CompopsError(
      `${join(dataDir, older)} was made by another PostgreSQL major than ${pgliteMajor}. Move its data with the version that made it, or remove the directory to begin anew.`,
    )
  }
  // A name of its own: the child of a start that was killed may still be writing to what it had begun.
  const begun = (await readdir(dataDir)).filter(name => name.startsWith(`${basename(directory)}.new`))
  for (const name of begun)
    await rm(join(dataDir, name), { recursive: true, force: true, maxRetries: 3 }).catch(() => {})
  const fresh = `${directory}.new-${randomBytes(4).toString('hex')}`
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('initdb.ts', import.meta.url)), fresh])
  await rm(directory, { recursive: true, force: true })
  await rename(fresh, directory)
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
