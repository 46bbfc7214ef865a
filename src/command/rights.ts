import type { Context } from '../context.ts'
import { code } from '../render/markdown.ts'
import { type BranchRow, findRun, type RunRow, shortBranch } from '../store/runs.ts'
import type { Order } from './order.ts'
import type { Place } from './place.ts'
import { branchesMeant } from './subtree.ts'

/** Roles as GitLab counts them. */
const roles = { guest: 10, reporter: 20, developer: 30, maintainer: 40 } as const

/**
 * Who may. `see`: whoever may read the code. `change`: who may push to the branch. `stop`: the person who caused the run, and who may push.
 * `allow`: a Maintainer, who answers for what others bring.
 */
export type Right = 'see' | 'change' | 'stop' | 'allow'

export const onlyMembers = 'Only members of the project may give commands here.'

/** Why the person may not, for people; null where they may. Asked of GitLab each time. */
export async function refusal(context: Context, order: Order, right: Right, place: Place): Promise<string | null> {
  const no = await refusalAt(context, order, right, place)
  if (no !== null || order.args.options.subtree !== true) return no
  // Each branch below asks for its own rights.
  const below = (await branchesMeant(context, order, place)).filter(branch => branch.id !== place.branch?.id)
  if (below.length > mostBelow) return refusalAt(context, order, 'allow', place)
  for (const branch of below) {
    const theirs = await refusalAt(context, order, right, {
      ...place,
      ref: branch.ref,
      branch,
      run: await runOf(context, branch),
    })
    if (theirs !== null) return theirs
  }
  return null
}

/** Of more branches than these at once a Maintainer decides: each is a question to GitLab. */
const mostBelow = 50

async function runOf(context: Context, branch: BranchRow): Promise<RunRow | null> {
  if (branch.latestRunId === null) return null
  return findRun(context.db, branch.latestRunId)
}

async function refusalAt(context: Context, order: Order, right: Right, place: Place): Promise<string | null> {
  const gitlab = context.gitlabOf(order.project.path)
  const access = await gitlab.memberAccess(order.project.id, order.person.id)
  if (access < roles.guest) return onlyMembers
  const least = async (needed: number, words: string) =>
    access >= needed ? null : `That needs the role ${words} in the project.`
  switch (right) {
    case 'see':
      return least(roles.reporter, 'Reporter or higher')
    case 'allow':
      return least(roles.maintainer, 'Maintainer or Owner')
    case 'stop':
      if (place.run?.causedBy?.id === order.person.id) return null
      return least(roles.developer, 'Developer or higher, or to have caused the run')
    case 'change': {
      if (access < roles.developer) return least(roles.developer, 'Developer or higher')
      // Who may not push to the branch may not have it computed either.
      if (place.fork || access >= roles.maintainer) return null
      const found = await gitlab.branch(order.project.id, shortBranch(place.ref))
      if (found?.protected !== true || found.developersCanPush) return null
      return `${code(shortBranch(place.ref))} is protected: that needs the role Maintainer or Owner.`
    }
  }
}
