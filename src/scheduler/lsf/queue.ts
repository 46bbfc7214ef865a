import { UnreadableError } from '../../errors.ts'
import type { ClusterFacts, QueueRow } from '../../model/observation.ts'
import { sectionMark } from '../dialect.ts'
import { readEnding, readState, readTerm } from './states.ts'
import { readHead, readHosts, readName, readTime, show } from './values.ts'

/**
 * The answer of `scheduler_queue`: a head line, bjobs in one of its forms, then sections.
 *
 *     LSF full <now>    bjobs -o '…' -json of IBM Spectrum LSF 10.1
 *     LSF short <now>   the same with the few fields that LSF-compatible systems know
 *     LSF wide <now>    bjobs -w, where there is no -json
 *     LSF none <now>    no job of ours, in bjobs' own words
 */
export const fullFields =
  'jobid jobindex stat queue job_name exec_host submit_time start_time finish_time exit_code exit_reason pend_reason'
export const shortFields = 'jobid stat queue job_name exec_host submit_time start_time finish_time'

export function* readQueue(text: string): Generator<QueueRow> {
  const [list = '', ...sections] = text.split(sectionMark)
  const { form, now, rest } = readHead(list)
  const section = (name: string) => sections.find(one => one.startsWith(`${name}\n`))?.slice(name.length + 1) ?? ''
  const reasons = readPending(section('pending'))
  let rows = 0
  for (const record of form === 'wide' ? wideRecords(rest) : form === 'none' ? [] : jsonRecords(rest)) {
    rows++
    const row = toRow(record, now, reasons)
    if (row !== null) yield row
  }
  if (!['full', 'short', 'wide', 'none'].includes(form)) throw new UnreadableError(`bjobs has no form ${show(form)}`)
  if (rows === 0 && !/^ +MBD_SLEEP_TIME = \d+/m.test(section('ping')))
    throw new UnreadableError(`bjobs lists no job and mbatchd does not answer: ${show(rest.trim())}`)
}

type LsfRecord = Readonly<Record<string, string>>

/** `{"COMMAND":"bjobs","JOBS":2,"RECORDS":[…]}`; notices such as `Cannot connect to LSF. Please wait ...` may stand around it. */
function jsonRecords(text: string): LsfRecord[] {
  const from = text.search(/^\{/m)
  let answer: unknown
  try {
    answer = JSON.parse(text.slice(from === -1 ? text.length : from, text.lastIndexOf('}') + 1))
  } catch (error) {
    throw new UnreadableError(`bjobs did not answer in JSON: ${show(text.trim())}`, { cause: error })
  }
  const { JOBS: count, RECORDS: records } = answer as { JOBS?: unknown; RECORDS?: unknown }
  if (!Array.isArray(records) || count !== records.length || !records.every(isRecord))
    throw new UnreadableError(`bjobs counts ${show(String(count))} jobs and lists others: ${show(text.trim())}`)
  return records.filter(record => {
    const error = record.ERROR
    if (error === undefined) return true
    // `Job <36> is not found` is what it says of a name or an id that it has forgotten.
    if (/is not found|No (?:unfinished|matching) job/.test(error)) return false
    throw new UnreadableError(`bjobs: ${show(error)}`)
  })
}

function isRecord(value: unknown): value is LsfRecord {
  return typeof value === 'object' && value !== null && Object.values(value).every(one => typeof one === 'string')
}

/** `bjobs -w`: names whole, hosts by colons. Rows of ours only have single words before the name, so they are found by it. */
function wideRecords(text: string): LsfRecord[] {
  const lines = text.split('\n')
  if (lines.pop() !== '')
    throw new UnreadableError(`the list of bjobs ends in the middle of a line: ${show(text.slice(-120))}`)
  const head = lines.findIndex(line =>
    /^JOBID +USER +STAT +QUEUE +FROM_HOST +EXEC_HOST +JOB_NAME +SUBMIT_TIME/.test(line),
  )
  if (head === -1) throw new UnreadableError(`bjobs answered without its head line: ${show(text.trim())}`)
  return lines.slice(head + 1).flatMap(line => {
    const found = /^(\d+) +\S+ +([A-Z_]+) +(\S+) +(?:\S+) +(\S+) +(compops-\S+) +(\S.*?) *$/.exec(line)
    if (found === null) {
      if (/ compops-[0-9a-f]{8}-/.test(line)) throw new UnreadableError(`not a line of bjobs: ${show(line)}`)
      return []
    }
    const [, JOBID = '', STAT = '', QUEUE = '', EXEC_HOST = '', JOB_NAME = '', SUBMIT_TIME = ''] = found
    return [{ JOBID, STAT, QUEUE, EXEC_HOST, JOB_NAME, SUBMIT_TIME }]
  })
}

/** `bjobs -p`: a line of a job, below it lines ` <reason>: 1 host;`. By id, or id and index. */
function readPending(text: string): ReadonlyMap<string, string> {
  const reasons = new Map<string, string>()
  let key: string | null = null
  for (const line of text.split('\n')) {
    const job = /^(\d+) .* (?:compops-[0-9a-f-]{36}|\*?[0-9a-f-]*)(?:\[(\d+)\])? +[A-Z][a-z]{2} +\d/.exec(line)
    if (job !== null) key = keyOf(job[1]!, job[2] === undefined ? null : Number(job[2]))
    else if (key !== null && /^ \S/.test(line)) reasons.set(key, `${reasons.get(key) ?? ''}${line.trim()} `)
    else key = null
  }
  return reasons
}

const keyOf = (id: string, index: number | null) => (index === null ? id : `${id}[${index}]`)

function toRow(record: LsfRecord, now: Date, reasons: ReadonlyMap<string, string>): QueueRow | null {
  const named = readName(record.JOB_NAME ?? '')
  if (named === null) return null
  const id = record.JOBID ?? ''
  const word = record.STAT ?? ''
  if (!/^\d{1,10}$/.test(id) || !/^[A-Z_]{1,20}$/.test(word))
    throw new UnreadableError(`not a job of LSF: ${show(JSON.stringify(record))}`)
  const index = named.index ?? (Number(record.JOBINDEX ?? 0) || null)
  const state = readState(word)
  const startAt = readTime(record.START_TIME ?? '', now)
  const nodes = readHosts(record.EXEC_HOST ?? '')
  const code = /^\d{1,3}$/.exec(record.EXIT_CODE ?? '')?.[0]
  const term = readTerm(record.EXIT_REASON ?? '')
  const reason = state === 'ended' ? term : (record.PEND_REASON || reasons.get(keyOf(id, index)) || '').trim()
  return {
    nativeId: id,
    tasks: index === null ? null : [{ from: index, to: index, step: 1 }],
    name: named.name,
    state,
    nativeState: word,
    verdict:
      word === 'DONE'
        ? 'completed'
        : word === 'EXIT'
          ? readEnding({
              term,
              exitCode: code === undefined ? null : Number(code),
              started: startAt !== null || nodes.length > 0,
            })
          : null,
    reason: reason === '' || reason === '-' ? null : reason,
    queue: record.QUEUE || null,
    submittedAt: readTime(record.SUBMIT_TIME ?? '', now),
    startAt,
    // Of one that runs it is when its limit is reached.
    endAt: state === 'ended' ? readTime(record.FINISH_TIME ?? '', now) : null,
    nodes,
    restarts: 0,
  }
}

/** The answer of `scheduler_probe`: lsid, bparams -l, and whether there is bhist. */
export function readFacts(text: string): ClusterFacts {
  const version =
    /^IBM (?:Spectrum|Platform) LSF .*?(\d+\.\d+[\d.]*)/m.exec(text)?.[1] ??
    /^(?:Platform LSF|LSF) .*?(\d+\.\d+[\d.]*)/m.exec(text)?.[1] ??
    /^(\w+ (?:project )?\d+\.\d+[\d.]*),/m.exec(text)?.[1]
  const clean = /^ *CLEAN_PERIOD *= *(\d+)/m.exec(text)?.[1]
  if (version === undefined || clean === undefined)
    throw new UnreadableError(
      `${version === undefined ? 'lsid does not say the version' : 'bparams does not say CLEAN_PERIOD'}: ${show(text.trim())}`,
    )
  return {
    version: `lsf ${version}`,
    accounting: /^history yes$/m.test(text),
    // lsb.params(5): seconds that bjobs knows a job after its end.
    remembers: Number(clean),
    nativeDependencies: true,
    maxArraySize: Number(/^ *MAX_JOB_ARRAY_SIZE *= *(\d+)/m.exec(text)?.[1] ?? 1000),
  }
}
