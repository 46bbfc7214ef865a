import { setImmediate } from 'node:timers/promises'
import { UnreadableError } from '../errors.ts'
import type { AccountingRow, ExitRecord, QueueRow, Seen } from '../model/observation.ts'
import { type Dialect, sectionMark } from '../scheduler/dialect.ts'
import { onOurClock, takeClock } from './clock.ts'
import type { Round, WatchedAttempt } from './contract.ts'
import { attemptOfName, jobName } from './layout.ts'
import { arrayTasks, rowsByTask, type TaskFiles } from './observe-array.ts'
import { pastProgram, queueProgram } from './observe-program.ts'
import { notWhole, type Reach } from './reach.ts'
import { listAttempts, listTasks } from './watched.ts'

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
  const looked = dialect.commandsPerLook ?? 1
  reach.count(looked)
  if (answer.rc !== 0) throw notWhole(reach.name, 'the queue could not be read', answer)
  const at = reach.now()
  const { ahead, rest } = takeClock(reach.name, answer.stdout, asked, at)
  const queue = new Map<string, QueueRow>()
  const arrays = new Map<string, QueueRow[]>()
  const others = new Set<string>()
  await inTurns(reach, dialect.readQueue(rest), row => {
    const attempt = byName.get(row.name)
    if (attempt === undefined) {
      const id = attemptOfName(row.name)
      if (id !== null && row.state !== 'ended' && row.state !== 'completing') others.add(id)
      return
    }
    // A native id with another name is a stranger; our name with another id is a copy, which the fence ends.
    if (attempt.nativeId !== null && row.nativeId !== attempt.nativeId) return
    if (attempt.tasks === undefined) queue.set(attempt.id, row)
    else push(arrays, attempt.id, row)
  })

  // Of arrays only the tasks that the queue does not show under way.
  const gone: WatchedAttempt[] = []
  const inQueue = new Map<string, ReadonlyMap<number, QueueRow>>()
  for (const attempt of attempts) {
    if (attempt.tasks === undefined) {
      if (hasLeft(queue.get(attempt.id))) gone.push(attempt)
      continue
    }
    const rows = rowsByTask(attempt.tasks, arrays.get(attempt.id) ?? [])
    inQueue.set(attempt.id, rows)
    const left = attempt.tasks.filter(task => hasLeft(rows.get(task.index)))
    if (left.length > 0) gone.push({ ...attempt, tasks: left })
  }
  const past = gone.length === 0 ? nothing : await readPast(reach, programs.past, gone, facts.accounting)

  const seen = new Map<string, Seen>()
  const tasks = new Map<string, ReadonlyMap<number, Seen>>()
  const goneTasks = new Map(gone.map(attempt => [attempt.id, attempt]))
  for (const attempt of attempts) {
    const gone = goneTasks.get(attempt.id)
    if (attempt.tasks !== undefined) {
      const seenTasks = arrayTasks(attempt.tasks, gone?.tasks ?? [], inQueue.get(attempt.id)!, {
        silent: past.silent,
        accounting: facts.accounting,
        queue: past.queue.get(attempt.id) ?? [],
        accounted: past.accounting.get(attempt.id) ?? [],
        files: past.files.get(attempt.id),
        nativeId: attempt.nativeId,
        claimedBy: past.claims.get(attempt.id) ?? null,
      })
      tasks.set(attempt.id, new Map([...seenTasks].map(([index, found]) => [index, onOurClock(found, ahead)])))
      continue
    }
    const files = past.files.get(attempt.id)?.get(0)
    // Accounting is away and the job left no exit file: nothing is known of it, which is not the same as a miss.
    if (past.silent && gone !== undefined && files?.exit === undefined) continue
    const found: Seen = {
      queue: queue.get(attempt.id) ?? past.queue.get(attempt.id)?.at(-1) ?? null,
      accounting: facts.accounting ? (past.accounting.get(attempt.id)?.at(-1) ?? null) : 'off',
      exit: files?.exit ?? null,
      started: files?.started ?? null,
    }
    seen.set(attempt.id, onOurClock(found, ahead))
  }
  return { at, seen, tasks, others, commands: looked + (gone.length > 0 && facts.accounting ? 1 : 0) }
}

function hasLeft(row: QueueRow | undefined): boolean {
  return row === undefined || row.state === 'ended' || row.state === 'completing'
}

function push<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}

interface Past {
  /** Accounting did not answer: only the jobs' own files say something. */
  readonly silent: boolean
  readonly queue: Map<string, QueueRow[]>
  readonly accounting: Map<string, AccountingRow[]>
  /** By attempt, then by task: 0 where it is no array. */
  readonly files: Map<string, Map<number, TaskFiles>>
  /** Which copy of an array runs, by attempt. */
  readonly claims: Map<string, string>
}

const nothing: Past = { silent: false, queue: new Map(), accounting: new Map(), files: new Map(), claims: new Map() }

async function readPast(
  reach: Reach,
  text: string,
  gone: readonly WatchedAttempt[],
  accounting: boolean,
): Promise<Past> {
  const { dialect, root } = reach
  const ask = accounting || dialect.pastWithoutAccounting
  const tasks = listTasks(reach, gone)
  const answer = await reach.run({
    text,
    lines: [root, ask ? 'yes' : 'no', tasks === '' ? 'no' : 'yes'],
    rest: tasks === '' ? listAttempts(reach, gone) : `${listAttempts(reach, gone)}\n${tasks}`,
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
  const past: Past = { silent, queue: new Map(), accounting: new Map(), files: new Map(), claims: new Map() }
  const byName = new Map(gone.map(attempt => [jobName(attempt.id), attempt]))
  await inTurns(reach, silent ? [] : dialect.readPast(answer.stdout.slice(0, split)), ({ kind, row }) => {
    const attempt = byName.get(row.name)
    if (attempt === undefined || attempt.nativeId === null || row.nativeId !== attempt.nativeId) return
    if (kind === 'accounting') push(past.accounting, attempt.id, row)
    else push(past.queue, attempt.id, row)
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
  const found = /^(\d+) (started|exit)\.(\d{1,7}|array) (\S+) (\d{1,10})(?: (\d{1,3}) (\d{1,10}))?$/.exec(record)
  if (found === null) return
  const [, n, file, task, nativeId = '', first, second, third] = found
  const attempt = gone[Number(n)]
  if (attempt === undefined || !dialect.nativeId.test(nativeId)) return
  // A number that no column holds would keep the whole round from being written, for all other jobs too.
  if (file === 'exit' && Number(first) > mostRestarts) return
  if (task === 'array') {
    if (file === 'started' && second === undefined) past.claims.set(attempt.id, nativeId)
    return
  }
  const known = past.files.get(attempt.id) ?? new Map<number, TaskFiles>()
  past.files.set(attempt.id, known)
  const before = known.get(Number(task)) ?? {}
  if (file === 'started' && second === undefined) {
    known.set(Number(task), { ...before, started: { nativeId, at: new Date(Number(first) * 1000) } })
  } else if (file === 'exit' && second !== undefined) {
    const exit = {
      nativeId,
      restarts: Number(first),
      code: Number(second),
      at: new Date(Number(third) * 1000),
      ...readEnded(rest),
    }
    known.set(Number(task), { ...before, exit })
  }
}

/** What the wrapper adds where it ended the job itself (scheduler/watch.ts). */
function readEnded([kind, first = '', ...more]: readonly string[]): Pick<ExitRecord, 'ended'> {
  if (kind === 'stalled' && /^\d{1,9}$/.test(first)) return { ended: { kind, seconds: Number(first) } }
  if (kind === 'signaled' && /^[A-Z0-9]{1,10}$/.test(first)) return { ended: { kind, signal: first } }
  if (kind === 'reached') return { ended: { kind } }
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
