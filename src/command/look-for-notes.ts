import type { Context } from '../context.ts'
import type { MergeRequest } from '../gitlab/gitlab.ts'
import type { ProjectRow } from '../store/projects.ts'
import { mayHold } from './parse.ts'
import { rememberNote } from './take-note.ts'

// What was looked at when it had last changed. Only a hint: after a restart all are asked for once more.
const lookedOf = new WeakMap<object, Map<string, string>>()

/** Where no webhook tells of notes: those of a merge request that has changed are asked for, in one call. Returns how many were new commands. */
export async function lookForNotes(
  context: Context,
  project: ProjectRow,
  seen: MergeRequest,
  since: Date,
): Promise<number> {
  const looked = lookedOf.get(context.store) ?? new Map<string, string>()
  lookedOf.set(context.store, looked)
  const key = `${project.id} ${seen.iid}`
  if (seen.state !== 'opened' || (seen.updatedAt !== null && looked.get(key) === seen.updatedAt)) return 0
  let taken = 0
  for (const note of await context.gitlabOf(project.path).notesSince(project.id, seen.iid, since)) {
    if (context.botIds().has(note.author.id) || !mayHold(note.body)) continue
    const found = { projectId: project.id, projectPath: project.path, iid: seen.iid, noteId: note.id }
    const result = await rememberNote(
      context,
      { ...found, authorId: note.author.id, body: note.body },
      { foundBy: 'looking', deliveryId: null },
    )
    if (result.startsWith('!')) taken++
  }
  if (seen.updatedAt !== null) looked.set(key, seen.updatedAt)
  return taken
}
