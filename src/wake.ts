import { type Clock, systemClock } from './clock.ts'

/** Tells sleeping workers that a row of their kind has changed. Only a hint: who misses it looks again at its interval. */
export interface Wake {
  call(topic: Topic): void
  /** The number of calls so far: taken before looking, so that a call made while looking is not missed. */
  mark(...topics: readonly Topic[]): number
  /** Resolves when one of the topics has been called since `mark`, after `ms`, or when `signal` aborts. */
  wait(topics: Topic | readonly Topic[], mark: number, ms: number, signal: AbortSignal): Promise<void>
}

export type Topic =
  | 'deliveries'
  | 'comments'
  | 'ci'
  | 'heads'
  | 'prepare'
  | 'submit'
  | 'poll'
  | 'cancel'
  | 'collect'
  | 'finish'
  | 'compose'
  | 'send'
  | 'evidence'
  | 'introduce'
  | 'sweep'
  /** GitLab, or git of one project, answers again. */
  | 'back'
  | 'prune'
  /** What is counted of our use of clusters is written down. */
  | 'load'
  | 'recover'
  | 'schedule'
  /** Something that other branches of the tree follow from. */
  | 'tree'
  /** Jobs of this connection have said something. */
  | `news ${string}`

export function createWake(clock: Clock = systemClock): Wake {
  const calls = new Map<Topic, number>()
  const sleepers = new Map<Topic, Set<() => void>>()
  const mark = (...topics: readonly Topic[]) => topics.reduce((sum, topic) => sum + (calls.get(topic) ?? 0), 0)
  return {
    call(topic) {
      calls.set(topic, (calls.get(topic) ?? 0) + 1)
      for (const stop of [...(sleepers.get(topic) ?? [])]) stop()
    },
    mark,
    async wait(topics, since, ms, signal) {
      const list = typeof topics === 'string' ? [topics] : topics
      if (mark(...list) > since || signal.aborted) return
      const called = new AbortController()
      const stop = () => called.abort()
      for (const topic of list) sleepers.set(topic, (sleepers.get(topic) ?? new Set()).add(stop))
      signal.addEventListener('abort', stop, { once: true })
      await clock.sleep(ms, called.signal)
      for (const topic of list) sleepers.get(topic)?.delete(stop)
      signal.removeEventListener('abort', stop)
    },
  }
}
