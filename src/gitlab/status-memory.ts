/**
 * What is kept in memory beside one client, and may be lost at any time: the queue per commit, the pipelines just found, the answers just
 * lost. It saves calls and repeats; correctness never rests on it.
 */
export function rememberedBy<T>(size: number): { of(owner: object): Bounded<T> } {
  const owners = new WeakMap<object, Bounded<T>>()
  return {
    of(owner) {
      let entries = owners.get(owner)
      if (entries === undefined) {
        entries = createBounded(size)
        owners.set(owner, entries)
      }
      return entries
    },
  }
}

export type Bounded<T> = Pick<Map<string, T>, 'get' | 'has' | 'set' | 'delete'>

/** A map that forgets its oldest entries. */
function createBounded<T>(size: number): Bounded<T> {
  const entries = new Map<string, T>()
  return {
    get: key => entries.get(key),
    has: key => entries.has(key),
    delete: key => entries.delete(key),
    set(key, value) {
      entries.delete(key)
      entries.set(key, value)
      if (entries.size > size) entries.delete(entries.keys().next().value!)
      return entries
    },
  }
}

const lost = rememberedBy<true>(10_000)

/** Statuses whose answer was lost and that could not be read back yet. */
export function lostOf(owner: object): Bounded<true> {
  return lost.of(owner)
}

const turns = new WeakMap<object, Map<string, Promise<unknown>>>()

/** Acts with the same key one after the other, in the order asked. */
export async function inTurn<T>(owner: object, key: string, act: () => Promise<T>): Promise<T> {
  let queue = turns.get(owner)
  if (queue === undefined) {
    queue = new Map()
    turns.set(owner, queue)
  }
  const mine = (queue.get(key) ?? Promise.resolve()).then(act, act)
  // The next one waits for the end of this one, whatever it is; the error is its own caller's.
  const over = mine.catch(() => {})
  queue.set(key, over)
  try {
    return await mine
  } finally {
    if (queue.get(key) === over) queue.delete(key)
  }
}
