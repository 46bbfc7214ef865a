import { describe, expect, test } from 'vitest'
import { GitLabError, kindOfStatus } from '../../src/gitlab/errors.ts'
import { fitDescription, fitName, fitTargetUrl, readRefusal } from '../../src/gitlab/status-text.ts'

describe('texts of a status', () => {
  test.each([
    ['queued on falcon, 4711', 'queued on falcon, 4711'],
    [' two\nlines\u0000\u2028 ', 'two lines'],
    ['x'.repeat(140), 'x'.repeat(140)],
    ['x'.repeat(141), `${'x'.repeat(139)}…`],
    ['🚀'.repeat(200), `${'🚀'.repeat(139)}…`],
    ['half \ud83d pair', 'half \ufffd pair'],
    ['', ''],
  ])('description %j', (text, fitted) => {
    expect(fitDescription(text)).toBe(fitted)
  })

  test('a name of over 255 characters stays one and the same, and apart from its neighbour', () => {
    const one = fitName(`compops/${'x'.repeat(300)}a`)
    expect(one).toHaveLength(254)
    expect(one.startsWith('compops/xxx')).toBe(true)
    expect(fitName(`compops/${'x'.repeat(300)}a`)).toBe(one)
    expect(fitName(`compops/${'x'.repeat(300)}b`)).not.toBe(one)
    expect(fitName(one)).toBe(one)
    expect(fitName(`compops/${'🚀'.repeat(200)}`).length).toBeLessThanOrEqual(255)
    expect(fitName('compops/mesh [1]')).toBe('compops/mesh [1]')
  })

  test.each([
    ['https://compops.example.org/runs/1', true],
    ['http://127.0.0.1:8080/', true],
    [`https://e.org/${'x'.repeat(255)}`, false],
    ['javascript:alert(1)', false],
    ['/runs/1', false],
    [null, false],
  ])('link %s is sent: %s', (url, sent) => {
    expect(fitTargetUrl(url)).toBe(sent ? url : null)
  })
})

test.each([
  [
    400,
    'Cannot transition status via :run from :running (Reason(s): Status cannot transition via "run")',
    { why: 'transition', from: 'running' },
  ],
  [
    400,
    'Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via "enqueue")',
    { why: 'transition', from: 'pending' },
  ],
  [400, 'Cannot transition status via :enqueue from :running', { why: 'transition', from: 'running' }],
  [400, 'Cannot transition status via :skip from :running', { why: 'transition', from: 'running' }],
  [400, 'name has already been taken', { why: 'name taken' }],
  [400, 'Failed to obtain a lock', { why: 'busy' }],
  [400, 'Attempted to update a stale object: GenericCommitStatus.', { why: 'busy' }],
  [409, '409 Another update to this commit status is in progress', { why: 'busy' }],
  [400, 'target_url is blocked: Only allowed schemes are http, https', { why: 'target url' }],
  [400, 'description is too long (maximum is 255 characters)', { why: 'other' }],
  [400, 'State is required', { why: 'other' }],
  [422, '422 The number of jobs has exceeded the limit', { why: 'pipeline full' }],
  [403, '403 Forbidden', { why: 'forbidden' }],
  [403, 'insufficient_scope: The request requires higher privileges', { why: 'forbidden' }],
  [404, '404 Pipeline for pipeline_id, sha and ref Not Found', { why: 'no pipeline' }],
  [404, '404 Commit Not Found', { why: 'commit gone' }],
  [404, '404 References for commit Not Found', { why: 'commit gone' }],
  [404, '404 Project Not Found', { why: 'not visible' }],
  [404, '404 Not Found', { why: 'other' }],
  [401, '401 Unauthorized', null],
  [429, 'Retry later', null],
  [502, 'Bad Gateway', null],
])('%i %s', (status, said, refusal) => {
  expect(readRefusal(new GitLabError(said, { kind: kindOfStatus(status), status, said }))).toEqual(refusal)
})
