/** What a page about a run is made from: the note and the branch page share it. */
import type { Run } from '../model/run.ts'
import type { Neighbour, TreeNode } from './mermaid.ts'

/** Everything a page about a run needs to know. What is left out is not shown. */
export interface PageView {
  readonly run: Run
  /** When this became true: durations are counted until then. Not "now", else nothing would ever be unchanged. */
  readonly at: Date
  readonly timeZone: string
  readonly publicUrl: string
  readonly parent?: Neighbour | null
  readonly children?: readonly Neighbour[]
  /** Other children of the parent, the first few. */
  readonly siblings?: readonly Neighbour[]
  /** How many more there are. */
  readonly moreSiblings?: number
  /** All branches of a small tree. */
  readonly tree?: readonly TreeNode[] | null
  /** Whose newer result, at which commit, made it stale. */
  readonly staleBy?: { readonly branch: string; readonly sha: string } | null
  /** This branch was computed from an older result of its parent. */
  readonly stale?: boolean
  /** The parent's latest results first, then the target branch's. */
  readonly comparisons?: readonly Comparison[]
  readonly clustersAway?: readonly ClusterAway[]
  /** `.compops.yml` as it was read, for the lines around a mistake. */
  readonly specText?: string | null
  /** Older runs of this branch, newest first. */
  readonly history?: readonly PastRun[]
  readonly evidenceUrl?: string | null
  /** Pictures among the outputs that came back. */
  readonly plots?: readonly Plot[]
  /** GitLab's words, while it does not take the run's evidence. */
  readonly evidenceRefused?: string | null
  /** Whether there are pages of ours to point at: a log to follow, a dashboard. Default true. */
  readonly dashboard?: boolean
  /** Whether comment commands are answered. */
  readonly commands?: boolean
}

export interface Comparison {
  readonly branch: string
  readonly isParent: boolean
  readonly metrics: Readonly<Record<string, number>>
  /** From push to end. */
  readonly wallSeconds: number | null
}

export interface ClusterAway {
  readonly name: string
  readonly since: Date
  /** e.g. `connection refused` */
  readonly why: string
}

export interface Plot {
  readonly job: string
  /** Of the output. */
  readonly path: string
  /** On the evidence branch. */
  readonly file: string
  /** GitLab's address of it for Markdown; null while it has not been uploaded. */
  readonly upload: string | null
}

export interface PastRun {
  readonly id: string
  readonly sha: string
  readonly state: Run['state']
  /** In words, e.g. `sweep failed: out of memory`. */
  readonly words: string
  readonly createdAt: Date
  readonly endedAt: Date | null
}

/** How much is said; less, when a page would grow too long. */
export interface Effort {
  readonly jobs: number
  readonly failures: number
  readonly lines: number
  readonly metrics: number
  readonly diagram: number
}
