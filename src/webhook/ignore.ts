/** Every "no" with its reason: it goes into the answer, where GitLab's list of deliveries shows it, onto the row and into the log. */
import {
  cancelledPipeline,
  type Event,
  type MergeRequestEvent,
  type NoteEvent,
  type PushEvent,
} from '../model/event.ts'

export interface IgnoreRules {
  /** Users that this service writes as, now and formerly: what they cause must not cause anything again. */
  readonly botIds: ReadonlySet<number>
  readonly evidenceBranch: string
}

/** Why nothing follows from this event; null: it is of interest. */
export function ignoreReason(event: Event, rules: IgnoreRules): string | null {
  switch (event.kind) {
    case 'other':
      return event.reason
    case 'tag':
      return 'tags start nothing'
    case 'push':
      return pushReason(event, rules)
    case 'merge request':
      return mergeRequestReason(event, rules)
    case 'note':
      return noteReason(event, rules)
    case 'pipeline':
      // GitLab names who made it, never who ended it: one that our statuses made may have been cancelled by a person.
      return rules.botIds.has(event.author.id) && !cancelledPipeline.has(event.status) ? 'our own pipeline' : null
  }
}

function pushReason(event: PushEvent, rules: IgnoreRules): string | null {
  const toEvidence = event.ref === `refs/heads/${rules.evidenceBranch}`
  if (rules.botIds.has(event.author.id)) return toEvidence ? 'our own evidence commit' : 'our own push'
  if (toEvidence) return 'pushes to the evidence branch start nothing'
  // A replaced token is another author: the trailer still knows our commits.
  if (event.headMessage !== null && /^Compops-Evidence:/m.test(event.headMessage)) return 'our own evidence commit'
  return null
}

function mergeRequestReason(event: MergeRequestEvent, rules: IgnoreRules): string | null {
  if (rules.botIds.has(event.author.id)) return 'our own merge request'
  if (event.action === 'other') return 'an action on a merge request that starts nothing, such as an approval'
  // GitLab sends a second update, without oldrev, when it has looked whether the branch can be merged.
  const changed = event.oldrev !== null || event.becameReady || event.becameDraft || event.retargeted
  if (event.action === 'update' && !changed) return 'an update without new commits'
  return null
}

function noteReason(event: NoteEvent, rules: IgnoreRules): string | null {
  if (rules.botIds.has(event.author.id)) return 'our own note'
  if (event.system) return 'system notes are not commands'
  if (event.action === 'update') return 'edited notes are not commands: write a new one'
  if (!/^[/@]\S/m.test(event.body)) return 'a note without a /compops command'
  if (event.on !== 'merge request') return 'commands are read on merge requests'
  return null
}
