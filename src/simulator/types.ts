/** What the simulated GitLab knows: plain rows, in GitLab's own words. */

import type { Commit } from './git.ts'

export type AccessLevel = 10 | 20 | 30 | 40 | 50
export const ACCESS = { guest: 10, reporter: 20, developer: 30, maintainer: 40, owner: 50 } as const

export type JobStatus =
  | 'created'
  | 'manual'
  | 'pending'
  | 'running'
  | 'canceling'
  | 'success'
  | 'failed'
  | 'canceled'
  | 'skipped'
export type MergeRequestState = 'opened' | 'closed' | 'merged'
export type PipelineSource = 'push' | 'merge_request_event' | 'external' | 'api' | 'web'

export interface SimUser {
  id: number
  username: string
  name: string
  email: string
  bot: boolean
  admin: boolean
  /** Whatever they ask for is refused, with any of their tokens. */
  blocked: boolean
  createdAt: Date
}

export interface SimToken {
  id: number
  token: string
  userId: number
  name: string
  scopes: string[]
  createdAt: Date
  /** `YYYY-MM-DD`; the token stops working when that day begins, as GitLab's do. */
  expiresAt: string | null
  revoked: boolean
  expired: boolean
  lastUsedAt: Date | null
  /** Of somebody who signed in: it travels as `Authorization: Bearer` only, and tells its scopes beside the API. */
  oauth: boolean
}

/** An application of the instance, confidential and trusted by nobody: people are asked. */
export interface SimApplication {
  id: string
  secret: string
  name: string
  redirectUris: string[]
  scopes: string[]
}

export interface ProtectedBranch {
  pattern: string
  pushLevel: AccessLevel | 0
  /** Named users who may push besides (Premium). */
  pushUserIds: number[]
  mergeLevel: AccessLevel | 0
  allowForcePush: boolean
}

export interface SimProject {
  id: number
  name: string
  path: string
  fullPath: string
  namespace: string
  description: string
  defaultBranch: string
  visibility: 'private' | 'public'
  /** The bare repository on disk. */
  directory: string
  members: Map<number, AccessLevel>
  protectedBranches: ProtectedBranch[]
  forkedFromId: number | null
  onlyAllowMergeIfPipelineSucceeds: boolean
  allowMergeOnSkippedPipeline: boolean
  /** Read-only: whoever writes gets a 403. */
  archived: boolean
  createdAt: Date
  lastActivityAt: Date
  nextMergeRequestIid: number
  nextPipelineIid: number
}

/** A row of a pipeline: a CI job (`build`) or a commit status somebody posted (`external`). */
export interface SimJob {
  id: number
  type: 'build' | 'external'
  projectId: number
  pipelineId: number
  name: string
  stage: string
  stageIndex: number
  status: JobStatus
  sha: string
  ref: string
  userId: number
  description: string | null
  targetUrl: string | null
  coverage: number | null
  allowFailure: boolean
  failureReason: string | null
  /** Of a script that ran (`settings.ciJobs = 'run'`). */
  exitCode: number | null
  retried: boolean
  createdAt: Date
  queuedAt: Date | null
  startedAt: Date | null
  finishedAt: Date | null
}

export interface SimPipeline {
  id: number
  iid: number
  projectId: number
  sha: string
  commit: Commit | null
  beforeSha: string
  ref: string
  tag: boolean
  source: PipelineSource
  status: JobStatus
  userId: number
  mergeRequestId: number | null
  yamlErrors: string | null
  archived: boolean
  jobs: SimJob[]
  createdAt: Date
  updatedAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}

export interface SimMergeRequest {
  id: number
  iid: number
  projectId: number
  sourceProjectId: number
  sourceBranch: string
  targetBranch: string
  title: string
  description: string
  state: MergeRequestState
  authorId: number
  assigneeIds: number[]
  labels: string[]
  /** Head of the source branch when it was last seen; stays when the branch goes. */
  sha: string
  headCommit: Commit | null
  mergeCommitSha: string | null
  mergeUserId: number | null
  mergedAt: Date | null
  closedAt: Date | null
  removeSourceBranch: boolean
  createdAt: Date
  updatedAt: Date
  lastEditedAt: Date | null
  lastEditedById: number | null
}

export interface SimAward {
  id: number
  name: string
  userId: number
  createdAt: Date
}

export interface SimNote {
  id: number
  projectId: number
  mergeRequestId: number
  mergeRequestIid: number
  discussionId: string
  individual: boolean
  authorId: number
  body: string
  system: boolean
  internal: boolean
  createdAt: Date
  updatedAt: Date
  awards: SimAward[]
}

export interface HookEvents {
  push: boolean
  tagPush: boolean
  mergeRequests: boolean
  notes: boolean
  pipelines: boolean
  jobs: boolean
}
export type HookKind = keyof HookEvents

export interface SimHook {
  id: number
  projectId: number
  url: string
  name: string | null
  token: string | null
  signingToken: string | null
  events: HookEvents
  pushBranchFilter: string
  customHeaders: Record<string, string>
  sslVerification: boolean
  createdAt: Date
  recentFailures: number
  backoffCount: number
  disabledUntil: Date | null
  permanentlyDisabled: boolean
  /** Events that were not sent because the hook was switched off. GitLab keeps no trace of them either. */
  dropped: number
}

export interface SimDelivery {
  id: number
  hookId: number
  projectId: number
  kind: HookKind
  /** The value of `X-Gitlab-Event`. */
  event: string
  url: string
  requestHeaders: Record<string, string>
  requestBody: string
  responseStatus: number | 'internal error'
  responseHeaders: Record<string, string>
  responseBody: string
  error: string | null
  durationMs: number
  /** 1 for the first sending, 2 for the first resend, … */
  attempt: number
  idempotencyKey: string
  at: Date
}

/** A CI/CD variable of a project. */
export interface SimVariable {
  key: string
  value: string
  masked: boolean
  protected: boolean
}

export interface SimUpload {
  secret: string
  filename: string
  projectId: number
  type: string
  bytes: Uint8Array
}

/** Anything that came in, also what met a fault: to count by. */
export interface SimArrival {
  /** Of performance.now(). */
  at: number
  method: string
  path: string
  spoiled: boolean
}

export interface SimRequest {
  method: string
  path: string
  status: number
  userId: number | null
}

/** What behaves differently from one instance to another. All of it may be changed while the simulator runs. */
export interface SimSettings {
  /** Time between a push and its CI pipeline. GitLab makes pipelines asynchronously. */
  ciDelayMs: number
  /** Keep CI pipelines back until `releasePipelines()`. */
  ciHold: boolean
  /** What CI jobs do by themselves: end well, end badly, stay pending until `finishJob`, or run their script on this machine. */
  ciJobs: 'succeed' | 'fail' | 'wait' | 'run'
  /** Time a CI job spends in each state. */
  ciJobMs: number
  /** Seconds; an id token is good for as long. */
  ciJobTimeout: number
  /** What runs scripts, e.g. `['busybox', 'sh']`, and where it finds programs; null: as this process. */
  ciShell: string[]
  ciPath: string | null
  /** gitlab-runner's `output_limit`, in bytes. */
  ciOutputLimit: number
  /** How often and how long a status post waits for another one on the same sha. GitLab: 20 times 500 ms. */
  statusLeaseTries: number
  statusLeaseSleepMs: number
  /** How long a status post holds its lease. */
  statusWorkMs: number
  /** `ci_pipeline_size`; 0 is no limit, as on a self-managed instance. */
  ciPipelineSize: number
  pushEventHooksLimit: number
  webhookTimeoutMs: number
  /** `allow_local_requests_from_web_hooks_and_services`: off on a fresh GitLab; here everything is local. */
  allowLocalRequests: boolean
  /** The ops flag `auto_disabling_web_hooks`. */
  autoDisablingWebHooks: boolean
  /** A second `update` without `oldrev` after a push, as GitLab sends when the merge status is checked again. */
  mergeRequestEcho: boolean
  /** Rack::Attack: requests a minute for each user or address, answered 429 with headers. */
  requestsPerMinute: number | null
  /** Application limit `notes_create`: notes a minute for each user, answered 429 without headers. */
  notesPerMinute: number | null
  /** Premium: a rule may name users. `ignored` is the Community Edition, which knows no such parameter and says 200. */
  protectionForUsers: 'licensed' | 'refused' | 'ignored'
}

export const DEFAULT_SETTINGS: SimSettings = {
  ciDelayMs: 50,
  ciHold: false,
  ciJobs: 'succeed',
  ciJobMs: 25,
  ciJobTimeout: 3_600,
  ciShell: ['sh'],
  ciPath: null,
  ciOutputLimit: 4 * 1024 * 1024,
  statusLeaseTries: 20,
  statusLeaseSleepMs: 10,
  statusWorkMs: 0,
  ciPipelineSize: 0,
  pushEventHooksLimit: 3,
  webhookTimeoutMs: 10_000,
  allowLocalRequests: true,
  autoDisablingWebHooks: true,
  mergeRequestEcho: true,
  requestsPerMinute: null,
  notesPerMinute: null,
  protectionForUsers: 'refused',
}

export const ZERO_SHA = '0'.repeat(40)
