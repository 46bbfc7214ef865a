import { describeError } from '../errors.ts'
import type { Link } from './connection.ts'
import { RemoteError } from './remote.ts'

/** Dials the login nodes of one cluster in turn: first the one that was of use last, then those behind it, round once. */
export interface InTurn<T> {
  dial(signal: AbortSignal): Promise<Link<T>>
  /** A program answered over the last link. */
  proven(): void
  /** The node of the last link does not do: the next dial begins behind it. */
  passOver(): void
}

export function inTurn<N, T>(
  nodes: readonly N[],
  dialNode: (node: N, signal: AbortSignal) => Promise<Link<T>>,
  /** Told of each node that is passed over while there is another. */
  onPassedOver: (error: RemoteError) => void = () => {},
): InTurn<T> {
  let first = 0
  let unproven = false

  async function dial(signal: AbortSignal): Promise<Link<T>> {
    // A node that signs us in and then answers nothing is passed over like one that is away.
    if (unproven) first = (first + 1) % nodes.length
    unproven = false
    const failures: RemoteError[] = []
    for (let i = 0; i < nodes.length; i++) {
      signal.throwIfAborted()
      const at = (first + i) % nodes.length
      try {
        const link = await dialNode(nodes[at]!, signal)
        first = at
        unproven = true
        return link
      } catch (error) {
        signal.throwIfAborted()
        const failure =
          error instanceof RemoteError ? error : new RemoteError('unreachable', describeError(error), { cause: error })
        failures.push(failure)
        if (i < nodes.length - 1) onPassedOver(failure)
      }
    }
    throw allOf(failures)
  }

  return {
    dial,
    proven() {
      unproven = false
    },
    passOver() {
      unproven = true
    },
  }
}

function allOf(failures: readonly RemoteError[]): RemoteError {
  const messages = [...new Set(failures.map(failure => failure.message))]
  if (failures.length === 1 || messages.length === 1) return failures[0]!
  return new RemoteError(
    'unreachable',
    `none of the ${failures.length} login nodes can be used: ${messages.join('; ')}`,
    {
      transient: failures.some(failure => failure.transient),
      cause: failures[0],
    },
  )
}
