import { PassThrough } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { eventsProgram } from './events-program.ts'
import { eventsDirectory } from './layout.ts'
import { notWhole, type Reach } from './reach.ts'

/** News of a job, by a file that it wrote: a hint to look, never a fact. Its user could have written it too. */
export interface ClusterEvent {
  readonly kind: 'start' | 'progress' | 'end'
  readonly attemptId: string
  /** Of a task of an array; else 0. */
  readonly task: number
  /** What a progress says, raw. */
  readonly text: string
}

export interface Listening {
  /** Ends it. */
  readonly signal: AbortSignal
  /** Told of what came at once; empty: only a sign of life, every ten seconds. Must not throw. */
  onEvents(events: readonly ClusterEvent[]): void
}

/** A loop whose reader froze ends by itself after that time; a living one is begun anew. */
const lifetimeSeconds = 600
const beatTenths = 100
const soonTenths = 5
const seldomTenths = 10
/** A longer line is no event of ours. */
const longestLine = 2_000

/** Listens for news until the signal, or until the loop there has lived its time. Throws where it broke off. */
export async function listenForEvents(reach: Reach, { signal, onEvents }: Listening): Promise<void> {
  if (signal.aborted) return
  const open = new PassThrough()
  const read = createEventReader()
  const running = reach.run({
    text: eventsProgram,
    lines: [eventsDirectory(reach.root), ...[lifetimeSeconds * 10, beatTenths, soonTenths, seldomTenths].map(String)],
    rest: open,
    deadline: (lifetimeSeconds + 60) * 1000,
    onStdout(bytes) {
      const events = read(bytes)
      if (events !== null && !signal.aborted) onEvents(events)
    },
  })
  const stopped = Promise.withResolvers<null>()
  const stop = () => {
    open.end()
    stopped.resolve(null)
  }
  signal.addEventListener('abort', stop, { once: true })
  // The loop ends a moment after its input; nobody needs to wait for that.
  running.catch(() => {})
  try {
    const answer = await Promise.race([running, stopped.promise])
    if (answer !== null && answer.rc !== 0) throw notWhole(reach.name, 'nobody can listen for news there', answer)
  } finally {
    signal.removeEventListener('abort', stop)
    open.end()
  }
}

/** From what the loop prints, in whatever pieces, to events; null where no line has come to its end. Lines that are not as our loop writes them say nothing. */
export function createEventReader(): (bytes: Buffer) => ClusterEvent[] | null {
  const decoder = new StringDecoder('utf8')
  let pending = ''
  return bytes => {
    const lines = (pending + decoder.write(bytes)).split('\n')
    pending = (lines.pop() ?? '').slice(0, longestLine)
    return lines.length === 0 ? null : lines.flatMap(line => readEvent(line) ?? [])
  }
}

const shape = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d{1,7})\.(start|end|progress)(?: (.{0,1000}))?$/s

function readEvent(line: string): ClusterEvent | null {
  if (line.length >= longestLine) return null
  const [, attemptId, task = '', kind, text = ''] = shape.exec(line) ?? []
  if (attemptId === undefined || (text !== '' && kind !== 'progress')) return null
  return { kind: kind as ClusterEvent['kind'], attemptId, task: Number(task), text }
}
