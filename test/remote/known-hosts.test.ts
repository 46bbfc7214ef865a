import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  findHostKeys,
  fingerprint,
  judgeHostKey,
  keyType,
  offeredHostKeyAlgorithms,
} from '../../src/remote/known-hosts.ts'

function blob(type: string, content: string): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(type.length)
  return Buffer.concat([length, Buffer.from(type), Buffer.from(content)])
}

function hashed(name: string): string {
  const salt = Buffer.alloc(20, 7)
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`
}

const right = blob('ssh-ed25519', 'the right key')
const other = blob('ssh-ed25519', 'another key')
const key = `ssh-ed25519 ${right.toString('base64')}`

describe('which lines speak of falcon.example.org', () => {
  test.each([
    ['its name', `falcon.example.org ${key}`, 22, 'known'],
    ['its name in capitals', `Falcon.Example.ORG ${key}`, 22, 'known'],
    ['one of several names', `falcon,falcon.example.org,10.0.0.1 ${key} root@falcon`, 22, 'known'],
    ['a comment and blanks', `# keys\n\n  falcon.example.org   ${key}  `, 22, 'known'],
    ['Windows line ends', `falcon.example.org ${key}\r\n`, 22, 'known'],
    ['a wildcard', `*.example.org ${key}`, 22, 'known'],
    ['question marks', `falc??.example.org ${key}`, 22, 'known'],
    ['a negation', `*.example.org,!falcon.example.org ${key}`, 22, 'unknown'],
    ['another name', `raven.example.org ${key}`, 22, 'unknown'],
    ['a dot that is no wildcard', `falcon-example.org ${key}`, 22, 'unknown'],
    ['a hashed name', `${hashed('falcon.example.org')} ${key}`, 22, 'known'],
    ['another hashed name', `${hashed('raven.example.org')} ${key}`, 22, 'unknown'],
    ['an unknown kind of hash', `|2|abc|def ${key}`, 22, 'unknown'],
    ['a port', `[falcon.example.org]:2222 ${key}`, 2222, 'known'],
    ['a hashed port', `${hashed('[falcon.example.org]:2222')} ${key}`, 2222, 'known'],
    ['another port', `[falcon.example.org]:2222 ${key}`, 22, 'unknown'],
    ['no port, as OpenSSH takes it for any', `falcon.example.org ${key}`, 2222, 'known'],
    [
      'no port, but another key for this one',
      `falcon.example.org ${key}\n[falcon.example.org]:2222 ssh-ed25519 ${other.toString('base64')}`,
      2222,
      'changed',
    ],
    ['another key', `falcon.example.org ssh-ed25519 ${other.toString('base64')}`, 22, 'changed'],
    [
      'another key beside the right one',
      `falcon.example.org ssh-ed25519 ${other.toString('base64')}\nfalcon.example.org ${key}`,
      22,
      'known',
    ],
    ['a revoked key', `falcon.example.org ${key}\n@revoked * ${key}`, 22, 'revoked'],
    ['a certificate authority', `@cert-authority *.example.org ${key}`, 22, 'unknown'],
    ['a type that is not that of the key', `falcon.example.org ssh-rsa ${right.toString('base64')}`, 22, 'unknown'],
    [
      'rubbish',
      'falcon.example.org\nfalcon.example.org ssh-ed25519\nfalcon.example.org ssh-ed25519 !!!\n\0',
      22,
      'unknown',
    ],
  ])('%s', (_what, file, port, verdict) => {
    expect(judgeHostKey(findHostKeys(file, 'falcon.example.org', port), right)).toBe(verdict)
  })
})

test('only the types of the known keys are asked for, RSA by SHA-2 alone', () => {
  const line = (type: string) => `falcon ${type} ${blob(type, 'k').toString('base64')}\n`
  expect(offeredHostKeyAlgorithms(findHostKeys(line('ssh-rsa'), 'falcon', 22))).toEqual([
    'rsa-sha2-512',
    'rsa-sha2-256',
  ])
  expect(
    offeredHostKeyAlgorithms(findHostKeys(line('ecdsa-sha2-nistp256') + line('ssh-ed25519'), 'falcon', 22)),
  ).toEqual(['ssh-ed25519', 'ecdsa-sha2-nistp256'])
  expect(offeredHostKeyAlgorithms(findHostKeys(line('ssh-dss'), 'falcon', 22))).toEqual([])
  expect(offeredHostKeyAlgorithms(findHostKeys('', 'falcon', 22))).toContain('ssh-ed25519')
})

test('a key is named as ssh-keygen -l names it', () => {
  // From GitHub's published keys: a name and a fingerprint that everybody can compare.
  const github = Buffer.from('AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl', 'base64')
  expect(keyType(github)).toBe('ssh-ed25519')
  expect(fingerprint(github)).toBe('SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU')
})
