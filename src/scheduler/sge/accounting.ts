import { UnreadableError } from '../../errors.ts'
import type { AccountingRow, Verdict } from '../../model/observation.ts'
import { readDuration, readEpoch, readNumber, readSize, show } from './values.ts'

/**
 * Lines of the accounting file, accounting(5): 45 fields with colons between. The file and not qacct(1), which takes one job or one pattern a
 * call, reads the whole file for it and prints local times: of 500,000 records (143 MB) it took 0.2 s of processor for each job, while a hundred
 * jobs of yesterday are found in the end of the file in 0.2 s together.
 */
export function* readAccounting(text: string): Generator<AccountingRow> {
  const used = new Map<string, Used>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const record = readRecord(line)
    // What a parallel job started on its nodes has records of its own: their use is the job's, their end is not.
    const key = `${record.id}.${record.task}`
    const before = used.get(key) ?? { cpu: 0, rss: 0 }
    const all = { cpu: before.cpu + record.cpu, rss: Math.max(before.rss, record.rss) }
    if (record.slave) used.set(key, all)
    else {
      used.delete(key)
      yield toRow(record, all)
    }
  }
}

interface Used {
  readonly cpu: number
  /** Bytes. */
  readonly rss: number
}

const fieldCount = 45
/** The category, `-l h_rt=60 -pe smp 4`, may hold colons itself: what stands behind it is counted from the end. */
const category = 39
const behind = fieldCount - category - 1

function readRecord(line: string) {
  const all = line.split(':')
  if (all.length < fieldCount) throw new UnreadableError(`not a record of Grid Engine's accounting: ${show(line)}`)
  const head = all.slice(0, category)
  const tail = all.slice(-behind)
  const field = (n: number) => head[n - 1]!
  if (!/^\d{1,10}$/.test(field(6))) throw new UnreadableError(`a record of accounting without a job: ${show(line)}`)
  return {
    queue: field(1),
    host: field(2),
    name: field(5),
    id: field(6),
    submittedAt: readEpoch(field(9)),
    startedAt: readEpoch(field(10)),
    endedAt: readEpoch(field(11)),
    failed: readNumber(field(12)),
    exit: readNumber(field(13)),
    /** ru_maxrss is in KiB on Linux (getrusage(2)), although qacct prints it as bytes. */
    rss: readNumber(field(17)) * 1024,
    project: field(32),
    slots: readNumber(field(35)),
    task: readNumber(field(36)),
    cpu: readNumber(field(37)),
    category: all.slice(category, -behind).join(':'),
    slave: tail[1] !== 'NONE' && tail[1] !== '',
    maxVmem: readNumber(tail[2]!),
  }
}

type Record = ReturnType<typeof readRecord>

function toRow(record: Record, used: Used): AccountingRow {
  const { startedAt, endedAt, failed, exit, slots, task } = record
  const verdict = verdictOf(record)
  // One that never started has codes of Grid Engine's own.
  const ran = startedAt !== null && verdict !== 'never started'
  return {
    nativeId: record.id,
    tasks: task === 0 ? null : [{ from: task, to: task, step: 1 }],
    name: record.name,
    nativeState: inWords(failed, exit),
    verdict,
    exitCode: ran && (failed === 0 || exit !== 0) ? exit : null,
    // 137 of a script that ended by itself is its exit code.
    signal: ran && failed !== 0 && exit > 128 && exit <= 128 + 64 ? exit - 128 : null,
    queue: record.queue || null,
    account: record.project === 'NONE' ? null : record.project,
    submittedAt: record.submittedAt,
    startedAt: ran ? startedAt : null,
    endedAt,
    nodes: record.host === '' ? [] : [record.host],
    cpus: slots,
    cpuSeconds: used.cpu,
    elapsedSeconds: ran && endedAt !== null ? (endedAt.getTime() - startedAt.getTime()) / 1000 : null,
    maxRss: used.rss === 0 ? null : used.rss,
    requestedTres: null,
    allocatedTres: `cpu=${slots}`,
  }
}

const xcpu = 128 + 24
const usr1 = 128 + 10

/** By the field `failed`, sge_status(5). */
function verdictOf(record: Record): Verdict | null {
  const { failed, exit } = record
  switch (failed) {
    case 0:
      return exit === 0 ? 'completed' : 'exit'
    // It will be started again: this record is of an earlier start.
    case 24:
    case 25:
      return null
    case 30:
    case 17:
      return 'exit'
    case 37:
      return memoryExceeded(record) ? 'memory' : 'timeout'
    case 100:
      if (exit <= 128) return 'node'
      if (exit === xcpu || (exit === usr1 && limit(record, 's_rt') !== null)) return 'timeout'
      return memoryExceeded(record) ? 'memory' : 'exit'
    default:
      return neverStarted.has(failed) ? 'never started' : 'node'
  }
}

/** Up to and with the prolog, the parallel environment's start, and the first steps of the script. */
const neverStarted: ReadonlySet<number> = new Set([
  1, 3, 4, 6, 7, 8, 9, 10, 11, 21, 26, 27, 28, 29, 31, 32, 33, 34, 35, 36, 38,
])

const words: Readonly<globalThis.Record<number, string>> = {
  1: 'before job',
  8: 'in prolog',
  10: 'in pestart',
  13: 'in pestop',
  15: 'in epilog',
  18: 'the shepherd returned an error',
  19: 'before writing exit_status',
  25: 'rescheduling',
  26: 'opening its output file',
  27: 'searching its shell',
  28: 'changing into its working directory',
  30: 'application error returned',
  37: 'h_rt, h_cpu or h_vmem limit',
  100: 'after job',
}

function inWords(failed: number, exit: number): string {
  if (failed === 0) return `exit_status ${exit}`
  const word = words[failed]
  return `failed ${failed}${word === undefined ? '' : ` (${word})`}, exit_status ${exit}`
}

/** What the job asked for by `-l`, as the category repeats it. */
function limit({ category }: Record, name: string): string | null {
  return new RegExp(`(?:^-l | -l |,)${name}=([^, ]+)`).exec(category)?.[1] ?? null
}

/** h_vmem counts for each slot. 37 and SIGKILL are also what becomes of a job that ran too long, which then used less. */
function memoryExceeded(record: Record): boolean {
  const size = readSize(limit(record, 'h_vmem') ?? '')
  if (size === null || record.maxVmem < size * record.slots) return false
  const time = readDuration(limit(record, 'h_rt') ?? '')
  const { startedAt, endedAt } = record
  return (
    time === null || startedAt === null || endedAt === null || endedAt.getTime() - startedAt.getTime() < time * 1000
  )
}
