import { z } from 'zod'
import type { Client } from './client.ts'
import { GitLabError } from './errors.ts'
import { read, segment } from './read.ts'

const uploaded = z.object({ url: z.string() })

export function uploadCalls(client: Client) {
  return {
    /**
     * A file for use in Markdown of this project. Returns its address there, `/uploads/<secret>/<name>`: GitLab shows it to whoever sees the page. Asked twice it
     * is there twice. https://docs.gitlab.com/api/project_markdown_uploads/
     */
    async upload(projectId: number, name: string, type: string, bytes: Uint8Array): Promise<string> {
      const form = new FormData()
      form.append('file', new Blob([Uint8Array.from(bytes)], { type }), name)
      const answer = await client.requester.postForm(`projects/${segment(projectId, 'a project')}/uploads`, form)
      const { url } = read(uploaded, answer, 'the uploaded file', true)
      // It goes into a page as it is.
      if (!/^\/uploads\/[0-9a-f]{16,64}\/[\w.-]{1,255}$/.test(url))
        throw new GitLabError(`GitLab's answer about the uploaded file is no address of one: ${url.slice(0, 100)}`, {
          kind: 'invalid',
        })
      return url
    },
  }
}
