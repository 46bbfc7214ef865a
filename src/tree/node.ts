/** The tree of a project's computation branches, as rows tell it: the words that all functions of this room share. */
import type { JobState } from '../model/job-state.ts'
import type { ParentChoice, StaleMark } from '../model/parent.ts'

export interface BranchNode {
  /** Short. */
  readonly branch: string
  readonly ref: string
  /** What became of the branch in git; its place in the tree it keeps. */
  readonly life: 'active' | 'merged' | 'gone'
  readonly headSha: string | null
  readonly parent: ParentChoice | null
  /** What it shows; null: nothing has been run there. */
  readonly run: NodeRun | null
  /** What children compute from: the run that it shows where that completed, else its newest completed one. */
  readonly result: NodeResult | null
  readonly stale: StaleMark | null
  /** Its oldest open merge request. */
  readonly mergeRequest: { readonly iid: number; readonly target: string } | null
}

export interface NodeRun {
  readonly id: string
  readonly sha: string
  readonly state: JobState
  readonly createdAt: Date
  readonly endedAt: Date | null
  /** What it was computed from. */
  readonly from: ComputedFrom | null
}

export interface NodeResult {
  readonly id: string
  readonly sha: string
  readonly endedAt: Date
  readonly from: ComputedFrom | null
}

export interface ComputedFrom {
  readonly branch: string
  /** null: nothing of the parent was known then. */
  readonly run: string | null
  /** When that run had ended; null where it was still under way. */
  readonly endedAt: Date | null
}
