import type { ClusterEvent } from '../cluster/cluster.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError, toError } from '../errors.ts'
import type { Progress } from '../model/observation.ts'
import { readProgress } from '../model/progress.ts'
import { transact } from '../store/open.ts'
import { isUnderWay, openAmong, writeProgress } from '../store/progress.ts'
import { touchRuns } from '../store/runs.ts'

/** Between two times that progress is written down: notes are not edited more often either. ms */
const progressEvery = 5_000
/** Where nobody can listen, and where somebody just did. ms */
const troubled = 600_000
const cut = 15_000

export interface Listened {
  /** When to listen again, in ms; null: when something is under way. */
  readonly again: number | null
}

/**
 * Beside step 4: hears what jobs of one account say of themselves, for as long as any is under way. Nothing is concluded from it: a start or an end
 * only hurries the poll, a progress is shown as what it is. What is lost, late or false changes no state.
 */
export async function listenToCluster(
  context: Context,
  connection: string,
  heard: (events: readonly ClusterEvent[]) => void,
  signal: AbortSignal,
): Promise<Listened> {
  if (!(await isUnderWay(context.db, connection))) return { again: null }
  const log = context.log.child({ step: 'listen', connection })
  const stop = new AbortController()
  const leave = () => stop.abort()
  signal.addEventListener('abort', leave, { once: true })
  const progress = gatherProgress(context, connection)
  // One after the other, so that what comes later is written later.
  let work = Promise.resolve()
  const began = context.clock.now().getTime()
  try {
    await context.clusterOf(connection).listen({
      signal: stop.signal,
      onEvents(events) {
        work = work.then(() => take(events)).catch(error => log.warn({ err: describeError(error) }, 'news are lost'))
      },
    })
    // One that ends at once would else be begun again and again.
    const short = !stop.signal.aborted && context.clock.now().getTime() - began < 60_000
    return { again: short ? cut : 0 }
  } catch (thrown) {
    const error = toError(thrown)
    if (!(error instanceof CompopsError)) throw error
    // A broken line is the poll's to tell; that a directory is unusable would be told by nobody else.
    const lasting = !('kind' in error)
    if (lasting) log.warn({ err: describeError(error) }, 'no news from there: its jobs are polled')
    return { again: lasting ? troubled : cut }
  } finally {
    signal.removeEventListener('abort', leave)
    stop.abort()
    await work
    await progress.stop()
  }

  async function take(events: readonly ClusterEvent[]): Promise<void> {
    if (!context.lease.held()) return stop.abort()
    if (events.length === 0) {
      if (!(await isUnderWay(context.db, connection))) stop.abort()
      return
    }
    const open = await openAmong(context.db, connection, [...new Set(events.map(event => event.attemptId))])
    const ours = events.filter(event => open.has(event.attemptId))
    progress.add(ours)
    const moved = ours.filter(event => event.kind !== 'progress')
    if (moved.length === 0) return
    heard(moved)
    context.wake.call(`news ${connection}`)
  }
}

/** The last word of each job, written together and not too often. */
function gatherProgress(context: Context, connection: string) {
  const said = new Map<string, Progress>()
  const stopping = new AbortController()
  let writing: Promise<void> | null = null

  async function write(): Promise<void> {
    const batch = new Map(said)
    said.clear()
    await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      await touchRuns(tx, await writeProgress(tx, connection, batch))
    })
    context.wake.call('compose')
    await context.clock.sleep(progressEvery, stopping.signal)
  }

  async function writeAll(): Promise<void> {
    while (said.size > 0 && !stopping.signal.aborted) await write()
  }

  return {
    add(events: readonly ClusterEvent[]): void {
      for (const { kind, attemptId, task, text } of events) {
        const read = kind === 'progress' ? readProgress(context.secrets.redact(text), task === 0 ? null : task) : null
        if (read !== null) said.set(attemptId, read)
      }
      if (said.size === 0 || writing !== null) return
      writing = writeAll()
        .catch(error => context.log.warn({ step: 'listen', connection, err: describeError(error) }, 'progress is lost'))
        .finally(() => {
          writing = null
        })
    },
    async stop(): Promise<void> {
      stopping.abort()
      await writing
    },
  }
}
