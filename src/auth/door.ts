import type { Config } from '../config/index.ts'
import type { GitLab } from '../gitlab/gitlab.ts'
import type { Db } from '../store/open.ts'
import { createProjectAccess } from './access.ts'
import { type Desk, openDesk } from './desk.ts'
import { createSignIn, type SignIn } from './sign-in.ts'

/** Where everybody comes in, scripts and browsers alike: who they are, and the desk that shows them only what GitLab shows them. One for API and pages, so that the two never disagree. */
export interface Door {
  readonly signIn: SignIn
  readonly desk: Desk
}

export function openDoor(parts: {
  readonly db: Db
  readonly config: Pick<Config, 'projects'>
  readonly now: () => number
  readonly gitlabAs: (token: string) => GitLab
  readonly gitlabOf: (projectPath: string) => GitLab
  readonly onFailure: (address: string, why: string) => void
}): Door {
  const { now, gitlabAs, gitlabOf, onFailure } = parts
  const access = createProjectAccess({
    now,
    memberAccess: (project, userId) => gitlabOf(project.path).memberAccess(project.id, userId),
  })
  return { signIn: createSignIn({ now, gitlabAs, onFailure }), desk: openDesk(parts, access) }
}
