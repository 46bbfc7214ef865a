import { createHash, createHmac } from 'node:crypto'

/** What a known_hosts file (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT") says about one host. */
export interface KnownHostKeys {
  keys: HostKey[]
  revoked: HostKey[]
  /** The file trusts a certificate authority for this host; host certificates are not understood here. */
  certificateAuthority: boolean
}

export interface HostKey {
  type: string
  blob: Buffer
  line: number
}

/** The signature algorithms that prove a key of each type; RSA with SHA-1 is left out, as in OpenSSH since 8.8. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
}

/**
 * The keys of `host`, as OpenSSH looks them up: plain and hashed names, wildcards and negations; `[host]:port` for any port but 22, and the bare
 * name where no line has that form (sshconnect.c, check_host_key). Lines that cannot be read are passed over.
 */
export function findHostKeys(knownHosts: string, host: string, port: number): KnownHostKeys {
  const bare = host.toLowerCase()
  if (port === 22) return keysOf(knownHosts, [bare])
  const withPort = keysOf(knownHosts, [`[${bare}]:${port}`])
  const byName = keysOf(knownHosts, [bare])
  const keys = withPort.keys.length > 0 ? withPort.keys : byName.keys
  return {
    keys,
    revoked: [...withPort.revoked, ...byName.revoked],
    certificateAuthority: withPort.certificateAuthority || byName.certificateAuthority,
  }
}

function keysOf(knownHosts: string, names: readonly string[]): KnownHostKeys {
  const found: KnownHostKeys = { keys: [], revoked: [], certificateAuthority: false }
  knownHosts.split('\n').forEach((text, index) => {
    const fields = text.trim().split(/\s+/)
    const marker = fields[0]?.startsWith('@') ? fields.shift() : undefined
    const [patterns, type, base64] = fields
    if (patterns === undefined || type === undefined || base64 === undefined || patterns.startsWith('#')) return
    if (!names.some(name => matchesHost(patterns, name))) return
    const blob = Buffer.from(base64, 'base64')
    if (keyType(blob) !== type) return
    const key = { type, blob, line: index + 1 }
    if (marker === undefined) found.keys.push(key)
    else if (marker === '@revoked') found.revoked.push(key)
    else if (marker === '@cert-authority') found.certificateAuthority = true
  })
  return found
}

function matchesHost(patterns: string, name: string): boolean {
  if (patterns.startsWith('|')) return matchesHashed(patterns, name)
  let matches = false
  for (const pattern of patterns.toLowerCase().split(',')) {
    const negated = pattern.startsWith('!')
    if (!matchesWildcard(negated ? pattern.slice(1) : pattern, name)) continue
    if (negated) return false
    matches = true
  }
  return matches
}

/** `|1|salt|hash`: HMAC-SHA1 of the name, keyed with the salt. */
function matchesHashed(field: string, name: string): boolean {
  const [, version, salt, hash] = field.split('|')
  if (version !== '1' || salt === undefined || hash === undefined) return false
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash
}

function matchesWildcard(pattern: string, name: string): boolean {
  const source = pattern
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replace(/\?/g, '.')
  return new RegExp(`^${source}$`).test(name)
}

/** `unknown`: no key of this host is known; `changed`: others are. */
export function judgeHostKey(known: KnownHostKeys, presented: Buffer): 'known' | 'unknown' | 'changed' | 'revoked' {
  if (known.revoked.some(key => key.blob.equals(presented))) return 'revoked'
  if (known.keys.some(key => key.blob.equals(presented))) return 'known'
  return known.keys.length > 0 ? 'changed' : 'unknown'
}

/**
 * What to offer the server as host key algorithms: only those that the known keys can answer to, else a server with several keys may show one
 * that this file does not hold. Everything when nothing is known (so that the refusal can show a fingerprint).
 */
export function offeredHostKeyAlgorithms(known: KnownHostKeys): string[] {
  const types = new Set(known.keys.map(key => key.type))
  return Object.entries(ALGORITHMS).flatMap(([type, algorithms]) =>
    types.size === 0 || types.has(type) ? algorithms : [],
  )
}

/** The name a public key blob begins with (RFC 4253 6.6); empty when it is no key. */
export function keyType(blob: Buffer): string {
  if (blob.length < 4) return ''
  return blob.subarray(4, 4 + blob.readUInt32BE(0)).toString('latin1')
}

/** As `ssh-keygen -l` shows it. */
export function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}
