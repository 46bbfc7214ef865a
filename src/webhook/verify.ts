/** Is this delivery GitLab's? Secret token and signature, before anything in the body is believed. */
import { createHash, createHmac, createSecretKey, type Hmac, type KeyObject, timingSafeEqual } from 'node:crypto'

/** What one hook was set up with. A secret with neither authenticates nothing. */
export interface Secret {
  readonly token: string | null
  /** `whsec_` and base64, as GitLab shows it once. Where there is one, a right signature is required. */
  readonly signingToken: string | null
}

/** `Headers`, or anything that answers like it. */
export interface HeaderReader {
  get(name: string): string | null
}

/** `which`: the places in the list of secrets that hold. Two hooks may share a secret, so all of them are named. */
export type Verified = { readonly ok: true; readonly which: readonly number[] }
/** `reason` is for our log alone: the sender learns nothing from it. */
export type Refused = { readonly ok: false; readonly reason: string }

/** The header was right; the body may come. `add` takes its raw bytes as they arrive, `finish` says whether the signature holds. */
export interface Verification {
  readonly ok: true
  add(chunk: Uint8Array): void
  finish(): Verified | Refused
}

/** The norm of Standard Webhooks; GitLab leaves the choice to the receiver. */
export const signatureWindowSeconds = 300
const maxSignatures = 8

/** What can be said before the body is read: a wrong token, signing headers that are missing or stale. */
export function verifyHeader(
  headers: HeaderReader,
  secrets: readonly Secret[],
  now: Date,
): { readonly ok: true } | Refused {
  const verification = beginVerification(headers, secrets, now)
  return verification.ok ? { ok: true } : verification
}

export function verifyDelivery(delivery: {
  readonly headers: HeaderReader
  readonly rawBody: Uint8Array
  readonly secrets: readonly Secret[]
  readonly now: Date
}): Verified | Refused {
  const verification = beginVerification(delivery.headers, delivery.secrets, delivery.now)
  if (!verification.ok) return verification
  verification.add(delivery.rawBody)
  return verification.finish()
}

/**
 * Checks the header and prepares the check of the body. Every secret is looked at, right or wrong, so that the time taken does not say which.
 * The signature is computed while the body arrives: 25 MB never block the event loop in one piece.
 */
export function beginVerification(
  headers: HeaderReader,
  secrets: readonly Secret[],
  now: Date,
): Verification | Refused {
  const token = headers.get('x-gitlab-token')
  const digest = sha256(token ?? '')
  const signed = readSigningHeaders(headers, now)
  const hmacs = new Map<string, Hmac>()
  const candidates: { readonly index: number; readonly key: string | null }[] = []
  let refusal = 'no secret is configured'

  for (const [index, secret] of secrets.entries()) {
    const { tokenDigest, key } = prepare(secret)
    if (tokenDigest === null && key === null) continue
    const tokenHolds = tokenDigest === null || (timingSafeEqual(tokenDigest, digest) && token !== null)
    if (!tokenHolds) {
      if (candidates.length === 0) refusal = token === null ? 'X-Gitlab-Token is missing' : 'X-Gitlab-Token is wrong'
      continue
    }
    if (key === null) {
      candidates.push({ index, key: null })
      continue
    }
    // Never a fall-back to the token: a signature that may be left out protects nobody.
    if (typeof signed === 'string') {
      refusal = signed
      continue
    }
    if (!hmacs.has(key.name))
      hmacs.set(key.name, createHmac('sha256', key.object).update(`${signed.id}.${signed.timestamp}.`))
    candidates.push({ index, key: key.name })
  }
  if (candidates.length === 0) return { ok: false, reason: refusal }

  return {
    ok: true,
    add(chunk) {
      for (const hmac of hmacs.values()) hmac.update(chunk)
    },
    finish() {
      const right = new Set<string>()
      for (const [name, hmac] of hmacs) {
        const expected = Buffer.from(hmac.digest('base64'))
        if (typeof signed !== 'string' && signed.signatures.filter(given => same(expected, given)).length > 0)
          right.add(name)
      }
      const which = candidates.filter(({ key }) => key === null || right.has(key)).map(({ index }) => index)
      return which.length > 0 ? { ok: true, which } : { ok: false, reason: 'webhook-signature is wrong' }
    },
  }
}

/** The key of a signing token; null where it is none. Node reads base64 leniently, so the text is checked first. */
export function signingKey(signingToken: string): Buffer | null {
  const text = signingToken.startsWith('whsec_') ? signingToken.slice('whsec_'.length) : signingToken
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null
  const key = Buffer.from(text, 'base64')
  return key.length >= 16 ? key : null
}

interface Prepared {
  readonly tokenDigest: Buffer | null
  /** As an object: made from bytes each time, the key costs more than the digest (13 against 3 us for a push). */
  readonly key: { readonly name: string; readonly object: KeyObject } | null
}

const prepared = new WeakMap<Secret, Prepared>()

function prepare(secret: Secret): Prepared {
  const known = prepared.get(secret)
  if (known !== undefined) return known
  const bytes = secret.signingToken === null ? null : signingKey(secret.signingToken)
  const key = bytes === null ? null : { name: bytes.toString('base64'), object: createSecretKey(bytes) }
  // A signing token that cannot be read must not turn into "no signature needed".
  const broken = secret.signingToken !== null && key === null
  const tokenDigest = secret.token === null || secret.token === '' || broken ? null : sha256(secret.token)
  const fresh = { tokenDigest, key }
  prepared.set(secret, fresh)
  return fresh
}

interface SigningHeaders {
  readonly id: string
  readonly timestamp: string
  readonly signatures: readonly string[]
}

function readSigningHeaders(headers: HeaderReader, now: Date): SigningHeaders | string {
  const id = headers.get('webhook-id')
  const timestamp = headers.get('webhook-timestamp')
  const signature = headers.get('webhook-signature')
  if (signature === null) return 'webhook-signature is missing'
  if (id === null || id === '' || id.length > 256) return 'webhook-id is missing or too long'
  if (timestamp === null || !/^\d{1,12}$/.test(timestamp)) return 'webhook-timestamp is missing or not a number'
  const away = Math.abs(now.getTime() / 1000 - Number(timestamp))
  if (!(away <= signatureWindowSeconds))
    return `webhook-timestamp is ${Math.round(away)} s away from our clock (allowed: ${signatureWindowSeconds} s)`
  const signatures = signature
    .split(' ', maxSignatures)
    .filter(part => part.startsWith('v1,'))
    .map(part => part.slice('v1,'.length))
  return signatures.length === 0 ? 'webhook-signature has no v1 signature' : { id, timestamp, signatures }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function same(expected: Buffer, given: string): boolean {
  const bytes = Buffer.from(given)
  return bytes.length === expected.length && timingSafeEqual(bytes, expected)
}
