import type { GitLab } from '../gitlab/gitlab.ts'
import { createCache } from './cache.ts'
import { Refusal } from './refusal.ts'
import { type Caller, troubleWithGitLab } from './sign-in.ts'

/** Their role in a project, in GitLab's numbers: 0 none, 10 guest, 20 reporter, 30 developer, 40 maintainer, 50 owner. */
export interface Access {
  readonly level: number
}

export interface AccessOptions {
  /** GitLab with our own token: the role of anybody in a project, inherited ones included. */
  readonly memberAccess: (project: ProjectAsked, userId: number) => Promise<number>
  readonly now: () => number
  readonly remember?: number
}

export interface ProjectAsked {
  readonly id: number
  readonly path: string
}

/**
 * What the caller may do in the project. Throws Refusal 404 where GitLab does not show it to them, 403 where they may not read its code: the evidence stands in the
 * repository, so whoever may read that may read the runs, and nobody else. `anew`: what is remembered will not do, something is to be changed.
 */
export type ProjectAccess = (caller: Caller, project: ProjectAsked, anew?: boolean) => Promise<Access>

export function createProjectAccess({ memberAccess, now, remember = 60_000 }: AccessOptions): ProjectAccess {
  const known = createCache<Access | Refusal>(now, 5_000)

  async function ask(caller: Caller, project: ProjectAsked): Promise<Access | Refusal> {
    const gitlab: Pick<GitLab, 'readsCode'> = caller.gitlab()
    const code = await gitlab.readsCode(project.id)
    if (code === 'not visible') return noSuchProject()
    if (code === 'no')
      return new Refusal(403, `GitLab does not let you read the code of ${project.path}, and its runs belong to it`)
    return { level: await memberAccess(project, caller.person.id) }
  }

  return async function projectAccess(caller, project, anew = false) {
    const key = `${caller.fingerprint} ${project.id}`
    const before = anew ? null : known.look(key)
    let answer = before?.fresh === true ? before.value : null
    if (answer === null) {
      answer = await ask(caller, project).catch(error => {
        throw troubleWithGitLab(error)
      })
      known.keep(key, answer, remember)
    }
    if (answer instanceof Refusal) throw answer
    return answer
  }
}

/** The same words for a project that there is not, that is not ours, and that GitLab does not show to them. */
export function noSuchProject(): Refusal {
  return new Refusal(404, 'There is no such project here, or GitLab does not show it to you')
}

export function noSuch(thing: string): Refusal {
  return new Refusal(404, `There is no such ${thing}, or GitLab does not show it to you`)
}
