import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ParsedKey } from 'ssh2'
import { describeError } from '../errors.ts'
import { fingerprint } from './known-hosts.ts'
import { RemoteError } from './remote.ts'

/** `~/x` below the home of the account the service runs under. */
export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path
}

/** A private key, ready to sign in with. */
export interface Identity {
  file: string
  key: ParsedKey
  fingerprint: string
  /** The file as it was read. */
  content: Buffer
}

/**
 * Reads and unlocks a private key. Throws a RemoteError that names the file and what is wrong with it. `previous` is given back while the file is
 * the same: unlocking an encrypted key costs more than half a second of computing (bcrypt, in JavaScript).
 */
export async function readIdentity(
  identityFile: string,
  passphrase: string | undefined,
  previous: Identity | undefined,
): Promise<Identity> {
  const file = expandHome(identityFile)
  const refuse = (what: string, cause?: unknown) =>
    new RemoteError('unreachable', `identity file ${file}: ${what}`, { transient: false, cause })

  const content = await readFile(file).catch(error => {
    throw refuse(`cannot be read (${describeError(error)})`, error)
  })
  if (previous?.content.equals(content)) return previous
  const { default: ssh2 } = await import('ssh2')
  const parsed = ssh2.utils.parseKey(content, passphrase)
  if (parsed instanceof Error) {
    const { message } = parsed
    if (/no passphrase given/i.test(message)) throw refuse('is encrypted, and no passphrase is configured', parsed)
    if (passphrase !== undefined && /integrity check failed|bad passphrase|bad decrypt|cipher/i.test(message)) {
      throw refuse('the configured passphrase does not open it', parsed)
    }
    throw refuse(`is not a private key in a known format (${message})`, parsed)
  }
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  if (key === undefined || !key.isPrivateKey()) throw refuse('holds a public key; name the private one (without .pub)')
  return { file, key, fingerprint: fingerprint(key.getPublicSSH()), content }
}
