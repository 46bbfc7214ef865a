import { CompopsError } from '../errors.ts'
import type { Dialect } from './dialect.ts'
import { local } from './local.ts'
import { pbs } from './pbs/pbs.ts'
import { slurm } from './slurm/slurm.ts'

export const dialects: Readonly<Record<string, Dialect>> = { slurm, pbs, local }

const notYet: readonly string[] = ['lsf', 'sge']

/** The dialect of `scheduler:` in the configuration. */
export function dialectOf(name: string): Dialect {
  if (Object.hasOwn(dialects, name)) return dialects[name]!
  const known = Object.keys(dialects).join(', ')
  if (notYet.includes(name)) throw new CompopsError(`scheduler ${name} is not supported yet; there are: ${known}`)
  throw new CompopsError(
    `scheduler ${JSON.stringify(name)} is not known; there are: ${known}, and later ${notYet.join(', ')}`,
  )
}
