import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { type Mirror, type MirrorOptions, openMirror } from '../../src/git/mirror.ts'
import { type GitServer, startGitServer } from '../support/git-server.ts'

// Each step is a real git process: on a busy machine the longest story needs more than the usual time.
vi.setConfig({ testTimeout: 90_000 })

export interface Scene {
  readonly server: GitServer
  /** A directory for whatever the test writes. */
  readonly dir: string
  /** A mirror of a project of the server, in a directory of its own unless `place` names one. */
  mirror(path: string, options?: Partial<MirrorOptions> & { place?: string }): Promise<Mirror>
  end(): Promise<void>
}

export async function openScene(): Promise<Scene> {
  const dir = await mkdtemp(join(tmpdir(), 'compops-git-'))
  const server = await startGitServer(join(dir, 'server'))
  let count = 0
  return {
    server,
    dir,
    mirror(path, { place, ...options } = {}) {
      count++
      return openMirror({
        dir: join(dir, 'mirrors', place ?? `${count}.git`),
        url: `${server.url}/${path}.git`,
        gitlabUrl: server.url,
        token: () => server.token,
        ...options,
      })
    },
    async end() {
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
