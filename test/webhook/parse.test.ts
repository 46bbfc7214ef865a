import { describe, expect, test } from 'vitest'
import type { Event } from '../../src/model/event.ts'
import { parseBody, parseEvent } from '../../src/webhook/parse.ts'
import { parseLarge } from '../../src/webhook/parse-large.ts'
import { eventHeader, fixture, fixtureNames, fixtureText } from './deliver.ts'

const head = '1adad2a7c0ffee00112233445566778899aabbcc'
const base = '62a2ce6f0011223344556677889900aabbccddee'
const alice = { id: 31, username: 'alice', name: 'Alice Example' }
const bob = { id: 32, username: 'bob', name: 'Bob Example' }
const heat = { projectId: 4217, projectPath: 'physics/heat', defaultBranch: 'main', author: alice }

const push: Event = {
  kind: 'push',
  ...heat,
  ref: 'refs/heads/calc/heat/4d',
  before: base,
  after: head,
  commits: 1,
  headMessage: 'finer mesh\n',
}
const opened: Event = {
  kind: 'merge request',
  ...heat,
  iid: 7,
  action: 'open',
  oldrev: null,
  becameReady: false,
  becameDraft: false,
  retargeted: false,
  sourceBranch: 'calc/heat/4d',
  targetBranch: 'calc/heat',
  sourceProjectId: 4217,
  targetProjectId: 4217,
  headSha: head,
}
const noted: Event = {
  kind: 'note',
  ...heat,
  noteId: 91244,
  action: 'create',
  on: 'merge request',
  iid: 7,
  system: false,
  body: 'Looks plausible to me.',
}
const passed: Event = {
  kind: 'pipeline',
  ...heat,
  pipelineId: 70031,
  sha: head,
  ref: 'calc/heat/4d',
  source: 'push',
  status: 'success',
  iid: null,
}
const other = (reason: string, project: { projectId: number | null; projectPath: string | null }): Event => ({
  kind: 'other',
  ...project,
  reason,
})
const here = { projectId: 4217, projectPath: 'physics/heat' }
const nowhere = { projectId: null, projectPath: null }

const events: Readonly<Record<string, Event>> = {
  push,
  'push-new-branch': { ...push, ref: 'refs/heads/calc/heat/5d', before: null, commits: 0, headMessage: null },
  'push-delete-branch': { ...push, after: null, commits: 0, headMessage: null },
  'push-force': {
    ...push,
    before: 'ffffffffffffffffffffffffffffffffffffff01',
    after: base,
    headMessage: 'back to the coarse mesh\n',
  },
  'push-many-commits': { ...push, commits: 35, headMessage: 'step 35\n' },
  'push-subgroup': { ...push, author: bob, projectId: 4300, projectPath: 'institute/fluids/pipe-flow' },
  'push-with-ci-skip-option': push,
  'push-skip-compops': { ...push, headMessage: 'notes only [skip compops]\n' },
  'push-hostile-ref': {
    ...push,
    ref: 'refs/heads/calc/$(id)`id`;{a,b}|c&d>e-<b>',
    headMessage: '@everyone /close <script>alert(1)</script>\n',
  },
  'push-sha256': { ...push, before: null, after: head.padEnd(64, 'd'), headMessage: 'a repository of SHA-256\n' },
  'push-own-evidence': {
    ...push,
    author: { id: 90, username: 'project_4217_bot_5f0c2d', name: 'compops' },
    ref: 'refs/heads/compops/evidence',
    after: '7f3e2c1a99887766554433221100ffeeddccbbaa',
    headMessage: 'calc/heat/4d: completed\n\nCompops-Evidence: 0190f3c2-7d00-7abc-8def-0123456789ab\n',
  },
  'push-evidence-by-stranger': { ...push, ref: 'refs/heads/compops/evidence' },
  'push-evidence-by-former-bot': {
    ...push,
    author: { id: 77, username: 'project_4217_bot_old', name: 'compops' },
    ref: 'refs/heads/archive/evidence',
    after: '7f3e2c1a99887766554433221100ffeeddccbbaa',
    headMessage: 'calc/heat/4d: completed\n\nCompops-Evidence: 0190f3c2-7d00-7abc-8def-0123456789ab\n',
  },
  'system-push': { ...push, author: { ...alice, username: '' } },
  'system-project-create': other('GitLab system hooks of kind project_create are not used', {
    projectId: 4217,
    projectPath: null,
  }),
  'system-repository-update': other('GitLab system hooks of kind repository_update are not used', here),
  'tag-push-new': { kind: 'tag', ...heat, ref: 'refs/tags/v1.2.0', after: head },
  'tag-push-delete': { kind: 'tag', ...heat, ref: 'refs/tags/v1.2.0', after: null },
  'mr-open': opened,
  'mr-open-fork': { ...opened, sourceProjectId: 5001 },
  'mr-fork-deleted': { ...opened, sourceProjectId: 0 },
  'mr-reopen': { ...opened, action: 'reopen' },
  'mr-update-new-commits': { ...opened, action: 'update', oldrev: base },
  'mr-update-checked': { ...opened, action: 'update' },
  'mr-update-title-only': { ...opened, action: 'update' },
  'mr-update-ready': { ...opened, action: 'update', becameReady: true },
  'mr-update-ready-by-title': { ...opened, action: 'update', becameReady: true },
  'mr-update-draft': { ...opened, action: 'update', becameDraft: true },
  'mr-update-retargeted': { ...opened, action: 'update', targetBranch: 'main', retargeted: true },
  'mr-approved': { ...opened, author: bob, action: 'other' },
  'mr-close': { ...opened, action: 'close' },
  'mr-merge': { ...opened, author: bob, action: 'merge' },
  'mr-by-own-bot': { ...opened, author: { id: 90, username: 'project_4217_bot_5f0c2d', name: 'compops' } },
  'mr-user-without-id': { ...opened, author: { ...alice, id: 0 } },
  'note-mr': noted,
  'note-mr-command': { ...noted, body: '/compops rerun solve' },
  'note-mr-command-in-text': { ...noted, body: 'The node died.\n\n/compops retry\n\nThanks!' },
  'note-mr-edited': { ...noted, action: 'update', body: '/compops rerun solve' },
  'note-mr-system': { ...noted, system: true, body: 'added 1 commit' },
  'note-mr-by-own-bot': {
    ...noted,
    author: { id: 90, username: 'project_4217_bot_5f0c2d', name: 'compops' },
    body: '**3 jobs completed** `/compops help`',
  },
  'note-commit': { ...noted, on: 'commit', iid: null, body: '/compops status' },
  'note-issue': { ...noted, on: 'issue', iid: 12, body: '/compops help' },
  'pipeline-push': passed,
  'pipeline-mr': { ...passed, pipelineId: 70032, source: 'merge_request_event', iid: 7 },
  'pipeline-own-external': {
    ...passed,
    pipelineId: 70033,
    source: 'external',
    status: 'running',
    author: { id: 90, username: 'project_4217_bot_5f0c2d', name: 'compops' },
  },
  'pipeline-own-external-canceled': {
    ...passed,
    pipelineId: 70033,
    source: 'external',
    status: 'canceled',
    author: { id: 90, username: 'project_4217_bot_5f0c2d', name: 'compops' },
  },
  'pipeline-subgroup': { ...passed, pipelineId: 70100, projectId: 4300, projectPath: 'institute/fluids/pipe-flow' },
  'deployment-success': other('no business of ours: deployment events', here),
  'job-success': other('no business of ours: build events', { projectId: 4217, projectPath: null }),
  'custom-template': other('custom template without object_kind (Push Hook)', nowhere),
}

describe('every kind of delivery', () => {
  test('each fixture stands in the table', () => {
    expect(Object.keys(events).sort()).toEqual([...fixtureNames].sort())
  })

  test.each(Object.entries(events))('%s', (name, event) => {
    expect(parseEvent(new Headers({ 'X-Gitlab-Event': eventHeader(name) }), fixture(name))).toEqual(event)
  })
})

describe('what cannot be read is said, never thrown', () => {
  const heatPush = fixture('push') as Record<string, unknown>
  const cases: readonly [string, unknown, string][] = [
    ['null', null, 'a body of kind null, not an event'],
    ['an array', [heatPush], 'a body of kind array, not an event'],
    ['a string', 'push', 'a body of kind string, not an event'],
    ['a number', 7, 'a body of kind number, not an event'],
    ['an empty object', {}, 'custom template without object_kind'],
    ['a kind that is a word of JavaScript', { object_kind: '__proto__' }, 'no business of ours: __proto__ events'],
    ['another one', { object_kind: 'constructor' }, 'no business of ours: constructor events'],
    ['a kind with a line break and HTML', { object_kind: 'a\n<b>\u202eb' }, 'no business of ours: a <b> b events'],
    ['a kind too long to say', { object_kind: 'k'.repeat(5000) }, `no business of ours: ${'k'.repeat(59)}… events`],
    [
      'no project',
      { ...heatPush, project: undefined },
      'unreadable push event: project: Invalid input: expected object, received undefined',
    ],
    [
      'no after',
      { ...heatPush, after: null },
      'unreadable push event: after: Invalid input: expected string, received null',
    ],
    ['a sha that is none', { ...heatPush, after: 'HEAD; rm -rf /' }, 'unreadable push event: after: is not a commit'],
    [
      'a ref with a line break',
      { ...heatPush, ref: 'refs/heads/a\nb' },
      'unreadable push event: ref: has control characters',
    ],
    ['a ref with NUL', { ...heatPush, ref: 'refs/heads/a\0b' }, 'unreadable push event: ref: has control characters'],
    [
      'half a character',
      { ...heatPush, ref: 'refs/heads/\ud800' },
      'unreadable push event: ref: has control characters',
    ],
    [
      'a ref that would be cut',
      { ...heatPush, ref: `refs/heads/${'x'.repeat(2000)}` },
      'unreadable push event: ref: Too big: expected string to have <=1024 characters',
    ],
    [
      'a ref that is no branch',
      { ...heatPush, ref: 'refs/notes/x' },
      'unreadable push event: ref: refs/notes/x is not a branch',
    ],
    [
      'an id that is no number',
      { ...heatPush, project_id: '1; drop', project: { path_with_namespace: 'a/b' } },
      'unreadable push event: project_id: Invalid input: expected number, received string',
    ],
    [
      'an id beyond what counts exactly',
      { ...heatPush, project: { id: 2 ** 60, path_with_namespace: 'a/b' } },
      'unreadable push event: project.id: Too big: expected int to be <=9007199254740991',
    ],
  ]
  test.each(cases)('%s', (_, body, reason) => {
    expect(parseEvent(new Headers(), body)).toMatchObject({ kind: 'other', reason })
  })

  const texts: readonly [string, string, string][] = [
    ['nothing', '', 'the body is empty'],
    ['not JSON', 'payload=%7B%7D', 'the body is not JSON'],
    ['cut JSON', '{"object_kind":"push"', 'the body is not JSON'],
    ['many open brackets', '['.repeat(60_000), 'the body is not JSON'],
    ['a deep array', `${'['.repeat(30_000)}${']'.repeat(30_000)}`, 'a body of kind array, not an event'],
  ]
  test.each(texts)('%s', (_, text, reason) => {
    expect(parseBody(new Headers(), text)).toMatchObject({ kind: 'other', reason })
  })

  test('depth where we do not look changes nothing', () => {
    const deep = `{"deep":${'['.repeat(30_000)}${']'.repeat(30_000)},${fixtureText('push').trim().slice(1)}`
    expect(parseBody(new Headers(), deep)).toEqual(push)
  })

  test('keys of the language do no harm', () => {
    const text = fixtureText('push').replace('{', '{"__proto__":{"admin":true},"constructor":{"prototype":1},')
    expect(parseBody(new Headers(), text)).toEqual(push)
    expect(({} as Record<string, unknown>).admin).toBeUndefined()
  })

  test('prose is cut and made storable', () => {
    const note = fixture('note-mr-command') as { object_attributes: Record<string, unknown> }
    note.object_attributes.note = `/compops why \0\ud800${'x'.repeat(50_000)}`
    const event = parseEvent(new Headers(), note) as Extract<Event, { kind: 'note' }>
    expect(event.body.slice(0, 15)).toBe('/compops why \u{fffd}\u{fffd}')
    expect(event.body.length).toBe(10_000)
  })
})

describe('large bodies', () => {
  const manyFiles = (files: number) => {
    const body = fixture('push') as { commits: Record<string, unknown>[] }
    body.commits[0]!.added = Array.from({ length: files }, (_, i) => `results/step-${i}/field.csv`)
    return new TextEncoder().encode(JSON.stringify(body))
  }

  test('an honest push of many files is read in the thread', async () => {
    const bytes = manyFiles(60_000)
    expect(bytes.byteLength).toBeGreaterThan(1024 * 1024)
    expect(await parseLarge(bytes, 'Push Hook')).toEqual(push)
  })

  test('rubbish is said, and the next body is read all the same', async () => {
    const rubbish = new TextEncoder().encode('['.repeat(2_000_000))
    const [first, second] = await Promise.all([
      parseLarge(rubbish, 'Push Hook'),
      parseLarge(manyFiles(60_000), 'Push Hook'),
    ])
    expect(first).toMatchObject({ kind: 'other', reason: 'the body is not JSON' })
    expect(second).toEqual(push)
  })

  test('what takes too long is given up', async () => {
    const event = await parseLarge(manyFiles(60_000), 'Push Hook', 0)
    expect(event).toMatchObject({ kind: 'other', reason: 'a body of 1.8 MiB that could not be read in time' })
  })
})
