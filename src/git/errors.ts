import { CompopsError } from '../errors.ts'

export type GitErrorKind =
  /** 401, 403: the token is wrong, revoked, expired, or its role is too low. */
  | 'auth'
  /** 404 or a redirect: not there, moved, or not visible. A 404 is also what a revoked token looks like. */
  | 'not found'
  /** No answer, half an answer, 429 or 5xx. */
  | 'network'
  /** The server took the push and said no: a protected branch, a hook, or somebody else was faster. */
  | 'rejected'
  /** Anything else: git's own words tell. */
  | 'git'

/** What git or GitLab refused. Neither message nor cause ever holds the token. */
export class GitError extends CompopsError {
  readonly kind: GitErrorKind
  /** Milliseconds until asking again makes sense, where known. */
  readonly retryAfter: number | null

  constructor(
    kind: GitErrorKind,
    message: string,
    options: { transient?: boolean; cause?: unknown; retryAfter?: number } = {},
  ) {
    super(message, { transient: options.transient ?? kind === 'network', cause: options.cause })
    this.kind = kind
    this.retryAfter = options.retryAfter ?? null
  }
}

// First match wins. The words are those of git 2.39 (remote-curl.c, http.c) under LC_ALL=C, of libcurl and of GitLab.
const KINDS: readonly (readonly [RegExp, GitErrorKind])[] = [
  [/returned error: (429|5\d\d)/, 'network'],
  [
    /returned error: 40[13]|Authentication failed|could not read (Username|Password)|Access denied|not allowed to (pull|download|push|access)/i,
    'auth',
  ],
  [
    /returned error: (404|3\d\d)|repository '.*' not found|could not be found or you don't have permission|unable to update url base/i,
    'not found',
  ],
  [
    /could ?n[o']t (resolve|connect)|failed to connect|connection (refused|reset|timed out|was)|timed out|too slow|early EOF|unexpected disconnect|remote end hung up|RPC failed|expected flush|empty reply|transfer closed|bytes remaining|SSL|TLS|certificate|curl \d+|unable to access|proxy|info\/refs not valid|bad line length/i,
    'network',
  ],
]

export function kindOf(words: string): GitErrorKind {
  return KINDS.find(([pattern]) => pattern.test(words))?.[1] ?? 'git'
}

const PROGRESS =
  /^(remote: )?(Enumerating|Counting|Compressing|Receiving|Resolving|Writing|Unpacking|Updating|Filtering|Downloading|Delta|Total|Checking|Expanding|Processing)\b.*\d|^remote:\s*$|^(hint: |To |Done$|Cloning )/

/** What git said, without its progress bars: at most `max` characters on a few lines. */
export function gitWords(stderr: string, max = 1_000): string {
  const lines = stderr
    .split(/[\r\n]+/)
    .map(line => line.trimEnd())
    .filter(line => line !== '' && !PROGRESS.test(line))
  const text = lines.slice(-12).join('\n')
  return text.length > max ? `${text.slice(0, max - 1)}…` : text
}
