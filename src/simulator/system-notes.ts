import { randomBytes } from 'node:crypto'
import { LIMITS } from './limits.ts'
import type { SimMergeRequest, SimNote, SimUser } from './types.ts'
import type { World } from './world.ts'
import { notesOf } from './world.ts'

/** Adds a row to the activity of a merge request, which counts as a change of it. No hook: the caller decides, and a system note never has one. */
export function addNote(
  world: World,
  mr: SimMergeRequest,
  author: SimUser,
  body: string,
  more: Partial<SimNote> = {},
): SimNote {
  const note: SimNote = {
    id: world.nextId('note'),
    projectId: mr.projectId,
    mergeRequestId: mr.id,
    mergeRequestIid: mr.iid,
    discussionId: randomBytes(20).toString('hex'),
    individual: true,
    authorId: author.id,
    body,
    system: false,
    internal: false,
    createdAt: world.now(),
    updatedAt: world.now(),
    awards: [],
    ...more,
  }
  mr.updatedAt = world.now()
  const notes = notesOf(world, mr.id)
  notes.push(note)
  if (notes.length > LIMITS.notes) notes.splice(0, notes.length - LIMITS.notes)
  world.notes.set(mr.id, notes)
  return note
}

/** What GitLab itself writes into the activity: "closed", "added 1 commit". */
export function addSystemNote(world: World, mr: SimMergeRequest, user: SimUser, body: string): SimNote {
  return addNote(world, mr, user, body, { system: true })
}
