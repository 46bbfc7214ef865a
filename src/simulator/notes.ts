import { accessLevel, canComment } from './access.ts'
import { mergeMergeRequest } from './merge.ts'
import { closeMergeRequest, reopenMergeRequest, updateMergeRequest } from './merge-requests.ts'
import { notePayload } from './payloads.ts'
import type { QuickAction } from './quick-actions.ts'
import { readQuickActions } from './quick-actions.ts'
import { badRequest, forbidden, notFound, type Refusal } from './refusal.ts'
import { addNote } from './system-notes.ts'
import type { SimAward, SimMergeRequest, SimNote, SimUser } from './types.ts'
import { ACCESS } from './types.ts'
import type { World } from './world.ts'
import { mergeRequestOf, notesOf, projectOf } from './world.ts'

const MAX_LENGTH = 1_000_000

/** GitLab answers with the Ruby text of its errors. */
function invalidNote(problem: string): Refusal {
  return badRequest(`400 Bad request - Note {:note=>["${problem}"]}`)
}

function validate(body: string): void {
  if (body.trim() === '') throw invalidNote("can't be blank")
  if (body.length > MAX_LENGTH) throw invalidNote(`is too long (maximum is ${MAX_LENGTH} characters)`)
}

function fire(world: World, note: SimNote, mr: SimMergeRequest, user: SimUser, action: 'create' | 'update'): void {
  if (note.system || note.internal) return
  world.webhooks.fire(note.projectId, 'notes', notePayload(world, note, mr, user, mr.headCommit, action))
}

async function runQuickActions(
  world: World,
  mr: SimMergeRequest,
  user: SimUser,
  actions: QuickAction[],
): Promise<void> {
  const level = accessLevel(user, projectOf(world, mr.projectId))
  const mayUpdate = level >= ACCESS.developer || mr.authorId === user.id
  for (const { command, argument } of actions) {
    if (command === 'merge') await mergeMergeRequest(world, mr, user).catch(() => {})
    if (!mayUpdate) continue
    if (command === 'close') closeMergeRequest(world, mr, user)
    if (command === 'reopen') await reopenMergeRequest(world, mr, user)
    if (command === 'draft' || command === 'ready') {
      await updateMergeRequest(world, mr, user, { draft: command === 'draft' })
    }
    if (command === 'title' && argument !== '') await updateMergeRequest(world, mr, user, { title: argument })
    if (command === 'target_branch') {
      await updateMergeRequest(world, mr, user, { targetBranch: argument }).catch(() => {})
    }
  }
}

export interface NewNote {
  body: string
  internal?: boolean
  discussionId?: string
  individual?: boolean
}

/** `commands` when the text was nothing but quick actions: they are done and there is no note. */
export type NoteOutcome = { note: SimNote } | { commands: string[] }

/** @throws Refusal 403 for who may not comment, 400 for an empty or too long text. */
export async function createNote(world: World, mr: SimMergeRequest, author: SimUser, o: NewNote): Promise<NoteOutcome> {
  if (!canComment(author, projectOf(world, mr.projectId))) throw forbidden()
  validate(o.body)
  const { text, actions } = readQuickActions(o.body)
  await runQuickActions(world, mr, author, actions)
  if (text === '') return { commands: actions.map(action => action.command) }
  const note = addNote(world, mr, author, text, {
    internal: o.internal ?? false,
    individual: o.individual ?? true,
    ...(o.discussionId === undefined ? {} : { discussionId: o.discussionId }),
  })
  fire(world, note, mr, author, 'create')
  return { note }
}

/** The author, and whoever is Maintainer; nobody edits what the system wrote. */
function canAdminister(world: World, note: SimNote, user: SimUser): boolean {
  if (note.system || projectOf(world, note.projectId).archived) return false
  return note.authorId === user.id || accessLevel(user, projectOf(world, note.projectId)) >= ACCESS.maintainer
}

export function findNote(world: World, mr: SimMergeRequest, id: number): SimNote {
  const note = notesOf(world, mr.id).find(n => n.id === id)
  if (!note) throw notFound()
  return note
}

/** @throws Refusal 403 for another person's note, 400 for an empty or too long text. */
export function editNote(world: World, note: SimNote, user: SimUser, body: string): void {
  if (!canAdminister(world, note, user)) throw forbidden()
  validate(body)
  if (note.body === body) return
  note.body = body
  note.updatedAt = world.now()
  fire(world, note, mergeRequestOf(world, note.projectId, note.mergeRequestIid), user, 'update')
}

export function deleteNote(world: World, note: SimNote, user: SimUser): void {
  if (!canAdminister(world, note, user)) throw forbidden()
  const notes = notesOf(world, note.mergeRequestId)
  notes.splice(notes.indexOf(note), 1)
}

const EMOJI_ALIASES: Record<string, string> = { '+1': 'thumbsup', '-1': 'thumbsdown' }

/** @throws Refusal 404, which is what GitLab answers to a second reaction of the same name by the same person. */
export function awardEmoji(world: World, note: SimNote, user: SimUser, given: string): SimAward {
  if (!canComment(user, projectOf(world, note.projectId))) throw notFound('Award Emoji')
  const name = Object.hasOwn(EMOJI_ALIASES, given) ? (EMOJI_ALIASES[given] ?? given) : given
  if (!/^[a-z0-9_]{1,60}$/.test(name)) throw notFound('Award Emoji Name is not a valid emoji name')
  if (note.awards.some(award => award.name === name && award.userId === user.id)) {
    throw notFound('Award Emoji Name has already been taken')
  }
  const award = { id: world.nextId('award'), name, userId: user.id, createdAt: world.now() }
  note.awards.push(award)
  return award
}
