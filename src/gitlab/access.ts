import { z } from 'zod'
import type { Client } from './client.ts'
import { isGitLabError } from './errors.ts'
import { read } from './read.ts'
import { tokenCalls } from './token.ts'

const oauthInfo = z.object({ scope: z.array(z.string()).nullish() })

/** What somebody may do with the token that they sent us. */
export function accessCalls(client: Client) {
  return {
    /** Its scopes. An access token looks at itself; an OAuth token, which cannot, is asked for beside the API. */
    async scopes(): Promise<readonly string[]> {
      const info = await tokenCalls(client).tokenInfo()
      if (info !== null) return info.scopes
      return read(oauthInfo, await client.requester.getBeside('oauth/token/info'), 'the token').scope ?? []
    },

    /**
     * Whether whoever has the token may read the project's code: what GitLab answers to a look at its branches. A guest of a private project is refused; of a
     * project that they cannot see they do not learn that it is there.
     */
    async readsCode(projectId: number): Promise<'yes' | 'no' | 'not visible'> {
      try {
        await client.requester.get(`projects/${projectId}/repository/branches`, { perPage: 1 })
        return 'yes'
      } catch (error) {
        if (isGitLabError(error, 'forbidden')) return 'no'
        if (isGitLabError(error, 'not found')) return 'not visible'
        throw error
      }
    },
  }
}
