import { UnreadableError } from '../../errors.ts'
import type { ClusterFacts, QueueRow, TaskRange } from '../../model/observation.ts'
import { fieldMark, sectionMark } from '../dialect.ts'
import { type PbsJob, readIndices, readJobs } from './jobs.ts'
import { pbsStates, readEnd, unknownState } from './states.ts'
import { readCount, readHosts, readTime, show } from './values.ts'

/**
 * The answer of `scheduler_queue`: qstat of the account's jobs, and where it has none, what the server says of itself. Rows of strangers are
 * left out.
 */
export function* readQueue(text: string): Generator<QueueRow> {
  const section = text.indexOf(sectionMark)
  const list = section === -1 ? text : text.slice(0, section)
  if (/^PBS 0$/m.test(list)) requireServer(section === -1 ? '' : text.slice(section + 1))
  for (const job of readJobs(list)) yield* toRows(job)
}

/** An array that has begun speaks only of what has not: each of its subjobs that did has a row of its own, and so has one that may be requeued. */
function* toRows(job: PbsJob): Generator<QueueRow> {
  const { fields, array, subjob } = job
  const letter = fields.get('job_state')!
  const began = array && subjob === null && fields.has('stime')
  if (!began) yield toRow(job, subjob === null ? null : [{ from: subjob, to: subjob, step: 1 }])
  else if (letter !== 'F') {
    const waiting = readIndices(fields.get('array_indices_remaining') ?? '')
    if (waiting.length > 0) yield { ...toRow(job, waiting), state: 'queued', startAt: null }
  }
}

function toRow({ nativeId, fields }: PbsJob, tasks: readonly TaskRange[] | null): QueueRow {
  const letter = fields.get('job_state')!
  const state = pbsStates[letter] ?? unknownState
  const ran = fields.has('exec_host')
  return {
    nativeId,
    tasks,
    name: fields.get('Job_Name')!,
    state,
    nativeState: letter,
    verdict: state === 'ended' ? readEnd(fields).verdict : null,
    reason: state === 'queued' || state === 'held' ? reasonOf(fields) : null,
    queue: fields.get('queue') ?? null,
    submittedAt: readTime(fields.get('ctime')),
    startAt: ran ? readTime(fields.get('stime')) : estimate(fields.get('estimated.start_time')),
    endAt: state === 'ended' ? readTime(fields.get('obittime') ?? fields.get('mtime')) : null,
    nodes: readHosts(fields.get('exec_host')),
    // run_count also counts starts that never came to the script, while our exit file counts those that did: compared, an end could be taken
    // for that of an earlier start.
    restarts: 0,
  }
}

/** The scheduler's own words where there are some; else the letters of a hold, or what it waits for. */
function reasonOf(fields: ReadonlyMap<string, string>): string | null {
  const holds = fields.get('Hold_Types') ?? 'n'
  const depend = fields.get('depend')
  if (fields.get('job_state') === 'H' && holds === 's' && depend !== undefined && /(?:^|,)after/.test(depend))
    return 'Dependency'
  if (fields.get('job_state') === 'H' && /^[uosp]+$/.test(holds)) return `Hold_Types=${holds}`
  if (fields.get('job_state') === 'W') return 'Execution_Time'
  const comment = fields.get('comment') ?? ''
  return /^(?:Not Running|Can Never Run)\b/i.test(comment) ? comment.slice(0, 300) : null
}

/** Where the site has the scheduler estimate: a time as others, or seconds since 1970. */
function estimate(text: string | undefined): Date | null {
  if (text === undefined) return null
  if (/^\d{9,11}$/.test(text)) return new Date(Number(text) * 1000)
  return readTime(text)
}

function requireServer(text: string): void {
  if (!/(?:^|\x1f)server_state=(?!Terminating)\S/m.test(text))
    throw new UnreadableError(`the queue is empty and the server does not say that it is up: ${show(text.trim())}`)
}

/**
 * The answer of `scheduler_probe`: `qstat -B -f -F dsv`. History is what PBS has for accounting: ended jobs are shown by `qstat -x` for two
 * weeks, or what job_history_duration says (pbs_server_attributes(7B)).
 */
export function readFacts(text: string): ClusterFacts {
  const line = text.split('\n').find(row => row.startsWith('Server: ')) ?? ''
  const fields = new Map(
    line.split(fieldMark).flatMap(pair => {
      const equals = pair.indexOf('=')
      return equals === -1 ? [] : [[pair.slice(0, equals), pair.slice(equals + 1)] as const]
    }),
  )
  const version = fields.get('pbs_version')
  if (version === undefined || !/^\d/.test(version))
    throw new UnreadableError(`qstat -B does not say the version of PBS: ${show(text.trim())}`)
  return {
    version: `pbs ${version.slice(0, 60)}`,
    accounting: fields.get('job_history_enable') === 'True',
    // The queue forgets at once. A file that a node has just written is seen from here when a client's memory of the directory ends: nfs(5), acdirmax.
    remembers: 60,
    nativeDependencies: false,
    maxArraySize: readCount(fields.get('max_array_size')) ?? 10_000,
  }
}
