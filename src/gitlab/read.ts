import { z } from 'zod'
import { GitLabError } from './errors.ts'

/**
 * The fields we need, out of what GitLab answered. An answer without them is trouble like a cut one: transient, and for a POST
 * (`posted`) it may well have been done.
 */
export function read<T>(schema: z.ZodType<T>, body: unknown, what: string, posted = false): T {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const place = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`
  throw new GitLabError(`GitLab's answer about ${what} cannot be read${place}: ${issue?.message ?? 'unknown shape'}`, {
    kind: 'unreachable',
    maybeDone: posted,
  })
}

/**
 * One segment of a path, before it is encoded. `.` and `..` survive encoding and would be resolved away, an empty one would turn the
 * request for one thing into a request for the list.
 */
export function segment(text: string | number, what: string): string | number {
  if (typeof text === 'number') {
    if (Number.isSafeInteger(text) && text >= 0) return text
  } else if (text !== '' && text !== '.' && text !== '..' && text.isWellFormed()) return text
  throw new GitLabError(`${JSON.stringify(text)} cannot be asked for as ${what}`, { kind: 'invalid' })
}

/** GitLab answers 404 both when a thing is not there and when its project cannot be seen; only the first means "there is none". */
export function isMissing(error: unknown): boolean {
  return error instanceof GitLabError && error.kind === 'not found' && !/project/i.test(error.said)
}

const page = z.object({
  data: z.array(z.unknown()),
  paginationInfo: z.object({ next: z.number().nullish() }),
})

// GitLab's offset pagination ends at 50,000 rows.
const lastPage = 500

/** Rows of a list, page by page while somebody asks for more. Follows `x-next-page`; `x-total` is absent from long lists. */
export async function* rows<T>(
  schema: z.ZodType<T>,
  what: string,
  fetchPage: (options: { page: number; perPage: 100; showExpanded: true }) => Promise<unknown>,
): AsyncGenerator<T, void, undefined> {
  let number = 1
  while (number <= lastPage) {
    const { data, paginationInfo } = read(
      page,
      await fetchPage({ page: number, perPage: 100, showExpanded: true }),
      what,
    )
    for (const row of data) yield read(schema, row, what)
    const next = paginationInfo.next ?? null
    if (next === null || next <= number) return
    number = next
  }
}

export async function all<T>(generator: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const row of generator) found.push(row)
  return found
}
