import { CompopsError, toError } from '../errors.ts'
import { isGitLabError } from '../gitlab/gitlab.ts'

const mendable: ReadonlySet<string> = new Set(['unauthorized', 'forbidden', 'auth', 'redirected', 'rejected'])

/**
 * Troubles that a person or time will mend, and that must not cost us a delivery or a report: an outage, a token that is expired, revoked or not
 * allowed (yet), a protected branch. A 404 from git is among them, since it is also what a revoked token looks like; the API says 401 for that, and names
 * the project where it is that which cannot be seen.
 */
export function asOutage(thrown: unknown): Error {
  const error = toError(thrown)
  if (!(error instanceof CompopsError) || error.transient || !('kind' in error)) return error
  const mends = mendable.has(String(error.kind)) || looksUnseen(error)
  return mends ? new CompopsError(error.message, { transient: true, cause: error.cause }) : error
}

/** A project that we may not see (any more) is not there, says GitLab: a member taken out, a group made private. */
function looksUnseen(error: CompopsError): boolean {
  if (isGitLabError(error)) return error.kind === 'not found' && /project/i.test(error.said)
  return error.name === 'GitError' && 'kind' in error && error.kind === 'not found'
}

/** Milliseconds until asking again makes sense, where GitLab, or what is known of its trouble, says so. */
export function retryAfterOf(thrown: unknown): number {
  return thrown instanceof CompopsError && 'retryAfter' in thrown ? Number(thrown.retryAfter ?? 0) : 0
}

/** Whether reading a token file again may help. */
export function isTokenTrouble(thrown: unknown): boolean {
  return (
    thrown instanceof CompopsError &&
    'kind' in thrown &&
    (thrown.kind === 'auth' || (thrown.name === 'GitError' && thrown.kind === 'not found'))
  )
}
