import { UnreadableError } from '../../errors.ts'
import type { AccountingRow, Verdict } from '../../model/observation.ts'
import { fieldMark } from '../dialect.ts'
import { slurmStates } from './states.ts'
import { isId, readCount, readDuration, readId, readNodes, readSize, readTime, show } from './values.ts'

/** Columns of sacct(1). The name last, since it is the one that may hold anything. */
export const accountingColumns = [
  'JobID',
  'State',
  'ExitCode',
  'Partition',
  'Account',
  'Submit',
  'Start',
  'End',
  'ElapsedRaw',
  'NodeList',
  'AllocCPUS',
  'TotalCPU',
  'MaxRSS',
  'ReqTRES',
  'AllocTRES',
  'JobName',
] as const

type Columns = Readonly<Record<(typeof accountingColumns)[number], string>>

/** `sacct -n -P` with its steps: MaxRSS stands on `.batch` and step rows only, everything else on the job's own row, which comes first. */
export function* readAccounting(text: string): Generator<AccountingRow> {
  let job: Columns | null = null
  let steps: Columns[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    const row = readColumns(line)
    if (job !== null && row.JobID.startsWith(`${job.JobID}.`)) {
      steps.push(row)
      continue
    }
    if (job !== null) yield toRow(job, steps)
    if (!isId(row.JobID)) throw new UnreadableError(`sacct printed something else among its lines: ${show(line)}`)
    job = row
    steps = []
  }
  if (job !== null) yield toRow(job, steps)
}

function readColumns(line: string): Columns {
  const fields = line.split(fieldMark)
  const last = accountingColumns.length - 1
  if (fields.length <= last) throw new UnreadableError(`sacct printed something else among its lines: ${show(line)}`)
  const name = fields.slice(last).join(fieldMark)
  return Object.fromEntries(accountingColumns.map((column, i) => [column, i === last ? name : fields[i]!])) as Columns
}

function toRow(job: Columns, steps: readonly Columns[]): AccountingRow {
  // `CANCELLED by 1003` names who did it; the word alone is the state.
  const word = job.State.split(' ')[0]!
  const exit = readExit(job.ExitCode)
  const startedAt = readTime(job.Start)
  const nodes = readNodes(job.NodeList)
  const cpu = readDuration(job.TotalCPU)
  const sizes = [job, ...steps].map(row => readSize(row.MaxRSS)).filter(size => size !== null)
  const ran = nodes.length > 0
  const verdict = verdictOf(word, exit, ran)
  return {
    ...readId(job.JobID),
    name: job.JobName,
    nativeState: job.State,
    verdict,
    // 0:0 of a job that was cancelled or timed out is no exit code: the script never gave one.
    exitCode: exit.code === 0 && verdict !== 'completed' ? null : exit.code,
    signal: exit.signal,
    queue: job.Partition || null,
    account: job.Account || null,
    submittedAt: readTime(job.Submit),
    // A job that was cancelled while it waited has a Start (that of its end) and no nodes.
    startedAt: ran ? startedAt : null,
    endedAt: readTime(job.End),
    nodes,
    cpus: readCount(job.AllocCPUS),
    cpuSeconds: cpu,
    elapsedSeconds: readCount(job.ElapsedRaw),
    maxRss: sizes.length === 0 ? null : Math.max(...sizes),
    requestedTres: job.ReqTRES || null,
    allocatedTres: job.AllocTRES || null,
  }
}

interface Exit {
  readonly code: number | null
  readonly signal: number | null
  readonly raw: number
}

/** `code:signal`. An exit code above 128 is shown less 128 (139 is 11:0, seen on 22.05): the exit file knows better. Beside a signal the code says nothing; above 64 stand words of Slurm's own (125: out of memory), and 53 is one too. */
function readExit(text: string): Exit {
  const found = /^(\d+):(\d+)$/.exec(text)
  if (found === null) throw new UnreadableError(`not an exit code of Slurm: ${show(text)}`)
  const raw = Number(found[2])
  if (raw === 0) return { code: Number(found[1]), signal: null, raw }
  return { code: null, signal: raw === 53 || raw > 64 ? null : raw, raw }
}

function verdictOf(word: string, exit: Exit, ran: boolean): Verdict | null {
  const state = slurmStates[word]
  if (state === undefined || state.verdict === null) return null
  // 0:53: the working directory or the output file could not be opened, the script never began (recorded on 22.05).
  if (word === 'FAILED' && (exit.raw === 53 || !ran)) return 'never started'
  if (word === 'DEADLINE' && !ran) return 'never started'
  return state.verdict
}
