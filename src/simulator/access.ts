import type { AccessLevel, ProtectedBranch, SimProject, SimUser } from './types.ts'
import { ACCESS } from './types.ts'

/** Who may do what. 0 is nobody at all; a public project gives everybody the read rights of a guest and the code besides. */
export function accessLevel(user: SimUser | null, project: SimProject): AccessLevel | 0 {
  if (user === null) return 0
  if (user.admin) return ACCESS.owner
  return project.members.get(user.id) ?? 0
}

export function canSee(user: SimUser | null, project: SimProject): boolean {
  return project.visibility === 'public' || accessLevel(user, project) > 0
}

/** Code, merge requests and pipelines of a private project begin at Reporter. */
export function canReadCode(user: SimUser | null, project: SimProject): boolean {
  return project.visibility === 'public' || accessLevel(user, project) >= ACCESS.reporter
}

export function canComment(user: SimUser | null, project: SimProject): boolean {
  return user !== null && !project.archived && canReadCode(user, project)
}

/** `*` stands for anything, slashes too, as in GitLab's protected branches and hook filters. */
export function matchesWildcard(pattern: string, name: string): boolean {
  const source = pattern.split('*').map(part => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${source.join('[\\s\\S]*')}$`).test(name)
}

export function protectionsOf(project: SimProject, branch: string): ProtectedBranch[] {
  return project.protectedBranches.filter(rule => matchesWildcard(rule.pattern, branch))
}

function mayPushBy(rule: ProtectedBranch, user: SimUser | null, level: AccessLevel | 0): boolean {
  return allowedBy(level, rule.pushLevel) || (user !== null && rule.pushUserIds.includes(user.id))
}

function allowedBy(level: AccessLevel | 0, needed: AccessLevel | 0): boolean {
  return needed !== 0 && level >= needed
}

export function canPushTo(user: SimUser | null, project: SimProject, branch: string): boolean {
  if (project.archived) return false
  const level = accessLevel(user, project)
  if (level < ACCESS.developer) return false
  const rules = protectionsOf(project, branch)
  return rules.length === 0 || rules.some(rule => mayPushBy(rule, user, level))
}

export function canMergeInto(user: SimUser | null, project: SimProject, branch: string): boolean {
  if (project.archived) return false
  const level = accessLevel(user, project)
  if (level < ACCESS.developer) return false
  const rules = protectionsOf(project, branch)
  return rules.length === 0 || rules.some(rule => allowedBy(level, rule.mergeLevel) || mayPushBy(rule, user, level))
}

/** `update_pipeline`: Developer, and on a protected ref the right to push or merge there. */
export function canUpdatePipeline(user: SimUser | null, project: SimProject, ref: string): boolean {
  if (accessLevel(user, project) < ACCESS.developer) return false
  return canPushTo(user, project, ref) || canMergeInto(user, project, ref)
}
