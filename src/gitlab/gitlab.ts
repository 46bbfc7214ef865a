import { accessCalls } from './access.ts'
import type { Reachability } from './circuit.ts'
import { createClient } from './client.ts'
import { fileCalls } from './file.ts'
import { hookCalls } from './hook.ts'
import { jobCalls } from './job.ts'
import { memberCalls } from './member.ts'
import { mergeRequestCalls } from './merge-request.ts'
import { noteCalls } from './note.ts'
import { pipelineCalls } from './pipeline.ts'
import { projectCalls } from './project.ts'
import type { CallCount, RequesterOptions } from './requester.ts'
import { commitStatusCalls } from './status-row.ts'
import { tokenCalls } from './token.ts'
import { uploadCalls } from './upload.ts'
import { type User, userCalls } from './user.ts'
import { variableCalls } from './variable.ts'

export interface GitLabOptions extends RequesterOptions {
  /** How `sendCommitStatus` waits between tries. */
  readonly wait?: (ms: number) => Promise<void>
}

/** The clock that pauses are counted by. */
export interface Time {
  now(): number
  wait(ms: number): Promise<void>
  random(): number
}

export type GitLab = ReturnType<typeof createGitLab>

/** The calls we make, with one token. Throws GitLabError only; results are ours in name and GitLab's in meaning. */
export function createGitLab(options: GitLabOptions) {
  const now = options.now ?? Date.now
  const client = createClient(options)
  const time: Time = {
    now,
    wait: options.wait ?? (ms => new Promise(resolve => setTimeout(resolve, ms))),
    random: options.random ?? Math.random,
  }
  const users = userCalls(client)
  let known: { readonly token: string; readonly user: User } | null = null
  async function me(): Promise<User> {
    const token = options.token.current()
    const user = await users.me()
    known = { token, user }
    return user
  }
  return {
    url: client.requester.url,
    time,
    /** How many calls were made, by method, route and status: for `/metrics`. */
    counts: (): CallCount[] => client.requester.counts(),
    /** Whether calls get through at present, and since when. */
    reachability: (): Reachability => client.requester.reachability(),
    /** Milliseconds for which GitLab wants no call with this token (its rate limit); 0 for none. */
    pause: (): number => client.requester.pause(),
    ...users,
    me,
    /** The same, asked of GitLab once for each token. */
    self: async (): Promise<User> => (known?.token === options.token.current() ? known.user : me()),
    ...tokenCalls(client),
    ...accessCalls(client),
    ...projectCalls(client),
    ...pipelineCalls(client),
    ...mergeRequestCalls(client),
    ...memberCalls(client, now),
    ...hookCalls(client),
    ...jobCalls(client),
    ...fileCalls(client),
    ...noteCalls(client),
    ...commitStatusCalls(client),
    ...uploadCalls(client),
    ...variableCalls(client),
  }
}

export { type Circuit, createCircuit, type Reachability } from './circuit.ts'
export { type StatusSent, type StatusToSend, sendCommitStatus } from './commit-status.ts'
export { GitLabError, type GitLabErrorKind, isGitLabError } from './errors.ts'
export type { RepositoryFile } from './file.ts'
export { findPipelineAnew } from './find-pipeline.ts'
export {
  coversBranch,
  type Hook,
  type HookDelivery,
  type HookEvent,
  type HookSettings,
  hookAddress,
  hookEvents,
  leadsToCompops,
  letsPush,
  type ProtectedBranch,
} from './hook.ts'
export type { CiJob } from './job.ts'
export type { MergeRequest } from './merge-request.ts'
export type { Note } from './note.ts'
export { choosePipeline, type Pipeline } from './pipeline.ts'
export type { Branch, Commit, Project } from './project.ts'
export type { CallCount, GitLabCall } from './requester.ts'
export { type CommitStatus, finalStatusStates, type StatusState } from './status-row.ts'
export { type Sweep, type Swept, sweepStatuses } from './sweep-statuses.ts'
export { fixedToken, type TokenInfo, type TokenSource, tokenFromFile } from './token.ts'
export type { User } from './user.ts'
export type { CiVariable } from './variable.ts'
