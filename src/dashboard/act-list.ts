import { isFinal, notBegun } from '../model/job-state.ts'
import type { JobRow, RunRow } from '../store/runs.ts'

/** Something that a person may do now, as far as the rows say; their rights are asked when it is done. */
export interface Act {
  readonly verb: 'approve' | 'cancel' | 'hold' | 'unhold' | 'rerun' | 'retry' | 'run' | 'rerun-subtree'
  readonly label: string
  /** What it means, before it is done. */
  readonly means: string
  readonly danger: boolean
  /** The role that it needs, as GitLab numbers them. */
  readonly level: number
}

const developer = 30
const maintainer = 40

type RunFacts = Pick<RunRow, 'ref' | 'state' | 'endedAt' | 'supersededBy' | 'approval'>
type JobFacts = Pick<JobRow, 'state' | 'hold'>

/** Of a job, or with null of the run as a whole, whose jobs these are. `stale`: what it was computed from has a newer result. */
export function actsOf(run: RunFacts, job: JobFacts | null, jobs: readonly JobFacts[], stale = false): Act[] {
  // What CI jobs and forks had computed belongs to no branch: their own pages in GitLab, and notes, are where it is ended.
  if (run.supersededBy !== null || !run.ref.startsWith('refs/heads/')) return []
  const acts: Act[] = []
  const add = (verb: Act['verb'], label: string, means: string, more: Partial<Act> = {}) =>
    acts.push({ verb, label, means, danger: false, level: developer, ...more })
  if (job !== null) {
    if (!isFinal(job.state)) {
      if (job.hold?.kind === 'person') add('unhold', 'Let go on', 'It may begin again as soon as its turn comes.')
      else if (notBegun.includes(job.state) && job.hold === null)
        add('hold', 'Hold', 'It does not begin before somebody lets it go on; out of the queue if it waits there.')
      add(
        'cancel',
        'Cancel',
        'It is ended on its cluster, also where it runs; what it has computed so far is not collected as a result.',
        {
          danger: true,
        },
      )
    } else if (job.state === 'completed')
      add('run', 'Run again', 'It runs once more in this run, although it completed.')
    else add('retry', 'Retry', 'It runs again in this run; of an array only the tasks that did not complete.')
    return acts
  }
  if (run.approval !== null && run.approval.approved === null && run.endedAt === null)
    add('approve', 'Approve', 'It costs more than may begin unasked. Approved, its jobs begin.', { level: maintainer })
  if (run.endedAt === null) {
    if (jobs.some(one => notBegun.includes(one.state) && one.hold === null))
      add('hold', 'Hold', 'Nothing further of it begins; what runs goes on.')
    if (jobs.some(one => !isFinal(one.state) && one.hold?.kind === 'person'))
      add('unhold', 'Let go on', 'What a person holds of it may begin.')
    add('cancel', 'Cancel', 'All that is unfinished of the branch is ended on its clusters, also what runs.', {
      danger: true,
    })
  } else if (run.state !== 'completed')
    add(
      'rerun',
      'Rerun what failed',
      'What failed, was cancelled or is missing runs again; what completed keeps its result.',
    )
  if (run.endedAt !== null && stale)
    add(
      'rerun-subtree',
      'Rerun from here',
      'The branch is computed anew from the newest result of its parent; then each branch below it, as soon as its own parent has its new result.',
    )
  if (run.endedAt !== null) add('run', 'Compute anew', 'The head of the branch is computed in a new run.')
  return acts
}
