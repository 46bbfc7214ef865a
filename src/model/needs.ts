import type { JobState } from './job-state.ts'
import { isFinal } from './job-state.ts'

export interface NeedingJob {
  readonly name: string
  readonly state: JobState
  readonly cluster: string
  readonly needs: readonly string[]
  /** The native id of its attempt, while that is under way. */
  readonly nativeId: string | null
}

export type Readiness =
  /** May be submitted, with these jobs as native dependencies (names). */
  | { readonly kind: 'ready'; readonly native: readonly string[] }
  | { readonly kind: 'waits'; readonly for: readonly string[] }
  | { readonly kind: 'never'; readonly because: string }

/**
 * Whether a job may be submitted. A native dependency is used only while the needed job has a native id and is not final, on the same
 * cluster; otherwise we hold the job ourselves.
 */
export function readiness(
  job: NeedingJob,
  all: ReadonlyMap<string, NeedingJob>,
  nativeDependencies: boolean,
): Readiness {
  const native: string[] = []
  const waits: string[] = []
  for (const name of job.needs) {
    const needed = all.get(name)
    if (needed === undefined) return { kind: 'never', because: `${name} is not a job of this run` }
    if (needed.state === 'completed') continue
    if (isFinal(needed.state))
      return {
        kind: 'never',
        because: `${name} ${needed.state === 'skipped' ? 'was skipped' : needed.state === 'canceled' ? 'was canceled' : needed.state}`,
      }
    if (nativeDependencies && needed.cluster === job.cluster && needed.nativeId !== null) native.push(name)
    else waits.push(name)
  }
  return waits.length > 0 ? { kind: 'waits', for: waits } : { kind: 'ready', native }
}
