/** Words that several pages share. */
import type { ArraySpec } from '../../model/array.ts'
import { countTasks } from '../../model/array.ts'
import { coresAsked, gpusAsked } from '../../model/cost.ts'
import type { Resources } from '../../model/job-spec.ts'
import type { FailureReason, JobState } from '../../model/job-state.ts'
import { failureReasons, isFinal, jobStates } from '../../model/job-state.ts'
import { countOf, formatDuration, formatMebibytes } from '../../render/amounts.ts'
import { plain } from '../../render/plain.ts'

/** `64 cores · 2 nodes · 16 G · 2 × a100 · 4 h` */
export function askedInWords(asked: Resources): string {
  const { nodes, mem, mem_per_cpu: perCpu, gpus, gpus_per_node: perNode, time } = asked
  const type = gpus?.type ?? perNode?.type ?? 'GPU'
  const many = gpusAsked(asked)
  return [
    countOf(coresAsked(asked), 'core'),
    nodes !== undefined && nodes > 1 ? countOf(nodes, 'node') : '',
    mem === undefined ? (perCpu === undefined ? '' : `${formatMebibytes(perCpu)} per core`) : formatMebibytes(mem),
    many === 0 ? '' : `${many} × ${type}`,
    time === undefined ? '' : formatDuration(time),
  ]
    .filter(part => part !== '')
    .join(' · ')
}

/** Why it waits or failed, where there is more to say than its state. */
export function whyInWords(job: {
  state: JobState
  reason: FailureReason | null
  message: string | null
}): string | null {
  if (job.state === 'completed') return null
  if (job.state === 'failed' && job.reason !== null) {
    const label = failureReasons[job.reason].label
    return job.message === null || job.reason === 'timeout' || job.reason === 'memory' ? label : plain(job.message)
  }
  return job.message === null ? null : plain(job.message)
}

export function tasksOf(array: ArraySpec | null | undefined): number | null {
  return array == null ? null : countTasks(array.tasks)
}

/** `2 running, 1 failed`, the ones that deserve a look first. */
export function countsInWords(counts: Readonly<Partial<Record<JobState, number>>>): string {
  const order: JobState[] = [
    'failed',
    'running',
    'suspended',
    'queued',
    'submitting',
    'held',
    'waiting',
    'canceled',
    'skipped',
    'completed',
  ]
  return order.flatMap(state => (counts[state] ? [`${counts[state]} ${jobStates[state].label}`] : [])).join(', ')
}

export function isOpen(state: JobState): boolean {
  return !isFinal(state)
}
