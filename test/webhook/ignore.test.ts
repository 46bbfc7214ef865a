import { expect, test } from 'vitest'
import { ignoreReason } from '../../src/webhook/ignore.ts'
import { parseEvent } from '../../src/webhook/parse.ts'
import { fixture, fixtureNames } from './deliver.ts'

const rules = { botIds: new Set([90]), evidenceBranch: 'compops/evidence' }
const reasonOf = (name: string, more = {}) =>
  ignoreReason(parseEvent(new Headers(), fixture(name)), { ...rules, ...more })

const reasons: Readonly<Record<string, string | null>> = {
  push: null,
  'push-new-branch': null,
  'push-delete-branch': null,
  'push-force': null,
  'push-many-commits': null,
  'push-subgroup': null,
  'push-with-ci-skip-option': null,
  // `[skip compops]` is for startRun, which reads the commit itself.
  'push-skip-compops': null,
  'push-hostile-ref': null,
  'push-sha256': null,
  'push-own-evidence': 'our own evidence commit',
  'push-evidence-by-stranger': 'pushes to the evidence branch start nothing',
  'push-evidence-by-former-bot': 'our own evidence commit',
  'system-push': null,
  'system-project-create': 'GitLab system hooks of kind project_create are not used',
  'system-repository-update': 'GitLab system hooks of kind repository_update are not used',
  'tag-push-new': 'tags start nothing',
  'tag-push-delete': 'tags start nothing',
  'mr-open': null,
  'mr-open-fork': null,
  'mr-fork-deleted': null,
  'mr-reopen': null,
  'mr-update-new-commits': null,
  'mr-update-checked': 'an update without new commits',
  'mr-update-title-only': 'an update without new commits',
  'mr-update-ready': null,
  'mr-update-ready-by-title': null,
  'mr-update-draft': null,
  'mr-update-retargeted': null,
  'mr-approved': 'an action on a merge request that starts nothing, such as an approval',
  'mr-close': null,
  'mr-merge': null,
  'mr-by-own-bot': 'our own merge request',
  'mr-user-without-id': null,
  'note-mr': 'a note without a /compops command',
  'note-mr-command': null,
  'note-mr-command-in-text': null,
  'note-mr-edited': 'edited notes are not commands: write a new one',
  'note-mr-system': 'system notes are not commands',
  'note-mr-by-own-bot': 'our own note',
  'note-commit': 'commands are read on merge requests',
  'note-issue': 'commands are read on merge requests',
  'pipeline-push': null,
  'pipeline-mr': null,
  'pipeline-own-external': 'our own pipeline',
  // Perhaps a person cancelled it.
  'pipeline-own-external-canceled': null,
  'pipeline-subgroup': null,
  'deployment-success': 'no business of ours: deployment events',
  'job-success': 'no business of ours: build events',
  'custom-template': 'custom template without object_kind',
}

test('each fixture stands in the table', () => {
  expect(Object.keys(reasons).sort()).toEqual([...fixtureNames].sort())
})

test.each(Object.entries(reasons))('%s: %s', (name, reason) => {
  expect(reasonOf(name)).toBe(reason)
})

test('our own push to another branch is ours too', () => {
  expect(reasonOf('push-own-evidence', { evidenceBranch: 'records' })).toBe('our own push')
})

test('a former bot is known by its id as long as it is remembered', () => {
  expect(reasonOf('mr-approved', { botIds: new Set([90, 32]) })).toBe('our own merge request')
})

test('the trailer counts at the start of a line only', () => {
  const event = { ...(parseEvent(new Headers(), fixture('push')) as object), headMessage: 'see Compops-Evidence: x' }
  expect(ignoreReason(event as never, rules)).toBeNull()
})
