import { z } from 'zod'
import type { Client } from './client.ts'
import { GitLabError, isGitLabError } from './errors.ts'
import { all, isMissing, read, rows, segment } from './read.ts'

export interface Note {
  readonly id: number
  readonly body: string
  readonly author: { readonly id: number; readonly username: string }
  /** Written by GitLab itself ("added 1 commit"), never a command. */
  readonly system: boolean
  readonly createdAt: string | null
  readonly updatedAt: string | null
}

const note = z
  .object({
    id: z.number(),
    body: z.string().nullish(),
    author: z.object({ id: z.number(), username: z.string() }).nullish(),
    system: z.boolean().nullish(),
    created_at: z.string().nullish(),
    updated_at: z.string().nullish(),
  })
  .transform(
    (found): Note => ({
      id: found.id,
      body: found.body ?? '',
      author: found.author ?? { id: 0, username: 'ghost' },
      system: found.system ?? false,
      createdAt: found.created_at ?? null,
      updatedAt: found.updated_at ?? null,
    }),
  )

const award = z.object({
  name: z.string(),
  user: z
    .object({ id: z.number() })
    .nullish()
    .transform(found => found ?? null),
})

// GitLab's limit on a comment, in characters.
const longest = 1_000_000

export function noteCalls(client: Client) {
  /** Page by page while somebody asks for more. */
  const newestFirst = (projectId: number, iid: number) =>
    rows(note, `the notes of !${iid}`, page =>
      client.notes.all(projectId, segment(iid, 'a merge request') as number, {
        sort: 'desc',
        orderBy: 'created_at',
        ...page,
      }),
    )

  async function* ours(
    projectId: number,
    iid: number,
    marker: string,
    author: number | ReadonlySet<number>,
  ): AsyncGenerator<Note> {
    const isOurs = (id: number) => (typeof author === 'number' ? id === author : author.has(id))
    if (marker === '') throw new GitLabError('A note cannot be looked for without a marker', { kind: 'invalid' })
    for await (const found of newestFirst(projectId, iid)) {
      if (!found.system && isOurs(found.author.id) && found.body.includes(marker)) yield found
    }
  }

  async function findNote(
    projectId: number,
    iid: number,
    marker: string,
    author: number | ReadonlySet<number>,
  ): Promise<Note | null> {
    for await (const found of ours(projectId, iid, marker, author)) return found
    return null
  }

  return {
    async note(projectId: number, iid: number, noteId: number): Promise<Note | null> {
      try {
        const answer = await client.notes.show(projectId, iid, segment(noteId, 'a note') as number)
        return read(note, answer, `note ${noteId}`)
      } catch (error) {
        if (isMissing(error)) return null
        throw error
      }
    },

    /** Those that were written since, the oldest first; what GitLab itself wrote is left out. */
    async notesSince(projectId: number, iid: number, since: Date): Promise<Note[]> {
      const found: Note[] = []
      for await (const one of newestFirst(projectId, iid)) {
        if (one.createdAt !== null && Date.parse(one.createdAt) < since.getTime()) break
        if (!one.system) found.push(one)
      }
      return found.reverse()
    },

    /** Our note, found again by its hidden marker and its author: anyone may quote the marker. The newest, if there are several. */
    findNote,

    /** All of them, the newest first. */
    async findNotes(projectId: number, iid: number, marker: string, authorId: number): Promise<Note[]> {
      const found: Note[] = []
      for await (const one of ours(projectId, iid, marker, authorId)) found.push(one)
      return found
    },

    /**
     * With `findAgain`, a note whose answer was lost is looked for before the loss is reported; without it the caller does so (`maybeDone`).
     */
    async createNote(
      projectId: number,
      iid: number,
      body: string,
      findAgain?: { readonly marker: string; readonly authorId: number },
    ): Promise<Note> {
      checkBody(body)
      try {
        const answer: unknown = await client.notes.create(projectId, segment(iid, 'a merge request') as number, body)
        refuseQuickActions(answer)
        return read(note, answer, 'the new note', true)
      } catch (error) {
        if (findAgain === undefined || !isGitLabError(error) || !error.maybeDone) throw error
        // Most often GitLab is still in trouble: then it is the first error that counts.
        const found = await findNote(projectId, iid, findAgain.marker, findAgain.authorId).catch(() => null)
        if (found === null) throw error
        return found
      }
    },

    /** Throws `not found` when somebody deleted it, `forbidden` when another user (a former bot) wrote it. */
    async updateNote(projectId: number, iid: number, noteId: number, body: string): Promise<Note> {
      checkBody(body)
      const answer: unknown = await client.notes.edit(projectId, iid, segment(noteId, 'a note') as number, { body })
      refuseQuickActions(answer)
      return read(note, answer, `note ${noteId}`)
    },

    /** Fine, too, if it is gone already. */
    async deleteNote(projectId: number, iid: number, noteId: number): Promise<void> {
      try {
        await client.notes.remove(projectId, iid, segment(noteId, 'a note') as number)
      } catch (error) {
        if (!isMissing(error)) throw error
      }
    },

    /** Whether one of these users has reacted to the note so. */
    async hasReaction(
      projectId: number,
      iid: number,
      noteId: number,
      emoji: string,
      users: ReadonlySet<number>,
    ): Promise<boolean> {
      const found = await all(
        rows(award, `the reactions to note ${noteId}`, page =>
          client.noteEmojis.all(projectId, iid, segment(noteId, 'a note') as number, page),
        ),
      )
      return found.some(one => one.name === emoji && one.user !== null && users.has(one.user.id))
    },

    /** A reaction to a note, e.g. `eyes`. Given twice it is refused as 404 "Award Emoji Name has already been taken": that is fine. */
    async react(projectId: number, iid: number, noteId: number, emoji: string): Promise<void> {
      try {
        await client.noteEmojis.award(projectId, iid, segment(noteId, 'a note') as number, emoji)
      } catch (error) {
        if (!isGitLabError(error, 'not found') || !/already been taken/i.test(error.said)) throw error
      }
    },
  }
}

function checkBody(body: string): void {
  if (body.trim() === '')
    throw new GitLabError('A note without text is refused by GitLab; nothing sent', { kind: 'invalid' })
  if (body.length > longest) {
    throw new GitLabError(`A note of ${body.length} characters is over GitLab's limit of ${longest}; nothing sent`, {
      kind: 'invalid',
    })
  }
}

/** Text that is nothing but quick actions is carried out and no note is made (202, `commands_changes`, no id). */
function refuseQuickActions(answer: unknown): void {
  if (typeof answer === 'object' && answer !== null && 'commands_changes' in answer && !('id' in answer)) {
    throw new GitLabError(
      'GitLab read the whole note as quick actions and made no note; escape lines starting with /',
      {
        kind: 'invalid',
      },
    )
  }
}
