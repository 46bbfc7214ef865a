import type { AccountingRow, TaskRange } from '../../model/observation.ts'
import { type PbsJob, readJobs } from './jobs.ts'
import { readEnd } from './states.ts'
import { readCount, readDuration, readHosts, readSize, readTime } from './values.ts'

/** `qstat -x` of jobs that have left the queue: PBS keeps them as they ended, for as long as the site says. */
export function* readHistory(text: string): Generator<AccountingRow> {
  for (const job of readJobs(text)) {
    // An array that has begun is told of by its subjobs.
    if (job.array && job.subjob === null && job.fields.has('stime')) continue
    const row = toRow(job, job.subjob === null ? null : [{ from: job.subjob, to: job.subjob, step: 1 }])
    // That something has ended, and not how, is no record: the job's own file is waited for.
    if (row !== null) yield row
  }
}

function toRow({ nativeId, fields }: PbsJob, tasks: readonly TaskRange[] | null): AccountingRow | null {
  const letter = fields.get('job_state')!
  const end = letter === 'F' || letter === 'X' ? readEnd(fields) : null
  if (end !== null && end.verdict === null) return null
  const ran = fields.has('exec_host')
  const memory = readSize(fields.get('resources_used.mem'))
  const cpu = readDuration(fields.get('resources_used.cput'))
  const elapsed = readDuration(fields.get('resources_used.walltime'))
  return {
    nativeId,
    tasks,
    name: fields.get('Job_Name')!,
    nativeState: end === null ? letter : stateInWords(letter, fields),
    verdict: end?.verdict ?? null,
    exitCode: end?.exitCode ?? null,
    signal: end?.signal ?? null,
    queue: fields.get('queue') ?? null,
    account: fields.get('Account_Name') ?? null,
    submittedAt: readTime(fields.get('ctime')),
    startedAt: ran ? readTime(fields.get('stime')) : null,
    endedAt: end === null ? null : readTime(fields.get('obittime') ?? fields.get('mtime')),
    nodes: readHosts(fields.get('exec_host')),
    cpus: ran ? readCount(fields.get('resources_used.ncpus') ?? fields.get('Resource_List.ncpus')) : null,
    cpuSeconds: ran ? cpu : null,
    elapsedSeconds: ran && elapsed !== null ? Math.round(elapsed) : null,
    // Sampled by the execution daemon every few minutes: a short job shows 0.
    maxRss: ran && memory !== 0 ? memory : null,
    requestedTres: tres(fields),
    allocatedTres: null,
  }
}

/** `F, Exit_status=271`: the letter alone says nothing. */
function stateInWords(letter: string, fields: ReadonlyMap<string, string>): string {
  const status = fields.get('Exit_status')
  return status === undefined ? letter : `${letter}, Exit_status=${status.slice(0, 20)}`
}

/** What it asked for, as Slurm writes it. */
function tres(fields: ReadonlyMap<string, string>): string | null {
  const parts = [
    ['cpu', fields.get('Resource_List.ncpus')],
    ['mem', fields.get('Resource_List.mem')],
    ['node', fields.get('Resource_List.nodect')],
    ['gres/gpu', fields.get('Resource_List.ngpus')],
  ].flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
  return parts.length === 0 ? null : parts.join(',')
}
