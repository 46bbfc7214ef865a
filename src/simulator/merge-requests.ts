import { accessLevel, canReadCode } from './access.ts'
import { fetchObject, findCommit, mergeBase, resolveRef, updateRef } from './git.ts'
import type { Changes, MergeRequestAction } from './payloads.ts'
import { hookTime, isDraft, mergeRequestPayload } from './payloads.ts'
import { scheduleCi } from './pipelines.ts'
import { badRequest, conflict, forbidden, Refusal } from './refusal.ts'
import { addSystemNote } from './system-notes.ts'
import type { SimMergeRequest, SimProject, SimUser } from './types.ts'
import { ACCESS } from './types.ts'
import type { World } from './world.ts'
import { mergeRequestsOf, projectOf } from './world.ts'

export function fireMergeRequest(
  world: World,
  mr: SimMergeRequest,
  user: SimUser,
  action: MergeRequestAction,
  changes: Changes,
  oldrev?: string,
): void {
  const payload = mergeRequestPayload(world, mr, user, mr.headCommit, action, changes, oldrev)
  world.webhooks.fire(mr.projectId, 'mergeRequests', payload)
}

function touch(world: World, mr: SimMergeRequest): Changes {
  const previous = hookTime(mr.updatedAt)
  mr.updatedAt = world.now()
  return { updated_at: { previous, current: hookTime(mr.updatedAt) } }
}

/** Takes the new head: the commit comes into the target repository as `refs/merge-requests/IID/head`. */
export async function takeHead(world: World, mr: SimMergeRequest, sha: string): Promise<void> {
  const source = projectOf(world, mr.sourceProjectId)
  const target = projectOf(world, mr.projectId)
  const ref = `refs/merge-requests/${mr.iid}/head`
  if (source.id === target.id) await updateRef(target.directory, ref, sha)
  else await fetchObject(target.directory, source.directory, sha, ref)
  mr.headCommit = await findCommit(target.directory, sha)
  mr.sha = sha
}

export interface NewMergeRequest {
  source: SimProject
  target: SimProject
  sourceBranch: string
  targetBranch: string
  title: string
  description?: string | undefined
  assigneeIds?: number[]
  labels?: string[]
  removeSourceBranch?: boolean
}

/** @throws Refusal: 403 role, 422 same branch, 409 another one is open, 400 anything that does not validate. */
export async function createMergeRequest(world: World, user: SimUser, o: NewMergeRequest): Promise<SimMergeRequest> {
  const { source, target } = o
  if (accessLevel(user, source) < ACCESS.developer || !canReadCode(user, target)) throw forbidden()
  if (source.id !== target.id && source.forkedFromId !== target.id && target.forkedFromId !== source.id) {
    throw new Refusal(422, { message: ['Source project is not a fork of the target project'] })
  }
  if (source.id === target.id && o.sourceBranch === o.targetBranch) {
    throw new Refusal(422, { message: ["You can't use same project/branch for source and target"] })
  }
  const twin = mergeRequestsOf(world, target.id).find(
    mr =>
      mr.state === 'opened' &&
      mr.sourceProjectId === source.id &&
      mr.sourceBranch === o.sourceBranch &&
      mr.targetBranch === o.targetBranch,
  )
  if (twin) throw conflict([`Another open merge request already exists for this source branch: !${twin.iid}`])
  if (o.title.trim() === '') throw badRequest({ title: ["can't be blank"] })
  if (o.title.length > 255) throw badRequest({ title: ['is too long (maximum is 255 characters)'] })
  const sha = await resolveRef(source.directory, `refs/heads/${o.sourceBranch}`)
  if (sha === null) throw badRequest({ source_branch: ['does not exist'] })
  if ((await resolveRef(target.directory, `refs/heads/${o.targetBranch}`)) === null) {
    throw badRequest({ target_branch: ['does not exist'] })
  }
  const now = world.now()
  const mr: SimMergeRequest = {
    id: world.nextId('mergeRequest'),
    iid: target.nextMergeRequestIid++,
    projectId: target.id,
    sourceProjectId: source.id,
    sourceBranch: o.sourceBranch,
    targetBranch: o.targetBranch,
    title: o.title,
    description: o.description ?? '',
    state: 'opened',
    authorId: user.id,
    assigneeIds: o.assigneeIds ?? [],
    labels: o.labels ?? [],
    sha,
    headCommit: null,
    mergeCommitSha: null,
    mergeUserId: null,
    mergedAt: null,
    closedAt: null,
    removeSourceBranch: o.removeSourceBranch ?? false,
    createdAt: now,
    updatedAt: now,
    lastEditedAt: null,
    lastEditedById: null,
  }
  await takeHead(world, mr, sha)
  world.mergeRequests.set(mr.id, mr)
  fireMergeRequest(world, mr, user, 'open', {
    merge_status: { previous: 'preparing', current: 'checking' },
    updated_at: { previous: hookTime(now), current: hookTime(now) },
    prepared_at: { previous: null, current: hookTime(now) },
  })
  startMergeRequestPipeline(world, mr, user)
  return mr
}

/** The pipeline of the merge request's head, in the source project. */
export function startMergeRequestPipeline(world: World, mr: SimMergeRequest, user: SimUser): void {
  scheduleCi(world, {
    project: projectOf(world, mr.sourceProjectId),
    user,
    sha: mr.sha,
    ref: `refs/merge-requests/${mr.iid}/head`,
    source: 'merge_request_event',
    mergeRequest: mr,
  })
}

export interface MergeRequestUpdate {
  title?: string | undefined
  description?: string | undefined
  targetBranch?: string | undefined
  labels?: string[] | undefined
  assigneeIds?: number[] | undefined
  removeSourceBranch?: boolean | undefined
  draft?: boolean | undefined
}

export function canUpdateMergeRequest(user: SimUser, project: SimProject, mr: SimMergeRequest): boolean {
  return accessLevel(user, project) >= ACCESS.developer || (mr.authorId === user.id && canReadCode(user, project))
}

function withDraft(title: string, draft: boolean): string {
  const plain = title.replace(/^((\[draft\]|\(draft\)|draft:)\s*)+/i, '')
  return draft ? `Draft: ${plain}` : plain
}

/** @throws Refusal 400 when the new content does not validate. */
export async function updateMergeRequest(
  world: World,
  mr: SimMergeRequest,
  user: SimUser,
  update: MergeRequestUpdate,
): Promise<void> {
  const project = projectOf(world, mr.projectId)
  const title =
    update.draft === undefined ? (update.title ?? mr.title) : withDraft(update.title ?? mr.title, update.draft)
  if (title.trim() === '') throw badRequest({ title: ["can't be blank"] })
  if (title.length > 255) throw badRequest({ title: ['is too long (maximum is 255 characters)'] })
  const targetBranch = update.targetBranch ?? mr.targetBranch
  if (targetBranch !== mr.targetBranch) {
    if ((await resolveRef(project.directory, `refs/heads/${targetBranch}`)) === null) {
      throw badRequest({ target_branch: ['does not exist'] })
    }
  }
  const changes: Changes = {}
  if (title !== mr.title) {
    changes.title = { previous: mr.title, current: title }
    const wasDraft = isDraft(mr.title)
    if (wasDraft !== isDraft(title)) {
      changes.draft = { previous: wasDraft, current: !wasDraft }
      const word = wasDraft ? 'ready' : 'draft'
      addSystemNote(world, mr, user, `marked this merge request as **${word}**`)
    } else addSystemNote(world, mr, user, `changed title from **${mr.title}** to **${title}**`)
    mr.title = title
  }
  if (update.description !== undefined && update.description !== mr.description) {
    changes.description = { previous: mr.description, current: update.description }
    mr.description = update.description
    addSystemNote(world, mr, user, 'changed the description')
  }
  if (targetBranch !== mr.targetBranch) {
    changes.target_branch = { previous: mr.targetBranch, current: targetBranch }
    addSystemNote(world, mr, user, `changed target branch from \`${mr.targetBranch}\` to \`${targetBranch}\``)
    mr.targetBranch = targetBranch
  }
  if (update.labels !== undefined && update.labels.join() !== mr.labels.join()) {
    changes.labels = { previous: mr.labels, current: update.labels }
    mr.labels = update.labels
  }
  if (update.assigneeIds !== undefined && update.assigneeIds.join() !== mr.assigneeIds.join()) {
    changes.assignees = { previous: mr.assigneeIds, current: update.assigneeIds }
    mr.assigneeIds = update.assigneeIds
  }
  if (update.removeSourceBranch !== undefined) mr.removeSourceBranch = update.removeSourceBranch
  if (Object.keys(changes).length === 0) return
  Object.assign(changes, touch(world, mr))
  mr.lastEditedAt = mr.updatedAt
  mr.lastEditedById = user.id
  fireMergeRequest(world, mr, user, 'update', changes)
}

/** Closing what is closed, or opening what is open, changes nothing and tells nobody. */
export function closeMergeRequest(world: World, mr: SimMergeRequest, user: SimUser): void {
  if (mr.state !== 'opened') return
  mr.state = 'closed'
  mr.closedAt = world.now()
  const changes = { state_id: { previous: 1, current: 2 }, ...touch(world, mr) }
  addSystemNote(world, mr, user, 'closed')
  fireMergeRequest(world, mr, user, 'close', changes)
}

export async function reopenMergeRequest(world: World, mr: SimMergeRequest, user: SimUser): Promise<void> {
  if (mr.state !== 'closed') return
  const source = projectOf(world, mr.sourceProjectId)
  const head = await resolveRef(source.directory, `refs/heads/${mr.sourceBranch}`)
  if (head !== null && head !== mr.sha) await takeHead(world, mr, head)
  mr.state = 'opened'
  mr.closedAt = null
  const changes = { state_id: { previous: 2, current: 1 }, ...touch(world, mr) }
  addSystemNote(world, mr, user, 'reopened')
  fireMergeRequest(world, mr, user, 'reopen', changes)
}

/** The state after the merge commit is in the target branch. */
export function markMerged(world: World, mr: SimMergeRequest, user: SimUser, mergeCommitSha: string | null): void {
  mr.state = 'merged'
  mr.mergedAt = world.now()
  mr.mergeUserId = user.id
  mr.mergeCommitSha = mergeCommitSha
  const changes = { state_id: { previous: 1, current: 3 }, ...touch(world, mr) }
  addSystemNote(world, mr, user, 'merged')
  fireMergeRequest(world, mr, user, 'merge', changes)
}

/** New commits on the source branch: the `update` with `oldrev`, and the second one that real instances send without. */
export async function refreshMergeRequest(
  world: World,
  mr: SimMergeRequest,
  user: SimUser,
  after: string,
  added: number,
): Promise<void> {
  const oldrev = mr.sha
  await takeHead(world, mr, after)
  const changes = touch(world, mr)
  addSystemNote(world, mr, user, added === 0 ? 'rewrote the branch' : `added ${added} commit${added === 1 ? '' : 's'}`)
  fireMergeRequest(world, mr, user, 'update', changes, oldrev)
  if (world.settings.mergeRequestEcho) {
    fireMergeRequest(world, mr, user, 'update', { merge_status: { previous: 'checking', current: 'can_be_merged' } })
  }
}

/** The commits a merge request brings, and where it left its target. */
export async function mergeRequestRange(world: World, mr: SimMergeRequest) {
  const { directory } = projectOf(world, mr.projectId)
  const start = await resolveRef(directory, `refs/heads/${mr.targetBranch}`)
  // Once merged, the target contains the head: what it was merged into is the merge commit's first parent.
  const merged = mr.mergeCommitSha === null ? null : await findCommit(directory, mr.mergeCommitSha)
  const target = merged?.parents[0] ?? start
  const base = target === null ? null : await mergeBase(directory, [target, mr.sha])
  return { directory, base, start: target }
}
