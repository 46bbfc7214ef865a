import { UnreadableError } from '../../errors.ts'
import type { TaskRange } from '../../model/observation.ts'
import { fieldMark, recordMark } from '../dialect.ts'
import { show } from './values.ts'

/**
 * What qstat says of jobs, as `pbs_stat` of shell.ts hands it on: `PBS <how many were asked for>`, a record for each job with its fields as
 * `name=value`, and `end <exit code of qstat>`.
 *
 * qstat is asked for `-F dsv` with a control character as delimiter. JSON is one document: one value that an older qstat forgot to escape, in
 * anybody's Variable_List, makes all of it unreadable, and a value that looks like a number becomes one. In dsv control characters of values are written as
 * `^X`, so that no value can end its field, and what is unreadable is one row. The variables of the account are left behind on the cluster.
 */
export interface PbsJob {
  /** Of the whole array where it is one of its subjobs. */
  readonly nativeId: string
  readonly subjob: number | null
  readonly array: boolean
  readonly fields: ReadonlyMap<string, string>
}

/** Fields that are read of the queue; the shell text leaves all others on the cluster. */
export const queueFields = [
  'Job_Name',
  'job_state',
  'substate',
  'queue',
  'ctime',
  'stime',
  'mtime',
  'obittime',
  'exec_host',
  'Hold_Types',
  'depend',
  'comment',
  'Exit_status',
  'estimated.start_time',
  'array_indices_remaining',
] as const

/** … and of what has left it. */
export const historyFields = [
  ...queueFields,
  'Account_Name',
  'resources_used.cput',
  'resources_used.mem',
  'resources_used.walltime',
  'resources_used.ncpus',
  'Resource_List.ncpus',
  'Resource_List.nodect',
  'Resource_List.mem',
  'Resource_List.ngpus',
] as const

/** Our name, alone. */
const ours = /^compops-[0-9a-f-]{36}$/

/** Jobs with a name of ours. Throws where the answer is not whole. */
export function* readJobs(text: string): Generator<PbsJob> {
  const [head = '', ...records] = text.split(recordMark)
  if (!/^PBS \d+\n$/.test(head))
    throw new UnreadableError(`qstat began with something else than its list: ${show(text.trim())}`)
  if (records.length === 0) throw new UnreadableError('qstat answered without its end')
  const tail = records.pop()!
  if (!/^end \d{1,3}\n+$/.test(tail)) throw new UnreadableError(`the list of qstat was cut: ${show(tail)}`)
  for (const record of records) {
    const job = readJob(record)
    if (job !== null) yield job
  }
}

function readJob(record: string): PbsJob | null {
  const [id = '', ...pairs] = record.replace(/\n$/, '').split(fieldMark)
  const found = /^(\d{1,12})(?:\[(\d{0,9})\])?(\.[A-Za-z0-9][A-Za-z0-9._-]{0,250})$/.exec(id)
  const fields = new Map<string, string>()
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    if (equals === -1) throw new UnreadableError(`not a field of qstat: ${show(pair)}`)
    const name = pair.slice(0, equals)
    // The first counts: a value that pretends to be further fields comes behind what it would replace.
    if (!fields.has(name)) fields.set(name, pair.slice(equals + 1))
  }
  const name = fields.get('Job_Name')
  if (name === undefined) throw new UnreadableError(`a row of qstat was cut: ${show(record)}`)
  if (!ours.test(name)) return null
  if (found === null || !fields.has('job_state')) throw new UnreadableError(`a row of qstat was cut: ${show(record)}`)
  const [, number = '', index, server = ''] = found
  return {
    nativeId: index === undefined ? `${number}${server}` : `${number}[]${server}`,
    subjob: index === undefined || index === '' ? null : Number(index),
    array: index !== undefined,
    fields,
  }
}

/** `1-3,7,10-20:2`; `-` and the empty word are none (pbs_job_attributes(7B), array_indices_remaining). */
export function readIndices(text: string): TaskRange[] {
  if (text === '' || text === '-') return []
  return text.split(',').map(part => {
    const found = /^(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?$/.exec(part)
    const step = Number(found?.[3] ?? 1)
    if (found === null || step === 0) throw new UnreadableError(`not numbers of subjobs: ${show(text)}`)
    return { from: Number(found[1]), to: Number(found[2] ?? found[1]), step }
  })
}
