import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '../../src/store/open.ts'
import { pgliteMajor } from '../../src/store/pglite-directory.ts'

/**
 * An embedded database as the first start makes it; initdb takes seconds, a copy of it does not. Kept in the temporary directory under the digest of the
 * migrations, so that there is one of them, whoever tests.
 */
let made: Promise<string> | null = null
export function emptyDatabase(): Promise<string> {
  made ??= (async () => {
    const folder = new URL('../../migrations/', import.meta.url)
    const digest = createHash('sha256')
    for (const name of (await readdir(folder)).filter(one => one.endsWith('.sql')).sort())
      digest.update(await readFile(new URL(name, folder)))
    const kept = join(tmpdir(), `compops-empty-${pgliteMajor}-${digest.digest('hex').slice(0, 16)}`)
    if (existsSync(kept)) return kept
    const fresh = await mkdtemp(join(tmpdir(), 'compops-empty-new-'))
    await (await openStore({ databaseUrl: null, dataDir: fresh })).close()
    // Another test file may have been faster: then ours is one too many.
    await rename(fresh, kept).catch(() => rm(fresh, { recursive: true, force: true }))
    return kept
  })()
  return made
}
