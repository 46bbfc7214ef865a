import type { Hono } from 'hono'
import { awardEmoji, createNote, deleteNote, editNote, findNote } from '../notes.ts'
import { badParameter, notFound, unauthorized } from '../refusal.ts'
import type { SimNote } from '../types.ts'
import type { World } from '../world.ts'
import { notesOf } from '../world.ts'
import { showAward, showNote } from './entities.ts'
import type { RestContext, RestEnv } from './request.ts'
import {
  boolean,
  oneOf,
  paginate,
  pathInteger,
  requireMergeRequest,
  requireText,
  requireUser,
  text,
} from './request.ts'

/** Notes of merge requests, their reactions, and the threads they make. */
export function addNoteRoutes(api: Hono<RestEnv>, world: World): void {
  const base = '/projects/:id/merge_requests/:iid'

  const requireNote = (c: RestContext) => {
    const { mr } = requireMergeRequest(world, c)
    return { mr, note: findNote(world, mr, pathInteger(c, 'note_id')) }
  }

  api.get(`${base}/notes`, c => {
    const { mr } = requireMergeRequest(world, c)
    const params = c.get('params')
    const key =
      oneOf(params, 'order_by', ['created_at', 'updated_at'], 'created_at') === 'created_at' ? 'createdAt' : 'updatedAt'
    const sign = oneOf(params, 'sort', ['asc', 'desc'], 'desc') === 'asc' ? 1 : -1
    const filter = oneOf(params, 'activity_filter', ['all_notes', 'only_comments', 'only_activity'], 'all_notes')
    const notes = notesOf(world, mr.id)
      .filter(note => filter === 'all_notes' || note.system === (filter === 'only_activity'))
      .toSorted((a, b) => (a[key].getTime() - b[key].getTime() || a.id - b.id) * sign)
    return c.json(paginate(c, notes).map(note => showNote(world, note)))
  })

  api.get(`${base}/notes/:note_id`, c => c.json(showNote(world, requireNote(c).note)))

  const answerCreated = async (c: RestContext, more: { discussionId?: string; individual?: boolean } = {}) => {
    const user = requireUser(c)
    const { mr } = requireMergeRequest(world, c)
    const params = c.get('params')
    const internal = boolean(params, 'internal') ?? boolean(params, 'confidential') ?? false
    return createNote(world, mr, user, { body: requireText(params, 'body'), internal, ...more })
  }

  api.post(`${base}/notes`, async c => {
    const outcome = await answerCreated(c)
    if ('commands' in outcome) {
      const changes = Object.fromEntries(outcome.commands.map(command => [command, true]))
      return c.json(
        { commands_changes: changes, summary: outcome.commands.map(command => `Applied /${command}.`) },
        202,
      )
    }
    return c.json(showNote(world, outcome.note), 201)
  })

  api.put(`${base}/notes/:note_id`, c => {
    const user = requireUser(c)
    const { note } = requireNote(c)
    const body = text(c.get('params'), 'body')
    if (body === '') throw badParameter('body is empty')
    if (body !== undefined) editNote(world, note, user, body)
    return c.json(showNote(world, note))
  })

  api.delete(`${base}/notes/:note_id`, c => {
    const user = requireUser(c)
    deleteNote(world, requireNote(c).note, user)
    return c.body(null, 204)
  })

  api.get(`${base}/notes/:note_id/award_emoji`, c => {
    const { note } = requireNote(c)
    return c.json(paginate(c, note.awards.toReversed()).map(award => showAward(world, note, award)))
  })

  api.post(`${base}/notes/:note_id/award_emoji`, c => {
    const user = requireUser(c)
    const { note } = requireNote(c)
    const award = awardEmoji(world, note, user, requireText(c.get('params'), 'name'))
    return c.json(showAward(world, note, award), 201)
  })

  api.delete(`${base}/notes/:note_id/award_emoji/:award_id`, c => {
    const user = requireUser(c)
    const { note } = requireNote(c)
    const id = pathInteger(c, 'award_id')
    const award = note.awards.find(a => a.id === id)
    if (!award) throw notFound()
    if (award.userId !== user.id && !user.admin) throw unauthorized()
    note.awards.splice(note.awards.indexOf(award), 1)
    return c.body(null, 204)
  })

  const showDiscussion = (id: string, notes: SimNote[]) => ({
    id,
    individual_note: notes.every(note => note.individual),
    notes: notes.map(note => showNote(world, note)),
  })

  const readDiscussions = (mergeRequestId: number): Map<string, SimNote[]> =>
    Map.groupBy(notesOf(world, mergeRequestId), note => note.discussionId)

  api.get(`${base}/discussions`, c => {
    const { mr } = requireMergeRequest(world, c)
    const discussions = paginate(c, [...readDiscussions(mr.id)])
    return c.json(discussions.map(([id, notes]) => showDiscussion(id, notes)))
  })

  api.get(`${base}/discussions/:discussion_id`, c => {
    const { mr } = requireMergeRequest(world, c)
    const id = c.req.param('discussion_id')
    const notes = readDiscussions(mr.id).get(id)
    if (!notes) throw notFound('Discussion')
    return c.json(showDiscussion(id, notes))
  })

  api.post(`${base}/discussions`, async c => {
    const outcome = await answerCreated(c, { individual: false })
    if ('commands' in outcome) return c.json({ commands_changes: {} }, 202)
    return c.json(showDiscussion(outcome.note.discussionId, [outcome.note]), 201)
  })

  api.post(`${base}/discussions/:discussion_id/notes`, async c => {
    const { mr } = requireMergeRequest(world, c)
    const discussionId = c.req.param('discussion_id')
    const first = readDiscussions(mr.id).get(discussionId)?.[0]
    if (!first) throw notFound('Discussion')
    const outcome = await answerCreated(c, { discussionId, individual: false })
    if ('commands' in outcome) return c.json({ commands_changes: {} }, 202)
    // A reply turns a single note into a thread.
    first.individual = false
    return c.json(showNote(world, outcome.note), 201)
  })
}
