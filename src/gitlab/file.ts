import { z } from 'zod'
import type { Client } from './client.ts'
import { GitLabError } from './errors.ts'
import { isMissing, read, rows, segment } from './read.ts'

export interface RepositoryFile {
  readonly path: string
  readonly size: number
  readonly blobId: string | null
  readonly content: Buffer
}

const file = z.object({
  file_path: z.string().nullish(),
  size: z.number().nullish(),
  blob_id: z.string().nullish(),
  encoding: z.string(),
  content: z.string(),
})

/** Only regular files: a link or a submodule has another mode. */
const entry = z.object({ path: z.string(), type: z.string(), mode: z.string() })

export function fileCalls(client: Client) {
  return {
    /** Paths of the regular files at a ref, page by page while somebody asks for more. */
    async *paths(projectId: number, ref: string): AsyncGenerator<string, void, undefined> {
      const listed = rows(entry, `the files at ${ref}`, page =>
        client.repositories.allRepositoryTrees(projectId, { ref, recursive: true, ...(page as object) }),
      )
      for await (const { path, type, mode } of listed) if (type === 'blob' && mode.startsWith('100')) yield path
    },

    /** One file as one commit on a branch of its own, both made in this one call. Throws where the branch exists. */
    async commitToNewBranch(
      projectId: number,
      commit: {
        readonly branch: string
        readonly from: string
        readonly message: string
        readonly path: string
        readonly content: string
        readonly action: 'create' | 'update'
      },
    ): Promise<void> {
      const { branch, from, message, path, content, action } = commit
      await client.commits.create(projectId, branch, message, [{ action, filePath: path, content }], {
        startBranch: from,
      })
    },

    /**
     * One file at a sha or ref; null if it is not there. The JSON form, since the raw one is limited to 300 a minute and its type depends on
     * the file. The path is one segment (`%2F`), encoded once by gitbeaker.
     */
    async file(projectId: number, path: string, ref: string): Promise<RepositoryFile | null> {
      try {
        const found = read(
          file,
          await client.files.show(projectId, segment(path, 'a file') as string, ref),
          `file ${path}`,
        )
        if (found.encoding !== 'base64') {
          throw new GitLabError(`File ${path} came as ${found.encoding}, not base64`, { kind: 'invalid' })
        }
        const content = Buffer.from(found.content, 'base64')
        return {
          path: found.file_path ?? path,
          size: found.size ?? content.length,
          blobId: found.blob_id ?? null,
          content,
        }
      } catch (error) {
        if (isMissing(error)) return null
        throw error
      }
    },
  }
}
