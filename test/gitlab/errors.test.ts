import { describe, expect, test } from 'vitest'
import { GitLabError, kindOfStatus, wordsOf } from '../../src/gitlab/errors.ts'

describe('what GitLab says', () => {
  const json = 'application/json'
  test.each([
    ['{"message":"404 Project Not Found"}', json, '404 Project Not Found'],
    ['{"message":{"name":["has already been taken"]}}', json, 'name has already been taken'],
    ['{"message":{"base":["is invalid"],"ref":["is too long","is odd"]}}', json, 'is invalid; ref is too long, is odd'],
    [
      '{"error":"invalid_token","error_description":"Token is expired."}',
      'application/json; charset=utf-8',
      'invalid_token: Token is expired.',
    ],
    ['{"error":"pipeline_id is invalid"}', json, 'pipeline_id is invalid'],
    ['{"__proto__":{"message":"x"}}', json, ''],
    ['"just text"', json, 'just text'],
    ['{"message":"cut o', json, ''],
    ['Retry later\n', 'text/plain', 'Retry later'],
    ['<html><head><title>502 Bad\nGateway</title><body>nginx', 'text/html', '502 Bad Gateway'],
    ['<h1>no title</h1>', '', ''],
    ['a\u0000b\u001b[31mc', 'text/plain', 'a b [31mc'],
  ])('%s as %s: %s', (body, type, words) => {
    expect(wordsOf(body, type)).toBe(words)
  })

  test('is cut at 300 characters', () => {
    const words = wordsOf(JSON.stringify({ message: 'x'.repeat(5_000) }), json)
    expect(words).toHaveLength(300)
    expect(words.endsWith('x…')).toBe(true)
  })
})

test.each([
  [301, 'redirected', false],
  [307, 'redirected', false],
  [400, 'invalid', false],
  [401, 'unauthorized', false],
  [403, 'forbidden', false],
  [404, 'not found', false],
  [409, 'conflict', true],
  [413, 'invalid', false],
  [422, 'invalid', false],
  [429, 'rate limited', true],
  [500, 'unreachable', true],
  [503, 'unreachable', true],
] as const)('%i is %s, transient: %s', (status, kind, transient) => {
  expect(kindOfStatus(status)).toBe(kind)
  expect(new GitLabError('x', { kind }).transient).toBe(transient)
})
