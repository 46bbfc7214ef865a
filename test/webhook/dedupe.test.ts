import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { deliveryKey } from '../../src/webhook/dedupe.ts'

const digest = createHash('sha256').update('{}').digest('hex')
const uuid = '1f0e1c7a-9c9b-4c57-8d0e-6f4f2f0f7a11'
const key = (headers: Record<string, string>) => deliveryKey(new Headers(headers), digest)
const chain = { 'X-Gitlab-Event': 'Push Hook', 'X-Gitlab-Event-UUID': 'b2b7' }

test('the key that GitLab keeps over its attempts', () => {
  expect(key({ 'Idempotency-Key': uuid })).toBe(uuid)
  expect(key({ 'webhook-id': uuid })).toBe(uuid)
})

test('the signed one goes before the unsigned one', () => {
  expect(key({ 'Idempotency-Key': 'made-up-by-a-replayer', 'webhook-id': uuid })).toBe(uuid)
})

test('an older GitLab: the event, its chain and the body', () => {
  expect(key(chain)).toMatch(/^body:[0-9a-f]{64}$/)
  expect(key(chain)).toBe(key({ ...chain, 'X-Gitlab-Webhook-UUID': 'fresh for each attempt' }))
  expect(key(chain)).not.toBe(key({ ...chain, 'X-Gitlab-Event-UUID': 'another' }))
  expect(key(chain)).not.toBe(key({ ...chain, 'X-Gitlab-Event': 'Note Hook' }))
  expect(key(chain)).not.toBe(deliveryKey(new Headers(chain), digest.replace(/^./, 'x')))
})

test.each([
  'short',
  'x'.repeat(129),
  "a'; drop table deliveries; --",
  '../../../../etc/passwd',
  '<script>alert(1)</script>',
  'body key with spaces',
  '-rf-------',
])('a value of a strange shape is not taken: %s', value => {
  expect(key({ ...chain, 'Idempotency-Key': value })).toBe(key(chain))
})
