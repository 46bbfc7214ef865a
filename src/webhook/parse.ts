/** From one payload to one event. Never throws: what cannot be read is an event too, of kind `other`, with its reason. */
import type { z } from 'zod'
import type { Event, MergeRequestEvent, NoteEvent, PipelineEvent, PushEvent, TagEvent } from '../model/event.ts'
import type { Person } from '../model/run.ts'
import { MergeRequest, Note, Pipeline, Push } from './schema.ts'
import type { HeaderReader } from './verify.ts'

type Payload = Readonly<Record<string, unknown>>

/** `object_kind` decides; a System Hook of an older GitLab has only `event_name`; the X-Gitlab-Event header is used for words alone. */
export function parseEvent(headers: HeaderReader, body: unknown): Event {
  if (!isObject(body)) return nothing(null, `a body of kind ${kindOf(body)}, not an event`)
  const kind = stringOf(body.object_kind)
  const name = stringOf(body.event_name)
  switch (kind ?? name) {
    case 'push':
      return read('push event', Push, body, push => toPush(push, body))
    case 'tag_push':
      return read('tag push event', Push, body, toTag)
    case 'merge_request':
      return read('merge request event', MergeRequest, body, toMergeRequest)
    case 'note':
      return read('note event', Note, body, toNote)
    case 'pipeline':
      return read('pipeline event', Pipeline, body, toPipeline)
  }
  if (kind !== null) return nothing(body, `no business of ours: ${say(kind)} events`)
  if (name !== null) return nothing(body, `GitLab system hooks of kind ${say(name)} are not used`)
  const header = headers.get('x-gitlab-event')
  return nothing(body, `custom template without object_kind${header === null ? '' : ` (${say(header)})`}`)
}

/** The body's text as JSON, or the event that says why it is none. */
export function parseBody(headers: HeaderReader, text: string): Event {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return nothing(null, text === '' ? 'the body is empty' : 'the body is not JSON')
  }
  return parseEvent(headers, body)
}

function read<Schema extends z.ZodType>(
  what: string,
  schema: Schema,
  body: Payload,
  build: (payload: z.output<Schema>) => Event | string,
): Event {
  const result = schema.safeParse(body)
  if (!result.success) {
    const issue = result.error.issues[0]
    const where = issue?.path.join('.') ?? ''
    return nothing(body, `unreadable ${what}: ${where === '' ? '' : `${where}: `}${issue?.message ?? 'no reason'}`)
  }
  const event = build(result.data)
  return typeof event === 'string' ? nothing(body, `unreadable ${what}: ${event}`) : event
}

function toPush(push: z.output<typeof Push>, body: Payload): PushEvent | string {
  if (!push.ref.startsWith('refs/heads/')) return `ref: ${say(push.ref)} is not a branch`
  const projectId = push.project.id ?? push.project_id
  if (projectId == null) return 'project_id: missing'
  const after = commitOrNull(push.after)
  const commits = Array.isArray(body.commits) ? body.commits : []
  return {
    kind: 'push',
    projectId,
    projectPath: push.project.path_with_namespace,
    defaultBranch: push.project.default_branch ?? null,
    author: pusher(push),
    ref: push.ref,
    before: commitOrNull(push.before),
    after,
    // GitLab sends the latest 20 commits and the true count beside them.
    commits: push.total_commits_count ?? commits.length,
    headMessage: headMessage(commits, after),
  }
}

function toTag(push: z.output<typeof Push>): TagEvent | string {
  const projectId = push.project.id ?? push.project_id
  if (projectId == null) return 'project_id: missing'
  return {
    kind: 'tag',
    projectId,
    projectPath: push.project.path_with_namespace,
    defaultBranch: push.project.default_branch ?? null,
    author: pusher(push),
    ref: push.ref,
    after: commitOrNull(push.after),
  }
}

const mergeRequestActions = new Set(['open', 'reopen', 'update', 'close', 'merge'])

function toMergeRequest(payload: z.output<typeof MergeRequest>): MergeRequestEvent {
  const { object_attributes: attributes, changes, project } = payload
  const action = attributes.action ?? 'other'
  return {
    kind: 'merge request',
    projectId: project.id ?? attributes.target_project_id,
    projectPath: project.path_with_namespace,
    defaultBranch: project.default_branch ?? null,
    author: personOf(payload.user, null),
    iid: attributes.iid,
    action: (mergeRequestActions.has(action) ? action : 'other') as MergeRequestEvent['action'],
    oldrev: commitOrNull(attributes.oldrev),
    ...draftChange(changes),
    retargeted: changes?.target_branch != null && changes.target_branch.previous !== changes.target_branch.current,
    sourceBranch: attributes.source_branch,
    targetBranch: attributes.target_branch,
    // GitLab says null once the fork is deleted; 0 is nobody's id, so such a request stays one from a fork.
    sourceProjectId: attributes.source_project_id ?? 0,
    targetProjectId: attributes.target_project_id,
    headSha: attributes.last_commit?.id ?? null,
  }
}

function toNote(payload: z.output<typeof Note>): NoteEvent | string {
  const { object_attributes: attributes, project } = payload
  const projectId = project.id ?? payload.project_id
  if (projectId == null) return 'project_id: missing'
  return {
    kind: 'note',
    projectId,
    projectPath: project.path_with_namespace,
    defaultBranch: project.default_branch ?? null,
    author: personOf(payload.user, attributes.author_id ?? null),
    noteId: attributes.id,
    action: attributes.action === 'update' ? 'update' : 'create',
    on: notedThing(attributes.noteable_type),
    iid: payload.merge_request?.iid ?? payload.issue?.iid ?? null,
    system: attributes.system ?? false,
    body: attributes.note,
  }
}

function toPipeline(payload: z.output<typeof Pipeline>): PipelineEvent | string {
  const { object_attributes: attributes, project } = payload
  if (project.id == null) return 'project.id: missing'
  return {
    kind: 'pipeline',
    projectId: project.id,
    projectPath: project.path_with_namespace,
    defaultBranch: project.default_branch ?? null,
    author: personOf(payload.user ?? {}, null),
    pipelineId: attributes.id,
    sha: attributes.sha,
    ref: attributes.ref,
    source: attributes.source ?? 'unknown',
    status: attributes.status,
    iid: payload.merge_request?.iid ?? null,
  }
}

/** An older GitLab sends neither `changes.draft` nor, before 13.2, the word Draft: then the title tells. */
function draftChange(changes: z.output<typeof MergeRequest>['changes']): {
  becameReady: boolean
  becameDraft: boolean
} {
  const flag = changes?.draft ?? changes?.work_in_progress
  const title = changes?.title
  if (flag == null && title == null) return { becameReady: false, becameDraft: false }
  const was = flag == null ? isDraftTitle(title?.previous) : flag.previous === true
  const is = flag == null ? isDraftTitle(title?.current) : flag.current === true
  return { becameReady: was && !is, becameDraft: !was && is }
}

function isDraftTitle(title: unknown): boolean {
  return typeof title === 'string' && /^\s*(\[draft\]|\(draft\)|draft:|draft -|\[wip\]|wip:)/i.test(title)
}

function notedThing(noteableType: string): NoteEvent['on'] {
  if (noteableType === 'MergeRequest') return 'merge request'
  if (noteableType === 'Commit') return 'commit'
  if (noteableType === 'Issue') return 'issue'
  return 'other'
}

/** The head is the last of the list; it is searched for, since nothing but habit says so. */
function headMessage(commits: readonly unknown[], after: string | null): string | null {
  for (const commit of commits.slice(-20).reverse()) {
    if (!isObject(commit) || commit.id !== after) continue
    const message = stringOf(commit.message)
    return message === null ? null : message.slice(0, 10_000).toWellFormed().replaceAll('\0', '\u{fffd}')
  }
  return null
}

function pusher(push: z.output<typeof Push>): Person {
  return { id: push.user_id ?? 0, username: push.user_username ?? '', name: push.user_name ?? '' }
}

/** Id 0 where GitLab did not say who (before 13.10 the user of a merge request had no id). */
function personOf(
  user: { id?: number | null | undefined; username?: string | null | undefined; name?: string | null | undefined },
  fallbackId: number | null,
): Person {
  return { id: user.id ?? fallbackId ?? 0, username: user.username ?? '', name: user.name ?? '' }
}

/** All zeros is git's way to say "there is none": a new branch has no before, a deleted one no after. */
function commitOrNull(sha: string | null | undefined): string | null {
  return sha == null || /^0+$/.test(sha) ? null : sha
}

function nothing(body: Payload | null, reason: string): Event {
  const project = isObject(body?.project) ? body.project : null
  const path = stringOf(project?.path_with_namespace)
  return {
    kind: 'other',
    projectId: idOf(project?.id) ?? idOf(body?.project_id),
    projectPath: path === null || path.length > 1024 ? null : path.toWellFormed().replaceAll('\0', '\u{fffd}'),
    reason: oneLine(reason, 300),
  }
}

function isObject(value: unknown): value is Payload {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

function stringOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function idOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}

function say(value: string): string {
  return oneLine(value, 60)
}

/** Fit for an answer, a row and a log line. */
function oneLine(value: string, max: number): string {
  const line = value
    .slice(0, max * 4)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
  return line.length > max ? `${line.slice(0, max - 1).toWellFormed()}…` : line
}
