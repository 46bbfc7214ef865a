/**
 * The one family of errors. `message` is for the person who reads it (what is wrong, where, what to do); `cause` is for the developer.
 * `transient` says whether trying the same thing again makes sense.
 */
export class CompopsError extends Error {
  readonly transient: boolean

  constructor(message: string, options: { transient?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.transient = options.transient ?? false
  }
}

/** The configuration is wrong: every mistake at once, one line each. */
export class ConfigError extends CompopsError {
  readonly problems: readonly string[]

  constructor(file: string, problems: readonly string[]) {
    super(
      `${file}: ${problems.length} ${problems.length === 1 ? 'mistake' : 'mistakes'}\n${problems.map(p => `  ${p}`).join('\n')}`,
    )
    this.problems = problems
  }
}

/** What came from outside (a command's answer, a file, a payload) cannot be read. Never guessed at. */
export class UnreadableError extends CompopsError {}

/** Anything thrown, as an Error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

/** One line for a log or a row: the message, and the causes behind it, at most `max` characters. */
export function describeError(thrown: unknown, max = 500): string {
  const parts: string[] = []
  let statement = ''
  let error: unknown = thrown
  while (error !== undefined && error !== null && parts.length < 4) {
    const cause = error instanceof Error ? error.cause : undefined
    const text = toError(error).message
    const query = /^Failed query: ([\s\S]*?)(?:\nparams: [\s\S]*)?$/.exec(text)
    // drizzle tells the whole statement, and behind it its values: jobs, people, bodies, which have no place in a log. The reason is its cause.
    if (query !== null) statement = query[1]!.replace(/\s+/g, ' ').slice(0, 60)
    else if (text !== '' && !parts.some(p => p.includes(text))) parts.push(text)
    error = cause
  }
  if (statement !== '' && parts.length === 0) parts.push('the query failed')
  if (statement !== '') parts.push(`(in: ${statement} …)`)
  const line = parts.join(': ').replace(': (in: ', ' (in: ').replace(/\s+/g, ' ').trim() || 'unknown error'
  return line.length > max ? `${line.slice(0, max - 1)}…` : line
}
