import { type GitLab, GitLabError, isGitLabError } from '../gitlab/gitlab.ts'
import { createCache } from './cache.ts'
import { createFailures, type FailureLimits } from './failures.ts'
import { Refusal } from './refusal.ts'
import { createFingerprint, tokenOf } from './token.ts'

/** Who is asking, as GitLab says. */
export interface Person {
  readonly id: number
  readonly username: string
  readonly name: string
}

/** A request whose sender is known. */
export interface Caller {
  readonly person: Person
  /** The token may change things: it has the scope `api`, not only `read_api`. */
  readonly mayWrite: boolean
  /** What is remembered of their token. */
  readonly fingerprint: string
  /** GitLab with their own token; made when it is asked for. */
  gitlab(): GitLab
}

export interface SignInOptions {
  /** GitLab with this token. */
  readonly gitlabAs: (token: string) => Pick<GitLab, 'me' | 'scopes' | 'readsCode'>
  readonly now: () => number
  /** Milliseconds that an answer of GitLab's holds; default a minute. */
  readonly remember?: number
  readonly failures?: Partial<FailureLimits>
  /** For the log: who was refused, never with what. */
  readonly onFailure?: (address: string, why: string) => void
}

type Answer = { readonly person: Person; readonly mayWrite: boolean } | { readonly refused: Refusal }

/** Throws Refusal: 401 for a token that GitLab does not take, 403 for one that may not ask, 429 after too many of them, 503 while GitLab is away. */
export type SignIn = (headers: Headers, address: string) => Promise<Caller>

/**
 * Sign-in by GitLab token: GitLab is asked who it is with that very token, and its answer holds for a minute, by a keyed hash of the token. A wrong one is remembered
 * as long, so that repeating it costs GitLab nothing.
 */
export function createSignIn(options: SignInOptions): SignIn {
  const { now, remember = 60_000 } = options
  const fingerprintOf = createFingerprint()
  const known = createCache<Answer>(now, 5_000)
  const asking = new Map<string, Promise<Answer>>()
  const failures = createFailures(now, { each: 10, all: 60, ...options.failures })

  async function ask(token: string, fingerprint: string, address: string): Promise<Answer> {
    const gitlab = options.gitlabAs(token)
    let answer: Answer
    try {
      const [{ id, username, name }, scopes] = [await gitlab.me(), await gitlab.scopes()]
      answer = scopes.some(scope => scope === 'api' || scope === 'read_api')
        ? { person: { id, username, name }, mayWrite: scopes.includes('api') }
        : { refused: new Refusal(403, lacksScope) }
    } catch (error) {
      answer = { refused: refusalOf(error) }
    }
    if ('refused' in answer) {
      failures.count(address)
      options.onFailure?.(address, answer.refused.message)
    }
    known.keep(fingerprint, answer, remember)
    return answer
  }

  return async function signIn(headers, address) {
    const token = tokenOf(headers)
    const fingerprint = fingerprintOf(token)
    const before = known.look(fingerprint)
    let answer = before?.fresh === true ? before.value : null
    if (answer === null) {
      // Whoever was let in a while ago is asked for whatever others do: trying tokens here must lock nobody out.
      const welcome = before !== null && !('refused' in before.value)
      const wait = welcome ? 0 : failures.wait(address)
      if (wait > 0) throw new Refusal(429, `Too many sign-ins have failed; again in ${wait} s`, { retryAfter: wait })
      const asked =
        asking.get(fingerprint) ?? ask(token, fingerprint, address).finally(() => asking.delete(fingerprint))
      asking.set(fingerprint, asked)
      answer = await asked
    }
    if ('refused' in answer) throw answer.refused
    let client: GitLab | null = null
    return {
      person: answer.person,
      mayWrite: answer.mayWrite,
      fingerprint,
      gitlab: () => {
        client ??= options.gitlabAs(token) as GitLab
        return client
      },
    }
  }
}

const lacksScope = 'The token has neither the scope `api` nor `read_api`'

/** What GitLab's no means to whoever sent the token. Anything that is no no is thrown on, and nothing is remembered. */
function refusalOf(error: unknown): Refusal {
  if (isGitLabError(error, 'unauthorized'))
    return new Refusal(401, `GitLab does not take this token: ${reasonOf(error, 'it is wrong, revoked or expired')}`)
  if (isGitLabError(error, 'forbidden'))
    return new Refusal(
      403,
      /insufficient_scope/.test(error.said) ? lacksScope : `GitLab refuses this token: ${reasonOf(error, '403')}`,
    )
  throw troubleWithGitLab(error)
}

function reasonOf(error: GitLabError, otherwise: string): string {
  const said = error.said.replace(/^(40[13] )?(Unauthorized|Forbidden)( - )?|^invalid_token: /, '').trim()
  return said === '' ? otherwise : said
}

/** GitLab does not answer, or wants a pause: 503 and 429; anything else goes on as it is. */
export function troubleWithGitLab(error: unknown): unknown {
  if (!(error instanceof GitLabError)) return error
  const retryAfter = error.retryAfter === null ? 10 : Math.ceil(error.retryAfter / 1_000)
  if (error.kind === 'rate limited')
    return new Refusal(429, 'GitLab wants a pause from this token (its rate limit)', { retryAfter, cause: error })
  return new Refusal(503, 'GitLab does not answer at present, and only GitLab can say who is asking', {
    retryAfter,
    cause: error,
  })
}
