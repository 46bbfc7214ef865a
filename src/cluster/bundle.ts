import { CompopsError } from '../errors.ts'
import { bringFile } from './bring.ts'
import type { Bundle } from './contract.ts'
import { type AttemptPaths, bundlesDirectory } from './layout.ts'
import type { Reach } from './reach.ts'

/** Packages that the service has fetched. */
export async function bringBundle(reach: Reach, paths: AttemptPaths, { sha256, size, path }: Bundle): Promise<void> {
  const digest = checkDigest(sha256)
  const cargo = { folder: bundlesDirectory(paths), name: `${digest}.tar`, part: `${digest}.part`, size }
  await bringFile(reach, { ...cargo, what: 'the packages' }, async () => path)
}

export function checkDigest(sha256: string): string {
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new CompopsError(`${JSON.stringify(sha256)} is not a digest`)
  return sha256
}
