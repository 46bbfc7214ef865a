import { setTimeout } from 'node:timers/promises'
import type { z } from 'zod'
import { About, ErrorAnswer } from '../../model/api.ts'
import { CommandError, exitCodes } from '../command.ts'

/** The service, asked as a person. Throws CommandError with what stands in the way. */
export interface Service {
  readonly url: string
  get<S extends z.ZodType>(schema: S, path: string, query?: Query): Promise<z.output<S>>
  post<S extends z.ZodType>(schema: S, path: string, body: unknown, key?: string): Promise<z.output<S>>
  /** The answer as it comes, also a 404. */
  bytes(path: string, query?: Query, deadline?: number): Promise<Response>
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>

const patience = 30_000

/** Who it is and whose tokens it takes; anybody may ask. */
export async function askAbout(url: string): Promise<z.output<typeof About>> {
  const response = await send(url, '/api/v1', {})
  if (response.status === 404)
    throw new CommandError(exitCodes.unreachable, `${url} is no service of ComputationalOps, or an older one`)
  return readAnswer(url, response, About)
}

export function openService(url: string, token: string): Service {
  const ask = (path: string, query: Query, more: RequestInit = {}, deadline = patience) => {
    const given = Object.entries(query).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)] as [string, string]],
    )
    const search = given.length === 0 ? '' : `?${new URLSearchParams(given)}`
    return send(
      url,
      `/api/v1${path}${search}`,
      { ...more, headers: { authorization: `Bearer ${token}`, ...(more.headers as Record<string, string>) } },
      deadline,
    )
  }
  return {
    url,
    async get(schema, path, query = {}) {
      return readAnswer(url, await ask(path, query), schema)
    },
    async post(schema, path, body, key) {
      const headers = { 'content-type': 'application/json', ...(key === undefined ? {} : { 'idempotency-key': key }) }
      const asked = () => ask(path, {}, { method: 'POST', body: JSON.stringify(body), headers }, 120_000)
      // With a key the same again is the same request: an answer that was lost is asked for once more.
      const response = await asked().catch(error => (key === undefined ? Promise.reject(error) : asked()))
      return readAnswer(url, response, schema)
    },
    async bytes(path, query = {}, deadline) {
      const response = await ask(path, query, {}, deadline)
      if (response.ok || response.status === 404) return response
      throw await refusalOf(url, response)
    },
  }
}

/** Asked for a short pause (the limit of the service, or of its GitLab), a command waits and asks again: it was not served, so nothing is done twice. */
async function send(url: string, path: string, init: RequestInit, deadline = patience): Promise<Response> {
  for (let turn = 0; ; turn++) {
    const response = await sendOnce(url, path, init, deadline)
    const wait = Number(response.headers.get('retry-after'))
    if (response.status !== 429 || turn >= mostPauses || !(wait > 0 && wait <= longestPause)) return response
    await response.body?.cancel()
    await setTimeout(wait * 1_000)
  }
}

const mostPauses = 20
/** s */
const longestPause = 5

async function sendOnce(url: string, path: string, init: RequestInit, deadline: number): Promise<Response> {
  try {
    // Nobody leads a token elsewhere.
    const response = await fetch(`${url}${path}`, {
      ...init,
      redirect: 'manual',
      signal: AbortSignal.timeout(deadline),
    })
    if (response.status >= 300 && response.status < 400)
      throw new CommandError(
        exitCodes.unreachable,
        `${url} leads on to ${response.headers.get('location') ?? 'somewhere else'}: give that address`,
      )
    return response
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw new CommandError(exitCodes.unreachable, `${url} cannot be reached: ${wordsOf(error)}`, {
      cause: error,
      transient: true,
    })
  }
}

/** fetch says "fetch failed"; what happened stands in its cause. */
function wordsOf(error: unknown): string {
  let inner = error
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause
  if (inner instanceof Error && inner.name === 'TimeoutError') return 'no answer in time'
  const { message = '', code = '' } = inner as { message?: string; code?: string }
  const certificate = /CERT|SELF_SIGNED|UNABLE_TO/.test(code)
  return `${message || code || String(inner)}${certificate ? ' (a private certificate authority: NODE_EXTRA_CA_CERTS=/path/to/ca.pem)' : ''}`
}

async function readAnswer<S extends z.ZodType>(url: string, response: Response, schema: S): Promise<z.output<S>> {
  if (!response.ok) throw await refusalOf(url, response)
  const read = schema.safeParse(await response.json().catch(() => null))
  if (read.success) return read.data
  throw new CommandError(
    exitCodes.unreachable,
    `${url} gave an answer that cannot be read; is the service of another version?`,
  )
}

async function refusalOf(url: string, response: Response): Promise<CommandError> {
  const said = ErrorAnswer.safeParse(await response.json().catch(() => null)).data
  const words =
    said === undefined ? `${url} answered ${response.status}` : [said.error, ...(said.details ?? [])].join('; ')
  const { status } = response
  if (status === 401 || status === 403) return new CommandError(exitCodes.refused, words)
  if (status === 404) return new CommandError(exitCodes.unknown, words)
  if (status === 429 || status >= 500) return new CommandError(exitCodes.unreachable, words, { transient: true })
  return new CommandError(exitCodes.failed, words)
}
