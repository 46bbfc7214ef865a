import { z } from 'zod'
import type { Caller } from '../auth/sign-in.ts'

type Shape = Readonly<Record<string, z.ZodType>>
type Values<S> = S extends Shape ? { readonly [K in keyof S]: z.output<S[K]> } : Record<string, never>

/** What a handler is asked, with everything read and checked. */
export interface Asked<P, Q, B> {
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly caller: Caller
  readonly headers: Headers
  /** Aborts when whoever asked has gone. */
  readonly signal: AbortSignal
  /** `Idempotency-Key`; null where none was sent. */
  readonly key: string | null
}

/** One address of the API: what it takes, what it answers, and the sentence that `/openapi.json` says of it. Routes and description are made from the same table. */
export interface Endpoint {
  readonly method: 'get' | 'post'
  /** Below `/api/v1`, e.g. `/runs/{run}`. */
  readonly path: string
  readonly name: string
  readonly summary: string
  readonly params?: Shape
  readonly query?: Shape
  readonly body?: z.ZodType
  readonly answer: z.ZodType | 'bytes'
  /** Takes an Idempotency-Key, and asks for the scope `api` where this is true of its parameters. */
  readonly changes?: (params: Readonly<Record<string, string>>) => boolean
  // biome-ignore lint/suspicious/noExplicitAny: the table holds endpoints of every shape; `endpoint` has checked each.
  readonly handle: (asked: Asked<any, any, any>) => Promise<unknown>
}

/** Types a handler by its schemas. A Response that it returns goes out as it is. */
export function endpoint<
  const P extends Shape | undefined = undefined,
  const Q extends Shape | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
  A extends z.ZodType | 'bytes' = z.ZodType,
>(
  given: Omit<Endpoint, 'params' | 'query' | 'body' | 'answer' | 'handle'> & {
    readonly params?: P
    readonly query?: Q
    readonly body?: B
    readonly answer: A
    readonly handle: (
      asked: Asked<Values<P>, Values<Q>, B extends z.ZodType ? z.output<B> : undefined>,
    ) => Promise<A extends z.ZodType ? z.output<A> | Response : Response>
  },
): Endpoint {
  return given as Endpoint
}

/** For paging: `limit` and `after`. */
export const page = {
  limit: z.coerce.number().int().min(1).max(100).default(20).describe('How many; at most 100.'),
  after: z.string().max(1_000).optional().describe('`next` of the page before.'),
}

export const projectParam = {
  project: z
    .string()
    .min(1)
    .max(1_000)
    .describe("GitLab's path of the project, encoded (`physics%2Fheat`), or its id."),
}

export const runParam = { run: z.uuid() }
export const jobParam = { job: z.uuid() }
