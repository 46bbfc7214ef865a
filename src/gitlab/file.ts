import { z } from 'zod'
import type { Client } from './client.ts'
import { GitLabError } from './errors.ts'
import { isMissing, read, segment } from './read.ts'

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

export function fileCalls(client: Client) {
  return {
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
