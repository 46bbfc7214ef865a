import type { JobState } from './job-state.ts'
import { isFinal, runState } from './job-state.ts'
import { choiceInWords, type MatrixChoice } from './matrix.ts'

/**
 * What of another job is waited for: `after` its begin, `afterok` that it completed, `afternotok` that it failed, `any` its end, however it ends.
 * The words of `sbatch --dependency`; `any` is GitLab's `when: always`.
 */
export const needKinds = ['after', 'afterok', 'afternotok', 'any'] as const
export type NeedKind = (typeof needKinds)[number]

/** What a job waits for. A name alone is a job of the same run that must have completed (`afterok`). */
export type Need = string | { readonly job: string; readonly kind: NeedKind }

export interface JobNeed {
  readonly job: string
  readonly kind: NeedKind
}

/** What a job waits for of another branch: of the run that the branch shows. */
export interface BranchNeed extends JobNeed {
  /** Short. */
  readonly branch: string
  /** Which of the jobs that a matrix has made; left out: all. */
  readonly matrix?: MatrixChoice
}

/** The needs within the run. */
export function jobNeeds(needs: readonly Need[]): readonly JobNeed[] {
  return needs.map(need => (typeof need === 'string' ? { job: need, kind: 'afterok' } : need))
}

/** As it is stored and shown: the usual kind needs no word. */
export function shortNeed({ job, kind }: JobNeed): Need {
  return kind === 'afterok' ? job : { job, kind }
}

/** `mesh`, `the end of mesh`: what is waited for. */
export function needInWords({ job, kind }: JobNeed): string {
  return kind === 'afterok' ? job : `the ${{ after: 'begin', afternotok: 'failure', any: 'end' }[kind]} of ${job}`
}

/** `waits for mesh, the end of solve` */
export function waitsFor(needs: readonly JobNeed[]): string {
  return `waits for ${needs.map(needInWords).join(', ')}`
}

/** `mesh of calc/heat`, `the end of mesh of calc/heat` */
export function branchNeedInWords(need: BranchNeed): string {
  return `${needInWords(need)}${choiceInWords(need.matrix)} of ${need.branch}`
}

export interface Needed {
  readonly state: JobState
  /** The last time that it was handed over it has begun. */
  readonly begun: boolean
}

/** Whether a need is met, may still be, or never will, because. */
export function needStands(kind: NeedKind, needed: Needed): 'met' | 'open' | { readonly never: string } {
  const { state } = needed
  const ended = state === 'skipped' || state === 'canceled' ? `was ${state}` : state
  switch (kind) {
    case 'after':
      if (state === 'running' || state === 'suspended' || state === 'completed') return 'met'
      if (!isFinal(state)) return 'open'
      return needed.begun ? 'met' : { never: `${ended} before it began` }
    case 'any':
      return isFinal(state) ? 'met' : 'open'
    case 'afterok':
      if (state === 'completed') return 'met'
      return isFinal(state) ? { never: ended } : 'open'
    case 'afternotok':
      if (state === 'failed') return 'met'
      return isFinal(state) ? { never: ended } : 'open'
  }
}

export interface NeedingJob extends Needed {
  readonly name: string
  readonly cluster: string
  readonly needs: readonly Need[]
  /** The native id of its attempt, while that is under way. */
  readonly nativeId: string | null
  /** Its attempt's end may not be its own: another may follow. */
  readonly mayRunAgain?: boolean
}

export type Readiness =
  /** May be submitted, with these jobs as native dependencies (names). */
  | { readonly kind: 'ready'; readonly native: readonly string[] }
  | { readonly kind: 'waits'; readonly for: readonly JobNeed[] }
  | { readonly kind: 'never'; readonly because: string }

/**
 * Whether a job may be submitted. A native dependency is used only for `afterok`, while the needed job has a native id, is not final and has no attempts
 * to come, on the same cluster; otherwise we hold the job ourselves: schedulers differ in what they call a failure, and in what they still know of a job
 * that has ended.
 */
export function readiness(
  job: NeedingJob,
  all: ReadonlyMap<string, NeedingJob>,
  nativeDependencies: boolean,
): Readiness {
  const native: string[] = []
  const waits: JobNeed[] = []
  for (const need of jobNeeds(job.needs)) {
    const needed = all.get(need.job)
    if (needed === undefined) return { kind: 'never', because: `${need.job} is not a job of this run` }
    const stands = needStands(need.kind, needed)
    if (stands === 'met') continue
    if (stands !== 'open') return { kind: 'never', because: `${need.job} ${stands.never}` }
    const may = nativeDependencies && need.kind === 'afterok' && needed.mayRunAgain !== true
    if (may && needed.cluster === job.cluster && needed.nativeId !== null) native.push(need.job)
    else waits.push(need)
  }
  return waits.length > 0 ? { kind: 'waits', for: waits } : { kind: 'ready', native }
}

interface Standing {
  readonly name: string
  readonly state: JobState
  readonly spec: { readonly needs: readonly Need[] }
}

/**
 * The skipped jobs that nobody misses: what was to follow a failure, where nothing failed, and what needs only such jobs. They do not keep a run from
 * being completed, and are not run when its commit is wanted again.
 */
export function notCalledFor(all: readonly Standing[]): ReadonlySet<string> {
  const byName = new Map(all.map(job => [job.name, job]))
  const known = new Map<string, boolean>()
  const look = (job: Standing): boolean => {
    const before = known.get(job.name)
    if (before !== undefined) return before
    // Nothing needs itself (the file is refused), but a row may say anything.
    known.set(job.name, false)
    const spared =
      job.state === 'skipped' &&
      jobNeeds(job.spec.needs).some(({ job: name, kind }) => {
        const needed = byName.get(name)
        if (needed === undefined || kind === 'any') return false
        return (kind === 'afternotok' && needed.state === 'completed') || look(needed)
      })
    known.set(job.name, spared)
    return spared
  }
  return new Set(all.filter(look).map(job => job.name))
}

/** The state of a run: the one of its jobs that a person should look at first. */
export function stateOfRun(all: readonly Standing[]): JobState {
  const spared = notCalledFor(all)
  return runState(all.filter(job => !spared.has(job.name)).map(job => job.state))
}

/** What dialects say of a job whose native dependency can never be met; nobody but us takes it out of the queue. */
export const neverStarts = 'a job it depends on failed: it will never start as it is'
