import { createHash } from 'node:crypto'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import type { NoteEvent } from '../model/event.ts'
import { newId } from '../model/id.ts'
import { comments } from '../store/schema.ts'
import { parseNote, type Written } from './parse.ts'
import { verbWords } from './verbs.ts'

/** A note that was found, by a webhook or by looking. */
export interface FoundNote {
  readonly projectId: number
  readonly projectPath: string
  readonly iid: number
  readonly noteId: number
  readonly authorId: number
  readonly body: string
}

/** A delivered note: where it holds commands it becomes a row, which is acted on when the note has been read again. */
export async function takeNote(context: Context, event: NoteEvent, deliveryId: string): Promise<string> {
  if (event.on !== 'merge request' || event.iid === null) return 'commands are read on merge requests'
  if (event.action !== 'create') return 'edited notes are not commands: write a new one'
  return rememberNote(
    context,
    { ...event, iid: event.iid, authorId: event.author.id },
    { foundBy: 'webhook', deliveryId },
  )
}

/** The row that is unique for a note: found by webhook and by looking, or delivered again, it is acted on once. */
export async function rememberNote(
  context: Context,
  note: FoundNote,
  how: { readonly foundBy: 'webhook' | 'looking'; readonly deliveryId: string | null },
): Promise<string> {
  const written = await commandsOf(context, note.projectPath, note.body)
  if (written.length === 0) return 'a note without a /compops command'
  const stored = await context.db
    .insert(comments)
    .values({
      ...{ id: newId(), projectId: note.projectId, iid: note.iid, noteId: note.noteId, authorId: note.authorId },
      ...{ bodySha256: hashOf(note.body), ...how },
    })
    .onConflictDoNothing()
    .returning({ id: comments.id })
  if (stored.length === 0) return `note ${note.noteId} is known already`
  context.wake.call('comments')
  const lines = written.map(one => one.line.slice(0, 80)).join(' · ')
  return `!${note.iid}: ${lines}`
}

export const hashOf = (body: string): string => createHash('sha256').update(body).digest('hex')

/** What a note of this project orders; nothing where the site does not want commands in notes. */
export async function commandsOf(context: Context, projectPath: string, body: string): Promise<Written[]> {
  const rule = projectFor(context.config, projectPath)
  if (rule === null || !rule.commands.notes) return []
  const { aliases } = rule.commands
  // Asked once for each token; who we are is known long before anybody writes to us.
  const bot = /^@/m.test(body) ? (await context.gitlabOf(projectPath).self()).username : null
  return parseNote(body, { bot, aliases, verbs: verbWords })
}
