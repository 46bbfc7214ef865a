import { isFinal, type JobState } from '../model/job-state.ts'

/** Whether a run that uses its parent may begin: what is decided stands in its row, and is decided anew while it does not say `passed`. */
export const gates = ['waits', 'skipped', 'passed'] as const
export type Gate = (typeof gates)[number]

export interface ParentStands {
  readonly branch: string
  /** null: there is no such branch (any more). */
  readonly life: 'active' | 'gone' | null
  /** Somebody has seen where it stands. */
  readonly seen: boolean
  /** The run that it shows. */
  readonly latest: {
    readonly id: string
    readonly sha: string
    readonly state: JobState
    readonly endedAt: Date | null
  } | null
}

export type GateAnswer =
  /** It computes from this run, whatever becomes of the parent. */
  | { readonly gate: 'passed'; readonly run: string; readonly sha: string; readonly endedAt: Date }
  | { readonly gate: 'waits' | 'skipped'; readonly message: string }

export function parentGate({ branch, life, seen, latest }: ParentStands): GateAnswer {
  if (latest === null) {
    // Pushed together with its child, it may be read a moment later.
    if (life === 'active' && !seen) return { gate: 'waits', message: `waits for ${branch}` }
    return { gate: 'skipped', message: `${branch} has not been computed` }
  }
  const { id, sha, state, endedAt } = latest
  if (endedAt === null || !isFinal(state)) return { gate: 'waits', message: `waits for ${branch}` }
  if (state === 'completed') return { gate: 'passed', run: id, sha, endedAt }
  const ended = state === 'failed' ? 'failed' : `was ${state}`
  return { gate: 'skipped', message: `${branch} ${ended} at ${sha.slice(0, 8)}` }
}
