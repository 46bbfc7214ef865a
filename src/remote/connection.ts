import { describeError, toError } from '../errors.ts'
import { RemoteError, type RemoteEvent } from './remote.ts'

/** One connection made: what it offers, when it is lost, how to end it. */
export interface Link<T> {
  offers: T
  /** Aborted, with an Error as reason, once the connection is gone. */
  lost: AbortSignal
  end(): Promise<void>
}

export interface BackOff {
  /** Milliseconds after the first failure; doubled with each further one. */
  first: number
  max: number
}

/** Between half and all of `first * 2^(failures - 1)`, never above `max`: many waiters do not come back at the same moment. */
export function backOffDelay(failures: number, { first, max }: BackOff, random: () => number = Math.random): number {
  const full = Math.min(max, first * 2 ** Math.min(failures - 1, 30))
  return Math.round(full * (0.5 + random() / 2))
}

/** The one connection that is kept: made when first needed, made again when lost, not tried while backing off. */
export interface Connection<T> {
  /** The connection, shared by all who ask. Fails at once with kind 'unreachable' and the last reason while backing off. */
  get(): Promise<Link<T>>
  /** A program answered over it: the next loss is no failure to connect. */
  proven(): void
  /** What was reached does not do: ended, and a failure to connect, whatever it has answered. */
  drop(reason: Error): void
  stats(): { connects: number; connectedSince: Date | null; unreachableSince: Date | null; lastError: string | null }
  close(): Promise<void>
}

export function keepConnection<T>(options: {
  description: string
  /** Connects and signs in, in bounded time, at once when the signal is aborted; throws a RemoteError. */
  dial: (signal: AbortSignal) => Promise<Link<T>>
  backOff: BackOff
  onEvent?: ((event: RemoteEvent) => void) | undefined
}): Connection<T> {
  const { description, dial, backOff } = options
  let link: Link<T> | undefined
  let dialing: Promise<Link<T>> | undefined
  let failures = 0
  let retryAt = 0
  let answered = false
  const closing = new AbortController()
  let lastFailure: RemoteError | undefined
  let connects = 0
  let connectedSince: Date | null = null
  let unreachableSince: Date | null = null

  function tell(event: RemoteEvent): void {
    try {
      options.onEvent?.(event)
    } catch {
      // A listener's mistake must not cost the connection.
    }
  }

  function fail(error: RemoteError): void {
    failures++
    retryAt = performance.now() + backOffDelay(failures, backOff)
    unreachableSince ??= new Date()
    lastFailure = error
    tell({ type: 'error', error })
  }

  function forget(gone: Link<T>, reason: Error): void {
    if (link !== gone) return
    link = undefined
    connectedSince = null
    tell({ type: 'disconnected', reason: describeError(reason) })
    // A server that drops each connection before it is of use must not be hammered either.
    if (!answered) fail(new RemoteError('unreachable', describeError(reason), { cause: reason }))
  }

  async function connect(): Promise<Link<T>> {
    try {
      const made = await dial(closing.signal)
      if (closing.signal.aborted) await made.end()
      closing.signal.throwIfAborted()
      link = made
      connects++
      answered = false
      connectedSince = new Date()
      tell({ type: 'connected' })
      made.lost.addEventListener('abort', () => forget(made, toError(made.lost.reason)), { once: true })
      if (made.lost.aborted) forget(made, toError(made.lost.reason))
      return made
    } catch (error) {
      if (closing.signal.aborted) throw toError(closing.signal.reason)
      const failure =
        error instanceof RemoteError ? error : new RemoteError('unreachable', describeError(error), { cause: error })
      fail(failure)
      throw failure
    } finally {
      dialing = undefined
    }
  }

  async function get(): Promise<Link<T>> {
    closing.signal.throwIfAborted()
    if (link !== undefined) return link
    if (dialing !== undefined) return dialing
    const wait = retryAt - performance.now()
    if (wait > 0 && lastFailure !== undefined) {
      const tries = `${failures} ${failures === 1 ? 'try' : 'tries'}, the next in ${Math.ceil(wait / 1000)} s`
      throw new RemoteError('unreachable', `${description} is unreachable (${tries}): ${lastFailure.message}`, {
        transient: lastFailure.transient,
        cause: lastFailure,
      })
    }
    dialing = connect()
    return dialing
  }

  return {
    get,
    proven() {
      answered = true
      failures = 0
      retryAt = 0
      unreachableSince = null
    },
    drop(reason) {
      if (link === undefined) return
      const dropped = link
      answered = false
      forget(dropped, reason)
      dropped.end().catch(() => {})
    },
    stats: () => ({ connects, connectedSince, unreachableSince, lastError: lastFailure?.message ?? null }),
    async close() {
      closing.abort(new RemoteError('closed', `the connection to ${description} is closed`))
      const current = link
      link = undefined
      connectedSince = null
      if (current !== undefined) {
        tell({ type: 'disconnected', reason: 'closed by us' })
        await current.end()
      }
      await dialing?.catch(() => {})
    },
  }
}
