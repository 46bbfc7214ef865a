import { and, eq, isNull, ne, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { type GitLab, isGitLabError, type Note } from '../gitlab/gitlab.ts'
import type { Cause, Person } from '../model/run.ts'
import { asOutage, isTokenTrouble, retryAfterOf } from '../run/outage.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { findProject, type ProjectRow } from '../store/projects.ts'
import { upToDate } from '../store/recovery.ts'
import { comments } from '../store/schema.ts'
import { claim, putBack, rowLease, sideBySide, stillClaimed } from '../store/work.ts'
import { answerMarker, renderAnswer } from './answer.ts'
import type { Answer } from './order.ts'
import type { Written } from './parse.ts'
import { perform } from './perform.ts'
import { commandsOf, hashOf } from './take-note.ts'

type CommentRow = typeof comments.$inferSelect

/** Acts on notes that hold commands, those of one merge request in order. Returns how many were claimed. */
export async function obeyComments(context: Context): Promise<number> {
  if (context.gitlabs().every(gitlab => gitlab.pause() > 0)) return 0
  const claimed = await claim(context.db, comments, {
    ...{ claimant: context.claimant, seconds: 300, limit: 20 },
    condition: and(isNull(comments.doneAt), upToDate(context.db, comments.projectId)),
  })
  const lanes = Map.groupBy(
    claimed.sort((a, b) => a.noteId - b.noteId),
    row => `${row.projectId} ${row.iid}`,
  )
  await sideBySide(
    [...lanes.values()].map(async lane => {
      for (const row of lane) {
        mustHold(context.lease)
        if (!(await obeyComment({ ...context, lease: rowLease(comments, row, context.lease) }, row))) break
      }
    }),
  )
  return claimed.length
}

/** false: the others of the merge request wait for it. */
async function obeyComment(context: Context, row: CommentRow): Promise<boolean> {
  const log = context.log.child({ step: 'comment', project: row.projectId, iid: row.iid, note: row.noteId })
  try {
    const { result, refused } = await obey(context, row)
    await context.db
      .update(comments)
      .set({ result, refused, doneAt: sql`now()`, leaseUntil: null, lastError: null })
      .where(stillClaimed(comments, row))
    log.info({ result }, result)
    return true
  } catch (error) {
    if (error instanceof LeaseLost) {
      log.info({}, error.message)
      return false
    }
    if (isTokenTrouble(error)) await context.renewTokens()
    const fate = await putBack(context.db, comments, row, asOutage(error), retryAfterOf(error))
    context.metrics.failures.inc({ verb: 'comment' })
    log.warn({ fate, err: describeError(error) }, 'a note could not be acted on')
    return fate === 'parked'
  }
}

/** ms */
const patience = 20_000

interface Done {
  readonly result: string
  readonly refused: boolean
}

const leave = (result: string): Done => ({ result, refused: false })

/** Everything that counts is read again: the note, who wrote it and what they may. */
async function obey(context: Context, row: CommentRow): Promise<Done> {
  const project = await findProject(context.db, row.projectId)
  if (project === null || projectFor(context.config, project.path) === null)
    return leave('no rule of the configuration')
  const gitlab = context.gitlabOf(project.path)
  const note = await gitlab.note(row.projectId, row.iid, row.noteId)
  if (note === null) {
    // A replica of GitLab's database may be a moment behind the one that told us.
    if (context.clock.now().getTime() - row.receivedAt.getTime() < patience)
      throw new CompopsError(`note ${row.noteId} is not there (yet)`, { transient: true })
    return leave('it was deleted')
  }
  if (note.system) return leave('system notes are not commands')
  if (context.botIds().has(note.author.id)) return leave('our own note')
  if (hashOf(note.body) !== row.bodySha256) return leave('it was edited: a new note is a new command')
  const author = await gitlab.user(note.author.id)
  if (author.bot) return leave(`${author.username} is a bot`)
  const person: Person = { id: author.id, username: author.username, name: author.name }
  const written = await commandsOf(context, project.path, note.body)
  if (written.length === 0) return leave('it holds no command any more')
  if (await wasSeen(context, gitlab, row)) return leave('it was acted on before')
  await react(gitlab, row, 'eyes')
  const answers: Answer[] = []
  for (const [nth, one] of written.entries())
    answers.push(await performOne(context, { one, nth, note, project, person, iid: row.iid }))
  const refused = answers.some(answer => answer.outcome === 'refused')
  await reply(context, gitlab, row, { person, written, answers })
  await react(gitlab, row, refused ? 'no_entry' : 'thumbsup')
  return {
    result: answers
      .map(({ outcome, said }) => `${outcome}: ${said}`)
      .join(' · ')
      .slice(0, 2_000),
    refused,
  }
}

/** Found by looking, it may be older than a database that was put back: our reaction tells. What we were killed over is begun anew. */
async function wasSeen(context: Context, gitlab: GitLab, row: CommentRow): Promise<boolean> {
  if (row.foundBy !== 'looking' || row.attempts > 1) return false
  const ours = new Set([...context.botIds(), (await gitlab.self()).id])
  return gitlab.hasReaction(row.projectId, row.iid, row.noteId, 'eyes', ours)
}

async function performOne(
  context: Context,
  order: { one: Written; nth: number; note: Note; project: ProjectRow; person: Person; iid: number },
): Promise<Answer> {
  const { one, nth, note, project, person, iid } = order
  if (one.problem !== null) return { outcome: 'refused', said: one.problem }
  const cause: Cause = nth === 0 ? `note:${note.id}` : `note:${note.id}.${nth}`
  return perform(context, { ...one.command, project, person, cause, at: { mergeRequest: iid } })
}

/** One reply for the whole note, where there is something to say. After a kill it is looked for before it is made. */
async function reply(
  context: Context,
  gitlab: GitLab,
  row: CommentRow,
  view: { person: Person; written: readonly Written[]; answers: readonly Answer[] },
): Promise<void> {
  if (!view.answers.some(answer => answer.outcome === 'refused' || answer.tell === true)) return
  const stranger = view.answers.every(answer => answer.stranger === true)
  if (stranger && (await wasToldBefore(context, row))) return
  const body = context.secrets.redact(renderAnswer({ ...view, noteId: row.noteId }))
  const marker = answerMarker(row.noteId)
  const me = await gitlab.self()
  if (row.attempts > 1) {
    const ours = new Set([...context.botIds(), me.id])
    if ((await gitlab.findNote(row.projectId, row.iid, marker, ours)) !== null) return
  }
  mustHold(context.lease)
  await gitlab.createNote(row.projectId, row.iid, body, { marker, authorId: me.id })
}

/** Who is no member is told once on a merge request; then a reaction is enough, however much they write. */
async function wasToldBefore(context: Context, row: CommentRow): Promise<boolean> {
  const before = await context.db
    .select({ id: comments.id })
    .from(comments)
    .where(
      and(
        eq(comments.projectId, row.projectId),
        eq(comments.iid, row.iid),
        eq(comments.authorId, row.authorId),
        eq(comments.refused, true),
        ne(comments.id, row.id),
      ),
    )
    .limit(1)
  return before.length > 0
}

/** A courtesy: where it is refused (reactions switched off, the note gone) the deed counts all the same. */
async function react(gitlab: GitLab, row: CommentRow, emoji: string): Promise<void> {
  try {
    await gitlab.react(row.projectId, row.iid, row.noteId, emoji)
  } catch (error) {
    if (!isGitLabError(error, 'forbidden') && !isGitLabError(error, 'not found') && !isGitLabError(error, 'invalid'))
      throw error
  }
}
