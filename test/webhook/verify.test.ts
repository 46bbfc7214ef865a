import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Secret, signingKey, verifyDelivery, verifyHeader } from '../../src/webhook/verify.ts'
import { deliveryHeaders, sign } from './deliver.ts'

const now = new Date('2026-11-20T15:32:10Z')
const body = '{"object_kind":"push"}'
const token = 'a secret token of the hook'
const signingToken = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`
const otherSigning = `whsec_${Buffer.from('fedcba9876543210fedcba9876543210').toString('base64')}`

const tokenOnly: Secret = { token, signingToken: null }
const signedOnly: Secret = { token: null, signingToken }
const both: Secret = { token, signingToken }
const neither: Secret = { token: null, signingToken: null }

const verify = (headers: Record<string, string>, secrets: readonly Secret[], rawBody: string | Uint8Array = body) =>
  verifyDelivery({ headers: new Headers(headers), rawBody: Buffer.from(rawBody), secrets, now })
const ok = (...which: number[]) => ({ ok: true, which })
const no = (reason: string) => ({ ok: false, reason })
const headers = (options: Parameters<typeof deliveryHeaders>[1] = {}) => deliveryHeaders(body, { at: now, ...options })
const without = (from: Record<string, string>, ...names: string[]) =>
  Object.fromEntries(Object.entries(from).filter(([name]) => !names.includes(name)))

test('the example of the Standard Webhooks specification', () => {
  const vector = {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  }
  const verified = verifyDelivery({
    headers: new Headers(vector),
    rawBody: Buffer.from('{"test": 2432232314}'),
    secrets: [{ token: null, signingToken: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' }],
    now: new Date(1_614_265_330_000),
  })
  expect(verified).toEqual(ok(0))
})

describe('token', () => {
  const cases: readonly [string, Record<string, string>, readonly Secret[], object][] = [
    ['right', headers({ token }), [tokenOnly], ok(0)],
    ['missing', headers(), [tokenOnly], no('X-Gitlab-Token is missing')],
    ['empty', { ...headers(), 'X-Gitlab-Token': '' }, [tokenOnly], no('X-Gitlab-Token is wrong')],
    ['wrong', headers({ token: 'another' }), [tokenOnly], no('X-Gitlab-Token is wrong')],
    ['a prefix', headers({ token: token.slice(0, -1) }), [tokenOnly], no('X-Gitlab-Token is wrong')],
    ['of the second hook', headers({ token }), [{ token: 'first', signingToken: null }, tokenOnly], ok(1)],
    ['of two hooks', headers({ token }), [tokenOnly, { ...tokenOnly }], ok(0, 1)],
    ['nothing configured', headers({ token }), [], no('no secret is configured')],
    ['a hook without any secret opens nothing', headers({ token }), [neither], no('no secret is configured')],
    [
      'nor does an empty one',
      { ...headers(), 'X-Gitlab-Token': '' },
      [{ token: '', signingToken: null }],
      no('no secret is configured'),
    ],
  ]
  test.each(cases)('%s', (_, given, secrets, expected) => {
    expect(verify(given, secrets)).toEqual(expected)
  })
})

describe('signature', () => {
  const signed = headers({ token, signingToken, id: 'msg-1' })
  const seconds = String(Math.floor(now.getTime() / 1000))
  const at = (offset: number) => headers({ token, signingToken, at: new Date(now.getTime() + offset * 1000) })
  const withSignature = (signature: string) => ({ ...signed, 'webhook-signature': signature })
  const right = sign(signingToken, 'msg-1', seconds, body)
  const cases: readonly [string, Record<string, string>, readonly Secret[], object][] = [
    ['right', signed, [signedOnly], ok(0)],
    ['right, with the token', signed, [both], ok(0)],
    ['right, but the token is wrong', { ...signed, 'X-Gitlab-Token': 'no' }, [both], no('X-Gitlab-Token is wrong')],
    ['right, but the token is missing', without(signed, 'X-Gitlab-Token'), [both], no('X-Gitlab-Token is missing')],
    [
      'missing: no fall back to the token',
      without(signed, 'webhook-signature'),
      [both],
      no('webhook-signature is missing'),
    ],
    ['of another key', headers({ token, signingToken: otherSigning }), [both], no('webhook-signature is wrong')],
    ['second of several', withSignature(`v1,AAAA ${right}`), [signedOnly], ok(0)],
    [
      'of another version',
      withSignature(right.replace('v1,', 'v1a,')),
      [signedOnly],
      no('webhook-signature has no v1 signature'),
    ],
    [
      'v2 beside a wrong v1',
      withSignature(`v2,${right.slice(3)} v1,AAAA`),
      [signedOnly],
      no('webhook-signature is wrong'),
    ],
    ['empty', withSignature(''), [signedOnly], no('webhook-signature has no v1 signature')],
    ['too many', withSignature(`${'v1,AAAA '.repeat(8)}${right}`), [signedOnly], no('webhook-signature is wrong')],
    ['no id', without(signed, 'webhook-id'), [signedOnly], no('webhook-id is missing or too long')],
    ['another id', { ...signed, 'webhook-id': 'msg-2' }, [signedOnly], no('webhook-signature is wrong')],
    ['no time', without(signed, 'webhook-timestamp'), [signedOnly], no('webhook-timestamp is missing or not a number')],
    [
      'a time in words',
      { ...signed, 'webhook-timestamp': 'now' },
      [signedOnly],
      no('webhook-timestamp is missing or not a number'),
    ],
    ['300 s old', at(-300), [signedOnly], ok(0)],
    ['300 s early', at(300), [signedOnly], ok(0)],
    [
      '301 s old: a replay',
      at(-301),
      [signedOnly],
      no('webhook-timestamp is 301 s away from our clock (allowed: 300 s)'),
    ],
    ['an hour early', at(3600), [signedOnly], no('webhook-timestamp is 3600 s away from our clock (allowed: 300 s)')],
    [
      'a stale time made fresh',
      { ...at(-301), 'webhook-timestamp': seconds },
      [signedOnly],
      no('webhook-signature is wrong'),
    ],
    ['a token hook beside a signed one', without(signed, 'webhook-signature'), [both, tokenOnly], ok(1)],
    ['both of two hooks of one token', signed, [both, tokenOnly], ok(0, 1)],
    ['two hooks of one key', signed, [signedOnly, { ...signedOnly }], ok(0, 1)],
    [
      'a signing token that cannot be read is no open door',
      signed,
      [{ token, signingToken: 'whsec_?' }],
      no('no secret is configured'),
    ],
  ]
  test.each(cases)('%s', (_, given, secrets, expected) => {
    expect(verify(given, secrets)).toEqual(expected)
  })

  test('it is over the raw bytes', () => {
    const raw = Buffer.from([0x7b, 0xff, 0x00, 0xfe, 0x7d])
    const given = deliveryHeaders(raw, { at: now, signingToken })
    expect(verify(given, [signedOnly], raw)).toEqual(ok(0))
    expect(verify(given, [signedOnly], raw.toString('utf8'))).toEqual(no('webhook-signature is wrong'))
    expect(verify(signed, [signedOnly], `${body} `)).toEqual(no('webhook-signature is wrong'))
  })

  test('the key is what base64 says, not the text', () => {
    const key = signingKey(signingToken)
    expect(key?.toString('utf8')).toBe('0123456789abcdef0123456789abcdef')
    expect(signingKey('whsec_c2hvcnQ=')).toBeNull()
    const wrongKey = createHmac('sha256', signingToken).update(`msg-1.${seconds}.${body}`).digest('base64')
    expect(verify(withSignature(`v1,${wrongKey}`), [signedOnly])).toEqual(no('webhook-signature is wrong'))
  })
})

describe('before the body', () => {
  const head = (given: Record<string, string>, secrets: readonly Secret[]) =>
    verifyHeader(new Headers(given), secrets, now)
  test('what can be said is said', () => {
    expect(head(headers({ token }), [tokenOnly])).toEqual({ ok: true })
    expect(head(headers({ token: 'no' }), [tokenOnly])).toEqual(no('X-Gitlab-Token is wrong'))
    expect(head(headers({ token }), [both])).toEqual(no('webhook-signature is missing'))
    expect(head(headers({ token, signingToken: otherSigning }), [both])).toEqual({ ok: true })
  })
})
