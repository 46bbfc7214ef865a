import { canMergeInto } from './access.ts'
import { commitTree, mergeTree, resolveRef, updateRef } from './git.ts'
import { markMerged } from './merge-requests.ts'
import { detailedMergeStatus } from './payloads.ts'
import type { RefChange } from './pushes.ts'
import { afterPush } from './pushes.ts'
import { conflict, Refusal, unauthorized } from './refusal.ts'
import type { SimMergeRequest, SimUser } from './types.ts'
import { ZERO_SHA } from './types.ts'
import type { World } from './world.ts'
import { projectOf } from './world.ts'

export interface MergeOptions {
  sha?: string | undefined
  message?: string | undefined
  removeSourceBranch?: boolean | undefined
}

/** A real merge commit in the target branch, pushed in the person's name. @throws Refusal 401, 405, 409, 422. */
export async function mergeMergeRequest(
  world: World,
  mr: SimMergeRequest,
  user: SimUser,
  options: MergeOptions = {},
): Promise<void> {
  const project = projectOf(world, mr.projectId)
  if (!canMergeInto(user, project, mr.targetBranch)) throw unauthorized()
  if (detailedMergeStatus(world, mr) !== 'mergeable') throw new Refusal(405, { message: '405 Method Not Allowed' })
  if (options.sha !== undefined && options.sha !== mr.sha) {
    throw conflict(`SHA does not match HEAD of source branch: ${mr.sha}`)
  }
  const ref = `refs/heads/${mr.targetBranch}`
  const before = await resolveRef(project.directory, ref)
  const tree = before && (await mergeTree(project.directory, before, mr.sha))
  if (!before || !tree) throw new Refusal(422, { message: 'Branch cannot be merged' })
  const reference = `${project.fullPath}!${mr.iid}`
  const message =
    options.message ??
    `Merge branch '${mr.sourceBranch}' into '${mr.targetBranch}'\n\n${mr.title}\n\nSee merge request ${reference}\n`
  const person = { name: user.name, email: user.email, date: world.now().toISOString() }
  const after = await commitTree(project.directory, tree, [before, mr.sha], message, person)
  await updateRef(project.directory, ref, after, before)
  markMerged(world, mr, user, after)
  const changes: RefChange[] = [{ ref, before, after }]
  const source = projectOf(world, mr.sourceProjectId)
  if ((options.removeSourceBranch ?? mr.removeSourceBranch) && source.defaultBranch !== mr.sourceBranch) {
    const sourceRef = `refs/heads/${mr.sourceBranch}`
    const head = await resolveRef(source.directory, sourceRef)
    if (head !== null) {
      await updateRef(source.directory, sourceRef, null, head)
      const removal = { ref: sourceRef, before: head, after: ZERO_SHA }
      world.track(afterPush(world, { project: source, user, changes: [removal] }))
    }
  }
  world.track(afterPush(world, { project, user, changes, mergedId: mr.id }))
}
