/** The one short reply when a run ends: edits of the note tell nobody, so this one mentions the person who caused the run. */
import type { Person, Run } from '../model/run.ts'
import { formatCoreHours, formatDuration, secondsBetween } from './amounts.ts'
import { runUrl } from './links.ts'
import { code, inline, link, prose } from './markdown.ts'
import { advice, clustersOf, coreSeconds, verdictOf } from './outcome.ts'
import { template } from './template.ts'

export interface ReplyView {
  readonly run: Run
  /** Who is told; null: nobody is mentioned. */
  readonly person: Person | null
  readonly publicUrl: string
  /** Of the note that has the details. */
  readonly noteUrl?: string | null
  readonly commands?: boolean
}

const reply = template<object>('reply')

export function renderReply(view: ReplyView): string {
  const { run } = view
  const verdict = verdictOf(run)
  const took = secondsBetween(run.createdAt, run.endedAt)
  const spent = coreSeconds(run, run.endedAt ?? run.createdAt)
  const failed = run.jobs.filter(job => job.state === 'failed')
  const advised = failed.length === 1 && failed[0] !== undefined ? advice(failed[0], view.commands ?? false) : null
  const on = clustersOf(run)
  // What the scheduler said stands here too: the advice speaks of it.
  const told = run.problem ?? (failed.length === 1 && failed[0]?.reason === 'submit' ? failed[0].message : null)
  return reply({
    mention: view.person === null ? null : mention(view.person),
    verdict: `${verdict.symbol} ${prose(verdict.words, 'paragraph', 200)}`,
    on: on === '' ? '' : ` on ${inline(on, 200)}`,
    facts: [
      `${code(run.branch, 'paragraph', 200)} at ${code(run.sha.slice(0, 8))}`,
      ...(took === null ? [] : [`took ${formatDuration(took)}`]),
      ...(spent > 0 ? [formatCoreHours(spent)] : []),
      link('details', view.noteUrl ?? runUrl(view.publicUrl, run)),
    ].join(' · '),
    problem: told === null ? null : prose(told, 'paragraph', 300),
    advice: advised === null ? null : `**Try:** ${advised}`,
  })
}

/**
 * `@username`, for a username as GitLab allows them; anything else is written so that it mentions nobody. `@all` would tell everybody.
 * A username comes from a payload: it must not be able to mention a group or to run a quick action.
 */
export function mention(person: Person): string {
  const { username } = person
  const right = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_])?$/.test(username) && !/^all$/i.test(username)
  return right ? `@${username}` : inline(username === '' ? person.name : username, 80)
}
