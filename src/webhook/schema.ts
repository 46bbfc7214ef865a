/** GitLab's payloads, only the fields we use. Lists of commits are never validated here: parse.ts picks two values out of them by hand. */
import { z } from 'zod'

const maxName = 1024
const maxText = 10_000

// Postgres stores neither NUL nor half a surrogate pair in jsonb: one such character would refuse the row.
const storable = (text: string) => text.toWellFormed().replaceAll('\0', '\u{fffd}')

/** A name that would be cut is refused instead: half a branch name is another branch. */
const name = z
  .string()
  .max(maxName)
  .refine(text => text.isWellFormed() && !/[\0-\x1f\x7f]/.test(text), 'has control characters')

/** Prose. Cut: whoever acts on it reads it again from GitLab. */
const text = z.string().overwrite(value => storable(value.slice(0, maxText)))

const label = z.string().overwrite(value => storable(value.slice(0, 255)))
const id = z.int().nonnegative()
const sha = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, 'is not a commit')

const Project = z.object({
  id: id.nullish(),
  path_with_namespace: name.min(1),
  default_branch: name.nullish(),
})

const User = z.object({ id: id.nullish(), username: label.nullish(), name: label.nullish() })

/** `Push Hook`, `Tag Push Hook`, and the push events of a System Hook, which have `event_name` alone. */
export const Push = z.object({
  ref: name.min(1),
  before: sha.nullish(),
  after: sha,
  user_id: id.nullish(),
  user_username: label.nullish(),
  user_name: label.nullish(),
  project_id: id.nullish(),
  project: Project,
  total_commits_count: id.nullish(),
})

const changed = z.object({ previous: z.unknown(), current: z.unknown() }).nullish()

export const MergeRequest = z.object({
  user: User,
  project: Project,
  object_attributes: z.object({
    iid: id,
    action: label.nullish(),
    oldrev: sha.nullish(),
    source_branch: name.min(1),
    target_branch: name.min(1),
    source_project_id: id.nullish(),
    target_project_id: id,
    last_commit: z.object({ id: sha }).nullish(),
  }),
  changes: z.object({ draft: changed, work_in_progress: changed, title: changed, target_branch: changed }).nullish(),
})

export const Note = z.object({
  user: User,
  project_id: id.nullish(),
  project: Project,
  object_attributes: z.object({
    id,
    note: text,
    noteable_type: label,
    author_id: id.nullish(),
    system: z.boolean().nullish(),
    action: label.nullish(),
  }),
  merge_request: z.object({ iid: id }).nullish(),
  issue: z.object({ iid: id }).nullish(),
})

export const Pipeline = z.object({
  user: User.nullish(),
  project: Project,
  object_attributes: z.object({
    id,
    ref: name.min(1),
    sha,
    source: label.nullish(),
    status: label,
  }),
  merge_request: z.object({ iid: id }).nullish(),
})
