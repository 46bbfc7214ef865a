/** Many callers, one statement: rows are collected while the previous statement runs, and each caller awaits its own commit. */
import { setImmediate as turn } from 'node:timers/promises'
import { CompopsError, toError } from '../errors.ts'

export interface BatcherOptions<Row, Outcome> {
  /** One statement for all rows, one outcome for each, in their order. */
  readonly insert: (rows: Row[]) => Promise<readonly Outcome[]>
  /** Rows of equal key are sent once; the others get `repeated` when it has been committed. */
  readonly keyOf: (row: Row) => string
  readonly repeated: Outcome
  /** Default 500. */
  readonly maxBatch?: number
  /** Refused beyond it: a store that hangs must not eat the memory. Default 5,000. */
  readonly maxWaiting?: number
  /**
   * ms after which a caller is told that its row is not committed, though it may still be: GitLab waits 10 s, and hears 503 rather than nothing.
   * Default 8,000.
   */
  readonly deadline?: number
}

export interface Batcher<Row, Outcome> {
  /** Resolves when the row is committed; rejects when it is not. */
  add(row: Row): Promise<Outcome>
}

interface Waiting<Row, Outcome> {
  readonly row: Row
  readonly settle: (outcome: Outcome) => void
  readonly fail: (error: Error) => void
}

/** So many rows refused one after the other, none taken: it is the store, not a row. */
const hopeless = 5

export function createBatcher<Row, Outcome>(options: BatcherOptions<Row, Outcome>): Batcher<Row, Outcome> {
  const { insert, keyOf, repeated, maxBatch = 500, maxWaiting = 5_000, deadline = 8_000 } = options
  let waiting: Waiting<Row, Outcome>[] = []
  let running = false

  return {
    add(row) {
      return new Promise((settle, fail) => {
        if (waiting.length >= maxWaiting) {
          fail(new CompopsError(`the store is ${maxWaiting} deliveries behind`, { transient: true }))
          return
        }
        const late = setTimeout(
          () => fail(new CompopsError(`the store has not answered in ${deadline / 1000} s`, { transient: true })),
          deadline,
        )
        waiting.push({
          row,
          settle(outcome) {
            clearTimeout(late)
            settle(outcome)
          },
          fail(error) {
            clearTimeout(late)
            fail(error)
          },
        })
        if (!running) void drain()
      })
    },
  }

  async function drain(): Promise<void> {
    running = true
    try {
      while (waiting.length > 0) {
        const batch = waiting.slice(0, maxBatch)
        waiting = waiting.slice(maxBatch)
        await store(batch)
        // The embedded database ends a statement without the event loop having turned; sockets are read now, or each batch would be one row.
        await turn()
      }
    } finally {
      running = false
    }
  }

  async function store(batch: readonly Waiting<Row, Outcome>[]): Promise<void> {
    const groups = Map.groupBy(batch, ({ row }) => keyOf(row))
    const firsts = [...groups.values()]
    const error = await attempt(firsts)
    if (error === null) return
    if (firsts.length === 1) {
      for (const each of firsts[0] ?? []) each.fail(error)
      return
    }
    // One poison row must not refuse its neighbours.
    let refusedInARow = 0
    let taken = 0
    for (const group of firsts) {
      const alone = taken === 0 && refusedInARow >= hopeless ? error : await attempt([group])
      if (alone === null) {
        taken += 1
        refusedInARow = 0
      } else {
        refusedInARow += 1
        for (const each of group) each.fail(alone)
      }
    }
  }

  /** Sends the first row of each group; null when all were committed and their callers told. */
  async function attempt(groups: readonly Waiting<Row, Outcome>[][]): Promise<Error | null> {
    try {
      const outcomes = await insert(groups.map(group => group[0]!.row))
      if (outcomes.length !== groups.length)
        throw new CompopsError(`the store answered ${outcomes.length} of ${groups.length} rows`)
      for (const [index, group] of groups.entries()) {
        group[0]!.settle(outcomes[index]!)
        for (const other of group.slice(1)) other.settle(repeated)
      }
      return null
    } catch (thrown) {
      return toError(thrown)
    }
  }
}
