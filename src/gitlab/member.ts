import { z } from 'zod'
import type { Client } from './client.ts'
import { isGitLabError } from './errors.ts'
import { read, segment } from './read.ts'

const member = z.object({
  access_level: z.number(),
  state: z.string().nullish(),
  expires_at: z.string().nullish(),
})

export function memberCalls(client: Client, now: () => number) {
  return {
    /**
     * A person's role in a project, inherited ones included: 0 none, 5 minimal, 10 guest, 15 planner, 20 reporter, 30 developer, 40 maintainer,
     * 50 owner. Whatever cannot be seen gives no right. A membership ends at the start of its `expires_at` day, but GitLab removes it only with
     * a daily job, so we look at the date ourselves; a blocked user keeps the row too.
     */
    async memberAccess(projectId: number, userId: number): Promise<number> {
      try {
        const found = read(
          member,
          await client.members.show(projectId, segment(userId, 'a user id') as number, { includeInherited: true }),
          `member ${userId}`,
        )
        const today = new Date(now()).toISOString().slice(0, 10)
        const ended = typeof found.expires_at === 'string' && found.expires_at.slice(0, 10) <= today
        const active = found.state === undefined || found.state === null || found.state === 'active'
        return active && !ended ? found.access_level : 0
      } catch (error) {
        if (isGitLabError(error, 'not found')) return 0
        throw error
      }
    },
  }
}
