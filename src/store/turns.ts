import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PGlite } from '@electric-sql/pglite'

/** ms of statements in a row, after which timers and sockets get their turn; one statement is never interrupted. */
const stretch = 10

/**
 * The embedded database works on our own thread and answers in microtasks: a thousand statements in a row, each awaited, would never let the event loop
 * turn. So what goes to it waits for a turn once it has held the loop long enough, between the statements of a transaction too.
 */
export function letLoopTurn(client: PGlite): void {
  let since: number | null = null
  async function breathe(): Promise<void> {
    for (;;) {
      if (since === null) {
        since = performance.now()
        setImmediate(() => {
          since = null
        })
        return
      }
      if (performance.now() - since < stretch) return
      await nextTurn()
    }
  }

  // What queries, transactions and whole scripts come to, in the engine's own order.
  const stream = client.execProtocolStream.bind(client)
  client.execProtocolStream = async (...message) => {
    await breathe()
    return stream(...message)
  }
}
