import { isAbsolute } from 'node:path'
import { CompopsError } from '../errors.ts'
import type { Dialect } from './dialect.ts'
import { local } from './local.ts'
import { lsf } from './lsf/lsf.ts'
import { loadOwnDialect, type OwnDialect } from './own.ts'
import { pbs } from './pbs/pbs.ts'
import { sge } from './sge/sge.ts'
import { slurm } from './slurm/slurm.ts'

export const dialects: Readonly<Record<string, Dialect>> = { slurm, lsf, pbs, sge, local }

/** The sites' own, by path. As with every module: loaded once a process. */
const own = new Map<string, OwnDialect>()

/** Loads those of these schedulers that are files of the site's. Throws ConfigError with what is wrong with one of them. */
export async function loadDialects(schedulers: readonly string[]): Promise<readonly OwnDialect[]> {
  const files = [...new Set(schedulers.filter(name => isAbsolute(name)))]
  for (const file of files) if (!own.has(file)) own.set(file, await loadOwnDialect(file))
  return files.map(file => own.get(file)!)
}

/** The dialect of `scheduler:` in the configuration. */
export function dialectOf(name: string): Dialect {
  if (Object.hasOwn(dialects, name)) return dialects[name]!
  const loaded = own.get(name)
  if (loaded !== undefined) return loaded.dialect
  if (isAbsolute(name)) throw new CompopsError(`the scheduler ${name} has not been loaded`)
  throw new CompopsError(
    `scheduler ${JSON.stringify(name)} is not known; there are: ${Object.keys(dialects).join(', ')}`,
  )
}
