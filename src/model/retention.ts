/** Which run directories may be removed from a cluster: one decision, on facts that stand in rows. */

export interface RetentionFacts {
  /** null while it goes on. */
  readonly endedAt: Date | null
  /** A job or an attempt that is not final. */
  readonly underWay: boolean
  /** Results of an ended attempt that were not fetched yet, and are still tried for. */
  readonly uncollected: boolean
  /** The record as it should be now stands on the evidence branch. */
  readonly committed: boolean
  /** Who wants it kept; null for nobody. */
  readonly keptBy: string | null
  /** The rows may be older than the world (a restored backup). */
  readonly recovering: boolean
  /** The newest completed run of its branch. */
  readonly latestCompleted: boolean
  /** Its branch has not been deleted. */
  readonly branchLives: boolean
  /** What its branch, which lives, shows: not the newest one where the branch was reset to an earlier commit. */
  readonly shown: boolean
  /** A living branch whose head is its commit: its own, or one that was made there and has no run of its own ("already computed in run …"). */
  readonly headOf: string | null
  /** A branch that computes from it at present. */
  readonly usedBy: string | null
  /** A living branch that was computed from its branch. */
  readonly child: string | null
  /** A run that is open and has taken over results of it. */
  readonly reusedBy: string | null
}

/** Why the directory stays, for people; null where it may go. */
export function whyKept(facts: RetentionFacts, days: number, now: Date): string | null {
  if (facts.keptBy !== null) return `kept by ${facts.keptBy}`
  if (facts.recovering) return 'what has happened since the restored backup has not been read'
  if (facts.endedAt === null || facts.underWay) return 'it goes on'
  if (facts.uncollected) return 'its results have not been fetched'
  if (!facts.committed) return 'its evidence is not committed'
  if (now.getTime() - facts.endedAt.getTime() < days * 86_400_000) return `it is younger than ${days} days`
  if (facts.reusedBy !== null) return `run ${facts.reusedBy} reuses its results`
  if (facts.usedBy !== null) return `${facts.usedBy} computes from it`
  if (facts.shown) return 'it is the run that a living branch shows'
  if (facts.headOf !== null) return `${facts.headOf} stands on its commit`
  if (facts.latestCompleted && facts.branchLives) return 'it is the latest completed run of a living branch'
  if (facts.latestCompleted && facts.child !== null) return `${facts.child} was computed from its branch`
  return null
}

/** What became of a run's directory on one account of a cluster. */
export interface Removal {
  readonly cluster: string
  /** null while it is being removed. */
  readonly at: Date | null
  readonly days: number
  /** Why it still stands, and when its removal is tried again. */
  readonly problem?: { readonly why: string; readonly nextAt: Date }
}
