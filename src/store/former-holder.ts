import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { releaseLeases } from './leases.ts'
import type { Db } from './open.ts'

/**
 * Ends the leases of the process that had this data directory before us: whoever has its lock knows that it is dead, and a replica that was
 * killed goes on at once when it is started again, without waiting for its own leases. Only with the lock of the directory.
 */
export async function endFormerHolder(db: Db, dataDir: string, holder: string): Promise<void> {
  const file = join(dataDir, 'compops.holder')
  const former = await readFile(file, 'utf8').catch(() => null)
  if (former !== null) await releaseLeases(db, former.trim())
  await writeFile(`${file}.new`, `${holder}\n`, { mode: 0o600 })
  await rename(`${file}.new`, file)
}
