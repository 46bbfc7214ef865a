import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from '../context.ts'
import { packSource } from '../git/pack.ts'
import type { ProjectRow } from '../store/projects.ts'

const packing = new Map<string, Promise<{ sha: string; path: string; size: number }>>()

/** The tar of a commit, packed once and kept beside the mirror. Throws what cannot be resolved (a submodule, an LFS object), before any submission. */
export async function sourceOf(
  context: Context,
  project: ProjectRow,
  sha: string,
): Promise<{ sha: string; path: string; size: number }> {
  const path = join(context.config.dataDir, 'packs', String(project.id), `${sha}.tar`)
  const known = await stat(path).catch(() => null)
  if (known !== null) {
    await utimes(path, new Date(), known.mtime).catch(() => {})
    return { sha, path, size: known.size }
  }
  // Ten jobs of one commit ask at the same moment; one packs.
  const under = packing.get(path)
  if (under !== undefined) return under
  const pack = (async () => {
    await mkdir(join(path, '..'), { recursive: true, mode: 0o700 })
    const packed = await packSource(await context.mirror(project), sha, path)
    return { sha, path, size: packed.size }
  })()
  packing.set(path, pack)
  try {
    return await pack
  } finally {
    packing.delete(path)
  }
}

/** Packs can be made again at any time: those that nobody has asked for in `hours` are removed. */
export async function prunePacks(context: Context, hours: number): Promise<void> {
  const root = join(context.config.dataDir, 'packs')
  const oldest = context.clock.now().getTime() - hours * 3_600_000
  for (const project of await readdir(root).catch(() => [])) {
    for (const name of await readdir(join(root, project)).catch(() => [])) {
      const path = join(root, project, name)
      const found = await stat(path).catch(() => null)
      if (found !== null && found.atimeMs < oldest) await rm(path, { force: true })
    }
  }
}
