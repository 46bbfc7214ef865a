/** Tells a sleeping worker that a row of its kind has changed. Only a hint: who misses it looks again at its interval. */
export interface Wake {
  call(topic: Topic): void
  /** Resolves when somebody calls the topic, after `ms`, or when `signal` aborts. A call made since the last wait counts. */
  wait(topic: Topic, ms: number, signal: AbortSignal): Promise<void>
}

export type Topic =
  | 'deliveries'
  | 'heads'
  | 'submit'
  | 'poll'
  | 'cancel'
  | 'collect'
  | 'finish'
  | 'compose'
  | 'send'
  | 'evidence'

export function createWake(): Wake {
  const called = new Set<Topic>()
  const waiting = new Map<Topic, Set<() => void>>()
  return {
    call(topic) {
      const sleepers = waiting.get(topic)
      if (sleepers === undefined || sleepers.size === 0) {
        called.add(topic)
        return
      }
      for (const stop of [...sleepers]) stop()
    },
    wait(topic, ms, signal) {
      if (called.delete(topic) || signal.aborted) return Promise.resolve()
      return new Promise(resolve => {
        const sleepers = waiting.get(topic) ?? new Set()
        waiting.set(topic, sleepers)
        const stop = () => {
          clearTimeout(timer)
          sleepers.delete(stop)
          signal.removeEventListener('abort', stop)
          resolve()
        }
        const timer = setTimeout(stop, ms)
        sleepers.add(stop)
        signal.addEventListener('abort', stop, { once: true })
      })
    },
  }
}
