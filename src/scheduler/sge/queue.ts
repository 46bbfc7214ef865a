import { UnreadableError } from '../../errors.ts'
import type { ClusterFacts, QueueRow, TaskRange } from '../../model/observation.ts'
import { sectionMark } from '../dialect.ts'
import { readState, stateAsReason } from './states.ts'
import { readDuration, readTag, readTime, show } from './values.ts'

/** Our name; `qstat -xml` gives it whole, where the list for people has ten letters of it. */
const ours = /^compops-[0-9a-f-]{36}$/

/**
 * The answer of `scheduler_queue`: `qstat -xml`, and behind the mark, where some of our jobs are in error, what `qstat -j` says of them. An
 * empty queue is a whole document too, which only a master that answers makes: the two ends of `job_info`, the inner and the outer, show it.
 */
export function* readQueue(text: string): Generator<QueueRow> {
  const section = text.indexOf(sectionMark)
  const xml = (section === -1 ? text : text.slice(0, section)).trim()
  if (!/^<\?xml[^>]*>\s*<job_info\b/.test(xml) || !/<\/job_info>\s*<\/job_info>$/.test(xml))
    throw new UnreadableError(`qstat -xml answered with no whole list of jobs: ${show(xml)}`)
  const errors = section === -1 ? new Map<string, string>() : readErrors(text.slice(section + 1))
  for (let from = xml.indexOf('<job_list'); from !== -1; ) {
    const end = xml.indexOf('</job_list>', from)
    if (end === -1) throw new UnreadableError('qstat -xml answered with a job that does not end')
    const row = readRow(xml.slice(from, end), errors)
    if (row !== null) yield row
    from = xml.indexOf('<job_list', end)
  }
}

function readRow(xml: string, errors: ReadonlyMap<string, string>): QueueRow | null {
  const name = readTag(xml, 'full_job_name') ?? readTag(xml, 'JB_name') ?? ''
  if (!ours.test(name)) return null
  const id = readTag(xml, 'JB_job_number') ?? ''
  const word = readTag(xml, 'state') ?? ''
  if (!/^\d{1,10}$/.test(id) || word === '')
    throw new UnreadableError(`a job of qstat -xml has no number or no state: ${show(xml)}`)
  const tasks = readTag(xml, 'tasks')
  // `all.q@node7`; empty while it waits.
  const [queue = '', host = ''] = (readTag(xml, 'queue_name') ?? '').split('@')
  const state = readState(word)
  return {
    nativeId: id,
    tasks: tasks === null ? null : readTasks(tasks),
    name,
    state: state.queue,
    nativeState: word,
    verdict: state.verdict,
    reason: state.verdict === 'never started' ? (errors.get(id) ?? null) : stateAsReason(word),
    queue: queue || null,
    submittedAt: readTime(readTag(xml, 'JB_submission_time') ?? ''),
    startAt: readTime(readTag(xml, 'JAT_start_time') ?? ''),
    endAt: null,
    nodes: host === '' ? [] : [host],
    restarts: state.restarts,
  }
}

/** `3`, `3,4`, `1-9:2,12`. */
export function readTasks(text: string): TaskRange[] {
  return text.split(',').map(part => {
    const found = /^(\d{1,9})(?:-(\d{1,9}))?(?::(\d{1,9}))?$/.exec(part)
    if (found === null) throw new UnreadableError(`not the tasks of an array: ${show(text)}`)
    const from = Number(found[1])
    return { from, to: Number(found[2] ?? from), step: Math.max(1, Number(found[3] ?? 1)) }
  })
}

/** `error reason 1: 11/20/2026 12:05:30 [1003:20387]: error: can't chdir to …`, of several tasks the first. */
function readErrors(text: string): Map<string, string> {
  const errors = new Map<string, string>()
  let id = ''
  for (const line of text.split('\n')) {
    id = /^job_number:\s+(\d{1,10})\s*$/.exec(line)?.[1] ?? id
    const said = /^error reason\s+\d+:\s+(.+)$/.exec(line)?.[1]
    if (said === undefined || errors.has(id)) continue
    const plain = said.replace(/^[\d/]+ [\d:.]+ /, '').replace(/^\[\d+:\d+\]: (?:error: )?/, '')
    errors.set(id, plain.trim().slice(0, 300))
  }
  return errors
}

/** Seconds that a file may lag behind on NFS (nfs(5), acregmax). */
const fileLag = 60

/**
 * The answer of `scheduler_probe`: the first line of `qstat -help`, `qconf -sconf` (sge_conf(5)), and whether the accounting file can be read. A job
 * leaves the queue with its end and comes into accounting when that is flushed, so `remembers` is how long both may be silent.
 */
export function readFacts(text: string): ClusterFacts {
  const version = /^version .*?(\d+(?:\.\d+)*\w*)\s*$/m.exec(text)?.[1]
  const conf = text.replace(/\\\n\s*/g, ' ')
  const tasks = /^max_aj_tasks\s+(\d{1,9})\s*$/m.exec(conf)?.[1]
  const reporting = /^reporting_params\s+(.+)$/m.exec(conf)?.[1]
  const file = /^accounting (readable|unreadable|missing)$/m.exec(text)?.[1]
  if (version === undefined || tasks === undefined || reporting === undefined || file === undefined)
    throw new UnreadableError(`qconf -sconf does not describe a Grid Engine: ${show(text.trim())}`)
  const flush = /\baccounting_flush_time=([\d:]+)/.exec(reporting)?.[1] ?? /\bflush_time=([\d:]+)/.exec(reporting)?.[1]
  return {
    version: `sge ${version}`,
    // On a new cell there is no file before the first job has ended.
    accounting: /\baccounting=(?:true|1)\b/.test(reporting) && file !== 'unreadable',
    remembers: fileLag + (readDuration(flush ?? '') ?? 15),
    // -hold_jid waits for an end, however that was: there is no afterok.
    nativeDependencies: false,
    maxArraySize: Number(tasks) === 0 ? null : Number(tasks),
  }
}
