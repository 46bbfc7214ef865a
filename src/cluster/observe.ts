import { setImmediate } from 'node:timers/promises'
import { UnreadableError } from '../errors.ts'
import type { AccountingRow, ExitRecord, QueueRow, Seen } from '../model/observation.ts'
import { type Dialect, sectionMark } from '../scheduler/dialect.ts'
import { onOurClock, takeClock } from './clock.ts'
import type { Round, WatchedAttempt } from './contract.ts'
import { jobName } from './layout.ts'
import { pastProgram, queueProgram } from './observe-program.ts'
import { notWhole, type Reach } from './reach.ts'
import { listAttempts } from './watched.ts'

/** A large answer may come slowly from a loaded login node. */
const roundDeadline = 120_000
/** Rows read between two turns of the event loop: some 3 ms. */
const turn = 1_000
const mostRestarts = 1_000_000

/**
 * One round: the queue, and for what has left it one command more for accounting and the files of the jobs. Whatever the number of attempts
 * it is these two. Throws where any part of it is not whole.
 */
export async function observeAttempts(reach: Reach, attempts: readonly WatchedAttempt[]): Promise<Round> {
  const { dialect } = reach
  const programs = programsOf(dialect)
  const facts = await reach.facts()
  const byName = new Map(attempts.map(attempt => [jobName(attempt.id), attempt]))

  const asked = reach.now()
  const answer = await reach.run({ text: programs.queue, lines: [], deadline: roundDeadline })
  reach.count(1)
  if (answer.rc !== 0) throw notWhole(reach.name, 'the queue could not be read', answer)
  const at = reach.now()
  const { ahead, rest } = takeClock(reach.name, answer.stdout, asked, at)
  const queue = new Map<string, QueueRow>()
  await inTurns(reach, dialect.readQueue(rest), row => {
    const attempt = byName.get(row.name)
    // A native id with another name is a stranger; our name with another id is a copy, which the fence ends.
    if (attempt !== undefined && (attempt.nativeId === null || row.nativeId === attempt.nativeId))
      queue.set(attempt.id, row)
  })

  const gone = attempts.filter(attempt => {
    const row = queue.get(attempt.id)
    return row === undefined || row.state === 'ended' || row.state === 'completing'
  })
  const past = gone.length === 0 ? nothing : await readPast(reach, programs.past, gone, facts.accounting)

  const seen = new Map<string, Seen>()
  const quiet = past.silent ? new Set(gone.map(attempt => attempt.id)) : null
  for (const attempt of attempts) {
    // Accounting is away and the job left no exit file: nothing is known of it, which is not the same as a miss.
    if (quiet?.has(attempt.id) === true && !past.exit.has(attempt.id)) continue
    const found: Seen = {
      queue: queue.get(attempt.id) ?? past.queue.get(attempt.id) ?? null,
      accounting: facts.accounting ? (past.accounting.get(attempt.id) ?? null) : 'off',
      exit: past.exit.get(attempt.id) ?? null,
      started: past.started.get(attempt.id) ?? null,
    }
    seen.set(attempt.id, onOurClock(found, ahead))
  }
  return { at, seen, commands: gone.length > 0 && facts.accounting ? 2 : 1 }
}

interface Past {
  /** Accounting did not answer: only the jobs' own files say something. */
  readonly silent: boolean
  readonly queue: Map<string, QueueRow>
  readonly accounting: Map<string, AccountingRow>
  readonly exit: Map<string, ExitRecord>
  readonly started: Map<string, NonNullable<Seen['started']>>
}

const nothing: Past = { silent: false, queue: new Map(), accounting: new Map(), exit: new Map(), started: new Map() }

async function readPast(
  reach: Reach,
  text: string,
  gone: readonly WatchedAttempt[],
  accounting: boolean,
): Promise<Past> {
  const { dialect, root } = reach
  const ask = accounting || dialect.pastWithoutAccounting
  const answer = await reach.run({
    text,
    lines: [root, ask ? 'yes' : 'no'],
    rest: listAttempts(reach, gone),
    deadline: roundDeadline,
  })
  if (accounting) reach.count(1)
  if (answer.rc !== 0)
    throw notWhole(
      reach.name,
      accounting ? 'accounting could not be read' : 'the job directories could not be read',
      answer,
    )
  // The first: what follows are first lines of files that the job's own user can write.
  const split = answer.stdout.indexOf(sectionMark)
  const head = answer.stdout.slice(split + 1, answer.stdout.indexOf('\n', split) + 1)
  if (split === -1 || (head !== '\n' && head !== 'silent\n'))
    throw new UnreadableError(`${reach.name}: the answer about ended jobs is not whole`, { transient: true })

  const silent = head === 'silent\n'
  const past: Past = { silent, queue: new Map(), accounting: new Map(), exit: new Map(), started: new Map() }
  const byName = new Map(gone.map(attempt => [jobName(attempt.id), attempt]))
  await inTurns(reach, silent ? [] : dialect.readPast(answer.stdout.slice(0, split)), ({ kind, row }) => {
    const attempt = byName.get(row.name)
    if (attempt === undefined || attempt.nativeId === null || row.nativeId !== attempt.nativeId) return
    if (kind === 'accounting') past.accounting.set(attempt.id, row)
    else past.queue.set(attempt.id, row)
  })
  const lines = answer.stdout.slice(split + 1 + head.length).split('\n')
  if (lines.pop() !== '' || lines.pop() !== `end ${gone.length}`)
    throw new UnreadableError(`${reach.name}: the list of the jobs' files is not whole`, { transient: true })
  await inTurns(reach, lines, line => readFile(dialect, line, gone, past))
  return past
}

/** `<number of the attempt> <file> <its first line>`. The job's own user can write there: what does not look as our wrapper writes it is no file of ours. */
function readFile(dialect: Dialect, line: string, gone: readonly WatchedAttempt[], past: Past): void {
  const [record = '', ...rest] = line.split('\t')
  const found = /^(\d+) (started|exit)\.0 (\S+) (\d{1,10})(?: (\d{1,3}) (\d{1,10}))?$/.exec(record)
  if (found === null) return
  const [, n, file, nativeId = '', first, second, third] = found
  const attempt = gone[Number(n)]
  if (attempt === undefined || !dialect.nativeId.test(nativeId)) return
  // A number that no column holds would keep the whole round from being written, for all other jobs too.
  if (file === 'exit' && Number(first) > mostRestarts) return
  if (file === 'started' && second === undefined) {
    past.started.set(attempt.id, { nativeId, at: new Date(Number(first) * 1000) })
  } else if (file === 'exit' && second !== undefined) {
    past.exit.set(attempt.id, {
      nativeId,
      restarts: Number(first),
      code: Number(second),
      at: new Date(Number(third) * 1000),
      ...readEnded(rest),
    })
  }
}

/** What the wrapper adds where it ended the job itself (scheduler/watch.ts). */
function readEnded([kind, first = '', ...more]: readonly string[]): Pick<ExitRecord, 'ended'> {
  if (kind === 'stalled' && /^\d{1,9}$/.test(first)) return { ended: { kind, seconds: Number(first) } }
  return kind === 'matched' ? { ended: { kind, pattern: first, line: more.join(' ') } } : {}
}

/** Ten thousand rows are read in a few turns of the event loop rather than in one. What cannot be read today may be readable tomorrow. */
async function inTurns<T>(reach: Reach, items: Iterable<T>, each: (item: T) => void): Promise<void> {
  let n = 0
  try {
    for (const item of items) {
      each(item)
      if (++n % turn === 0) await setImmediate()
    }
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error
    throw new UnreadableError(`${reach.name}: ${error.message}`, { transient: true, cause: error })
  }
}

const known = new WeakMap<Dialect, { queue: string; past: string }>()

function programsOf(dialect: Dialect): { queue: string; past: string } {
  const programs = known.get(dialect) ?? { queue: queueProgram(dialect.shell), past: pastProgram(dialect.shell) }
  known.set(dialect, programs)
  return programs
}
