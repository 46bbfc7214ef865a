/** Which branch a computation branch has for its parent, and how that was found. */
export interface ParentChoice {
  /** Short. */
  readonly branch: string
  readonly by: ParentBy
  /** For people, e.g. `target of merge request !7`. */
  readonly why: string
}

/** From the one that wins to the one that gives way. */
export const parentBys = ['file', 'merge request', 'fork'] as const
export type ParentBy = (typeof parentBys)[number]

/** As it stands in the row of a run. */
export interface ParentOfRun {
  readonly branch: string
  readonly why: string
  /** Left out in rows of older versions, and of runs that are known from their record. */
  readonly by?: ParentBy
  /** The commit of the parent's run that it is computed from. */
  readonly sha?: string
  /** `on_stale: rerun` in its file. */
  readonly rerun?: true
}

/** Computed from an older result than its parent, or an ancestor, has now. */
export interface StaleMark {
  /** Whose newer result it is. */
  readonly branch: string
  readonly sha: string
  readonly run: string
}

/** A file of the parent's run that a job took. */
export interface InputTaken {
  readonly path: string
  readonly size: number
  readonly sha256: string | null
  /** Which of the parent's jobs had computed it. */
  readonly job: string
  /** The cluster that it was brought from; left out where it lay on the job's own. */
  readonly cluster?: string
}
