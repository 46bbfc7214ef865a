import type { Person } from './run.ts'

/** What one delivery says, in GitLab's words and ours. A hint to look, never a command to replay. */
export type Event =
  | PushEvent
  | TagEvent
  | MergeRequestEvent
  | NoteEvent
  | PipelineEvent
  /** Authentic and readable, but nothing of ours: `reason` goes into the answer and onto the row. */
  | {
      readonly kind: 'other'
      readonly projectId: number | null
      readonly projectPath: string | null
      readonly reason: string
    }

interface OfProject {
  readonly projectId: number
  readonly projectPath: string
  readonly defaultBranch: string | null
  readonly author: Person
}

export interface PushEvent extends OfProject {
  readonly kind: 'push'
  /** Full, `refs/heads/x`. */
  readonly ref: string
  /** null for a new branch. */
  readonly before: string | null
  /** null for a deletion. */
  readonly after: string | null
  readonly commits: number
  /** The message of the head commit, where the payload has it. */
  readonly headMessage: string | null
}

export interface TagEvent extends OfProject {
  readonly kind: 'tag'
  readonly ref: string
  readonly after: string | null
}

export interface MergeRequestEvent extends OfProject {
  readonly kind: 'merge request'
  readonly iid: number
  readonly action: 'open' | 'reopen' | 'update' | 'close' | 'merge' | 'other'
  /** Only set by an update that brought new commits. */
  readonly oldrev: string | null
  readonly becameReady: boolean
  readonly becameDraft: boolean
  readonly retargeted: boolean
  readonly sourceBranch: string
  readonly targetBranch: string
  readonly sourceProjectId: number
  readonly targetProjectId: number
  readonly headSha: string | null
}

export interface NoteEvent extends OfProject {
  readonly kind: 'note'
  readonly noteId: number
  readonly action: 'create' | 'update'
  readonly on: 'merge request' | 'commit' | 'issue' | 'other'
  readonly iid: number | null
  readonly system: boolean
  readonly body: string
}

export interface PipelineEvent extends OfProject {
  readonly kind: 'pipeline'
  readonly pipelineId: number
  readonly sha: string
  readonly ref: string
  readonly source: string
  readonly status: string
  readonly iid: number | null
}

/** How a pipeline stands in which something was cancelled; `failed` where another of its jobs had failed before. */
export const cancelledPipeline: ReadonlySet<string> = new Set(['canceled', 'canceling', 'failed'])
