import { type Clock, systemClock } from './clock.ts'

/** Tells sleeping workers that a row of their kind has changed. Only a hint: who misses it looks again at its interval. */
export interface Wake {
  call(topic: Topic): void
  /** The number of calls so far: taken before looking, so that a call made while looking is not missed. */
  mark(topic: Topic): number
  /** Resolves when the topic has been called since `mark`, after `ms`, or when `signal` aborts. */
  wait(topic: Topic, mark: number, ms: number, signal: AbortSignal): Promise<void>
}

export type Topic =
  | 'deliveries'
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
  | 'recover'

export function createWake(clock: Clock = systemClock): Wake {
  const calls = new Map<Topic, number>()
  const sleepers = new Map<Topic, Set<() => void>>()
  return {
    call(topic) {
      calls.set(topic, (calls.get(topic) ?? 0) + 1)
      for (const stop of [...(sleepers.get(topic) ?? [])]) stop()
    },
    mark: topic => calls.get(topic) ?? 0,
    async wait(topic, mark, ms, signal) {
      if ((calls.get(topic) ?? 0) > mark || signal.aborted) return
      const called = new AbortController()
      const stop = () => called.abort()
      const here = sleepers.get(topic) ?? new Set()
      sleepers.set(topic, here)
      here.add(stop)
      signal.addEventListener('abort', stop, { once: true })
      await clock.sleep(ms, called.signal)
      here.delete(stop)
      signal.removeEventListener('abort', stop)
    },
  }
}
