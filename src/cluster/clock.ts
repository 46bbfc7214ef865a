import { UnreadableError } from '../errors.ts'
import type { Seen } from '../model/observation.ts'

/**
 * Milliseconds that the cluster's clock is ahead of ours, as far as that is certain: it was read (in whole seconds) some time between our
 * question and its answer, and any reading that fits in between is no difference at all.
 */
export function clockAhead(cluster: Date, asked: Date, answered: Date): number {
  const begins = cluster.getTime()
  const ends = begins + 999
  if (ends < asked.getTime()) return ends - asked.getTime()
  return Math.max(0, begins - answered.getTime())
}

/** Takes the line with the cluster's clock, which comes first, off an answer. */
export function takeClock(
  name: string,
  answer: string,
  asked: Date,
  answered: Date,
): { readonly ahead: number; readonly rest: string } {
  const [line = '', seconds] = /^(\d{1,12})\n/.exec(answer) ?? []
  if (seconds === undefined)
    throw new UnreadableError(`${name}: the answer does not begin with the time there`, { transient: true })
  return { ahead: clockAhead(new Date(Number(seconds) * 1000), asked, answered), rest: answer.slice(line.length) }
}

/** What was seen with the times of the cluster turned into ours: else a job would have begun before it was submitted. */
export function onOurClock(seen: Seen, ahead: number): Seen {
  if (ahead === 0) return seen
  const ours = (at: Date | null) => (at === null ? null : new Date(at.getTime() - ahead))
  const { queue, accounting, exit, started } = seen
  return {
    queue: queue && {
      ...queue,
      submittedAt: ours(queue.submittedAt),
      startAt: ours(queue.startAt),
      endAt: ours(queue.endAt),
    },
    accounting:
      accounting === null || accounting === 'off'
        ? accounting
        : {
            ...accounting,
            submittedAt: ours(accounting.submittedAt),
            startedAt: ours(accounting.startedAt),
            endedAt: ours(accounting.endedAt),
          },
    exit: exit && { ...exit, at: ours(exit.at) },
    started: started && { ...started, at: ours(started.at) },
  }
}
