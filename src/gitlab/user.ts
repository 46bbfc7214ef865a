import { z } from 'zod'
import type { Client } from './client.ts'
import { read, segment } from './read.ts'

export interface User {
  readonly id: number
  readonly username: string
  readonly name: string
  readonly bot: boolean
}

// `bot` is missing from some answers; project and group access tokens are told by their user's name.
const tokenBot = /^(project|group)_\d+_bot(_|\d|$)/

const user = z
  .object({
    id: z.number(),
    username: z.string(),
    name: z.string().nullish(),
    bot: z.boolean().nullish(),
  })
  .transform(
    (found): User => ({
      id: found.id,
      username: found.username,
      name: found.name ?? found.username,
      bot: found.bot ?? tokenBot.test(found.username),
    }),
  )

export function userCalls(client: Client) {
  return {
    /** Who the token acts as: for a project or group access token its bot. */
    async me(): Promise<User> {
      return read(user, await client.users.showCurrentUser(), 'the current user')
    },

    async user(id: number): Promise<User> {
      return read(user, await client.users.show(segment(id, 'a user id') as number), `user ${id}`)
    },

    /** e.g. `19.4.0-ee`. */
    async version(): Promise<string> {
      return read(z.object({ version: z.string() }), await client.requester.get('version'), 'its version').version
    },
  }
}
