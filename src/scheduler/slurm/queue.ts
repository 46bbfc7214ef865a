import { UnreadableError } from '../../errors.ts'
import type { ClusterFacts, QueueRow } from '../../model/observation.ts'
import { fieldMark, recordMark, sectionMark } from '../dialect.ts'
import { readState } from './states.ts'
import { readId, readNodes, readTime, show } from './values.ts'

/**
 * Fields of squeue(1) `-o`, in order; the name last, since a stranger on the same account may put anything into one. `-O` would also know the
 * restart count, but before 22.05 it cuts every field at 20 characters. `--json` is eight times as large.
 */
export const queueFormat = ['%i', '%T', '%r', '%P', '%V', '%S', '%e', '%N', '%j'] as const
const head = ['JOBID', 'STATE', 'REASON', 'PARTITION', 'SUBMIT_TIME', 'START_TIME', 'END_TIME', 'NODELIST', 'NAME']

/** Our name, alone or with something behind it that we must understand. */
const ours = /^compops-[0-9a-f-]{36}(?=\n|$)/

/**
 * The answer of `scheduler_queue`: squeue with its head line, and where no job was listed, the answer to `scontrol ping`. Rows of strangers are
 * left out. Slurm prints the head only after the controller answered, so an answer without one is not an empty queue.
 */
export function* readQueue(text: string): Generator<QueueRow> {
  const section = text.indexOf(sectionMark)
  const list = section === -1 ? text : text.slice(0, section)
  let from = list.indexOf(recordMark)
  const before = from === -1 ? list : list.slice(0, from)
  if (before.split('\n').some(line => !isNotice(line)))
    throw new UnreadableError(`squeue began with something else than its list: ${show(before.trim())}`)
  let first = true
  let rows = 0
  while (from !== -1) {
    const next = list.indexOf(recordMark, from + 1)
    const record = list.slice(from + 1, next === -1 ? undefined : next)
    from = next
    const fields = record.split(fieldMark)
    if (first) {
      if (fields.length !== head.length || fields.some((field, i) => field.trim() !== head[i]))
        throw new UnreadableError(`squeue answered without its head line: ${show(record.trim())}`)
      first = false
      continue
    }
    rows++
    const row = readRow(record, fields)
    if (row !== null) yield row
  }
  if (first) throw new UnreadableError(`squeue answered without its head line: ${show(list.trim())}`)
  if (rows === 0) requirePing(section === -1 ? '' : text.slice(section + 1))
}

function readRow(record: string, fields: readonly string[]): QueueRow | null {
  const last = head.length - 1
  if (fields.length <= last) throw new UnreadableError(`a line of squeue was cut: ${show(record)}`)
  const [id = '', word = '', why = '', queue = '', submitted = '', start = '', end = '', nodes = ''] = fields
  const name = fields.slice(last).join(fieldMark)
  const named = ours.exec(name)?.[0]
  if (named === undefined) return null
  const trailing = name.slice(named.length).split('\n')
  if (trailing.some(line => !isNotice(line)))
    throw new UnreadableError(`squeue printed something else among its lines: ${show(trailing.join('\n').trim())}`)
  const reason = why === '' || why === 'None' || why === '(null)' ? null : why
  const state = readState(word, reason)
  return {
    ...readId(id),
    name: named,
    state: state.queue,
    nativeState: word,
    verdict: state.verdict,
    reason,
    queue: queue || null,
    submittedAt: readTime(submitted),
    startAt: readTime(start),
    endAt: readTime(end),
    nodes: readNodes(nodes),
    restarts: 0,
  }
}

/** Blank, or what Slurm's own tools say beside their answer. Anything else that stands among rows makes an answer unreadable. */
function isNotice(line: string): boolean {
  return (
    line.trim() === '' ||
    /^(?:squeue|sacct|scontrol|sbatch|scancel): (?:warning|info|debug\d?|verbose|lua): /i.test(line)
  )
}

/** With a backup controller, one line each: `Slurmctld(primary) at vm is UP`. One that is up is enough; the exit code differs by version. */
function requirePing(text: string): void {
  if (!/^Slurmctld\([a-z0-9 ]+\) at .* is UP\b/im.test(text))
    throw new UnreadableError(`the queue is empty and slurmctld does not say that it is up: ${show(text.trim())}`)
}

/** The answer of `scheduler_probe`: `scontrol --version` and `scontrol show config`. */
export function readFacts(text: string): ClusterFacts {
  const version = /^slurm(?:-wlm)? (\d+\.\d+\S*)$/m.exec(text)?.[1] ?? setting(text, 'SLURM_VERSION')
  const age = setting(text, 'MinJobAge')
  const storage = setting(text, 'AccountingStorageType')
  if (version === null || age === null || storage === null)
    throw new UnreadableError(
      `scontrol show config does not say ${version === null ? 'the version' : age === null ? 'MinJobAge' : 'AccountingStorageType'}: ${show(text.trim())}`,
    )
  return {
    version: `slurm ${version}`,
    // `(null)`, `accounting_storage/none` and the old `filetxt`: sacct knows nothing of batch jobs then.
    accounting: storage === 'accounting_storage/slurmdbd',
    remembers: Number.parseInt(age, 10),
    nativeDependencies: true,
    // slurm.conf(5): one more than the largest number of a task; 1001 where nothing is said.
    maxArraySize: Number.parseInt(setting(text, 'MaxArraySize') ?? '1001', 10),
  }
}

function setting(text: string, key: string): string | null {
  const found = new RegExp(`^${key}\\s*=\\s*(.*?)\\s*$`, 'm').exec(text)?.[1]
  return found === undefined || found === '' ? null : found
}
