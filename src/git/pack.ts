import { randomBytes } from 'node:crypto'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { checkoutCommit } from './checkout.ts'
import { GitError } from './errors.ts'
import { ensureCommit, inScratch, type Mirror } from './mirror.ts'
import { readCommit } from './read.ts'
import { writeTar } from './tar.ts'

export interface Pack {
  readonly path: string
  readonly size: number
  readonly sha256: string
  /** Files and symbolic links of the checkout, those of submodules too, without `.git`. */
  readonly files: number
}

/** What a tar can say of a time. */
const LATEST = 8 ** 11 - 1

/**
 * The sources of a commit as one tar: a checkout with submodules and LFS resolved, and a `.git` of this one commit. Two packs of one commit
 * are the same bytes; a new tag on it, another git or zlib may change `.git`, never the sources. `into` appears whole or not at all.
 *
 * @throws CompopsError that names the path which cannot be resolved.
 */
export async function packSource(mirror: Mirror, sha: string, into: string): Promise<Pack> {
  if (!(await ensureCommit(mirror, sha)))
    throw new GitError('not found', `commit ${sha} is not in ${mirror.url} (any more)`)
  const { committedAt } = await readCommit(mirror, sha)
  const mtime = Math.min(LATEST, Math.max(0, Math.floor(committedAt.getTime() / 1000)))
  return inScratch(mirror, async scratch => {
    const dir = join(scratch, 'source')
    const files = await checkoutCommit(mirror, sha, dir)
    await mkdir(dirname(into), { recursive: true })
    const partial = `${into}.part-${randomBytes(6).toString('hex')}`
    try {
      const { size, sha256 } = await writeTar(dir, partial, mtime)
      await rename(partial, into)
      return { path: into, size, sha256, files }
    } finally {
      await rm(partial, { force: true })
    }
  })
}
