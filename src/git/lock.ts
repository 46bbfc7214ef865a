const queues = new Map<string, Promise<unknown>>()

/** One writer at a time for each mirror of this process, in the order of asking. Not reentrant. */
export async function inTurn<T>(dir: string, work: () => Promise<T>): Promise<T> {
  const before = queues.get(dir) ?? Promise.resolve()
  const mine = before.then(work, work)
  const settled = mine.catch(() => {})
  queues.set(dir, settled)
  try {
    return await mine
  } finally {
    if (queues.get(dir) === settled) queues.delete(dir)
  }
}
