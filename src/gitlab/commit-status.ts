import { GitLabError, isGitLabError } from './errors.ts'
import { findAgain, findPipeline, keepPipeline, shaOfPipeline, type Where } from './find-pipeline.ts'
import type { GitLab } from './gitlab.ts'
import { inTurn, lostOf } from './status-memory.ts'
import { type CommitStatus, finalStatusStates, type StatusState } from './status-row.ts'
import { fitDescription, fitName, fitTargetUrl, readRefusal } from './status-text.ts'

export interface StatusToSend {
  /** Where the pipeline lives: for a fork's merge request the fork. */
  readonly projectId: number
  readonly sha: string
  /** Short. */
  readonly branch: string
  readonly mergeRequestIid: number | null
  readonly name: string
  readonly state: StatusState
  readonly description: string
  readonly targetUrl: string | null
  /** Remembered from an earlier status of this (project, sha, merge request); null: look for it. */
  readonly pipelineId: number | null
  /** The sha of that pipeline where it is not the commit's (merged results), as `StatusSent` told it. Left out, it may cost two calls. */
  readonly pipelineSha?: string | null
  readonly coverage?: number
  /** The state of this status that was last sent, where it is known: spares calls that GitLab would refuse. */
  readonly last?: StatusState | null
}

export interface StatusSent {
  readonly outcome: 'sent' | 'already there' | 'impossible'
  readonly pipelineId: number | null
  /** Set only where it differs from the commit's sha; to be remembered with `pipelineId`. */
  readonly pipelineSha: string | null
  readonly statusId: number | null
  /** Why it is impossible, or shown otherwise than asked: a sentence for people. */
  readonly reason?: string
  /** Impossible as things are, but they may change: `rights` (and visibility) whenever a person mends them, else `perhaps`, for a while. */
  readonly retryLater?: 'rights' | 'perhaps'
}

const order: readonly string[] = ['pending', 'running']

/**
 * Sets one commit status and knows GitLab's ways: https://docs.gitlab.com/ci/ci_cd_for_external_repos/external_commit_statuses/ and
 * app/services/ci/create_commit_status_service.rb. One at a time per (project, sha), as GitLab itself locks. Trouble that may pass is thrown
 * as a transient GitLabError; calling again with the same status is always safe.
 */
export function sendCommitStatus(gitlab: GitLab, status: StatusToSend): Promise<StatusSent> {
  return inTurn(gitlab, `${status.projectId} ${status.sha}`, () => sendNow(gitlab, status))
}

async function sendNow(gitlab: GitLab, status: StatusToSend): Promise<StatusSent> {
  const lost = lostOf(gitlab)
  const name = fitName(status.name)
  const description = fitDescription(status.description)
  const lostKey = `${status.projectId} ${status.sha} ${name}`
  let state: StatusState = status.state
  let targetUrl = fitTargetUrl(status.targetUrl)
  let where: Where = {
    sha: shaOfPipeline(gitlab, status, status.pipelineId) ?? status.sha,
    pipelineId: status.pipelineId,
  }
  let reason: string | undefined
  const done = new Set<string>()

  const answer = (outcome: StatusSent['outcome'], more: Partial<StatusSent> = {}): StatusSent => ({
    outcome,
    pipelineId: where.pipelineId,
    pipelineSha: where.sha === status.sha ? null : where.sha,
    statusId: null,
    ...(reason === undefined ? {} : { reason }),
    ...more,
  })
  const sent = (row: CommitStatus): StatusSent =>
    answer('sent', { statusId: row.id, pipelineId: row.pipelineId ?? where.pipelineId })
  const isShown = (row: CommitStatus | null): row is CommitStatus =>
    row !== null && row.state === state && (!finalStatusStates.has(state) || (row.description ?? '') === description)
  const readBack = () => latestRow(gitlab, status, where, name)

  if (isUnfinished(state) && status.last !== undefined && status.last !== null && !comesAfter(state, status.last)) {
    return answer('already there')
  }
  if (name === '') return answer('impossible', { reason: 'a commit status needs a name' })
  if (where.pipelineId === null) where = await findPipeline(gitlab, status, null)
  if (lost.has(lostKey)) {
    const row = await readBack()
    lost.delete(lostKey)
    if (isShown(row)) return sent(row)
  }

  for (;;) {
    if (where.pipelineId === null && (status.branch === '' || status.branch.length > 255)) {
      return answer('impossible', {
        reason: 'there is no pipeline, and a status without one needs a branch name of at most 255 characters',
      })
    }
    try {
      const row = await whenFree(gitlab, () =>
        gitlab.createCommitStatus(status.projectId, where.sha, {
          state,
          name,
          ...(description === '' ? {} : { description }),
          ...(targetUrl === null ? {} : { targetUrl }),
          ...(status.coverage === undefined ? {} : { coverage: status.coverage }),
          where: where.pipelineId === null ? { ref: status.branch } : { pipelineId: where.pipelineId },
        }),
      )
      lost.delete(lostKey)
      keepPipeline(gitlab, status, { sha: where.sha, pipelineId: row.pipelineId ?? where.pipelineId })
      return sent(row)
    } catch (error) {
      if (!isGitLabError(error)) throw error
      if (error.maybeDone) {
        lost.set(lostKey, true)
        const row = await afterPause(gitlab, error, readBack)
        lost.delete(lostKey)
        if (isShown(row)) return sent(row)
        if (once('lost')) continue
        lost.set(lostKey, true)
        throw error
      }
      const refusal = readRefusal(error)
      if (refusal === null || refusal.why === 'busy') throw error
      switch (refusal.why) {
        case 'transition': {
          if (isUnfinished(state) && order.includes(refusal.from) && !comesAfter(state, refusal.from)) {
            return answer('already there')
          }
          // A final state was refused, or an unfinished one from a state that we do not know: it must not be lost silently.
          const row = await readBack()
          if (isShown(row)) return answer('already there', { statusId: row.id })
          // Skipping is allowed from pending only (CommitStatus, event :skip); left running it would block the merge for ever.
          if (state === 'skipped' && once('skipped')) {
            state = 'canceled'
            reason = `GitLab cannot set ${refusal.from} to skipped; shown as canceled`
            continue
          }
          if (once('transition')) continue
          return answer('impossible', { reason: error.said, retryLater: 'perhaps' })
        }
        case 'target url':
          if (targetUrl !== null) {
            targetUrl = null
            reason = `GitLab refused the link: ${error.said}`
            continue
          }
          return answer('impossible', { reason: error.said })
        case 'no pipeline':
          if (where.pipelineId !== null && once('pipeline')) {
            where = await findAgain(gitlab, status, where.pipelineId)
            continue
          }
          if (where.pipelineId !== null && once('branch')) {
            where = { sha: status.sha, pipelineId: null }
            continue
          }
          return answer('impossible', { reason: error.said, retryLater: 'perhaps' })
        case 'name taken':
          return answer('impossible', { reason: `a CI job of this pipeline is named ${name} too: ${error.said}` })
        case 'pipeline full':
          return answer('impossible', { reason: `the pipeline has as many jobs as GitLab allows: ${error.said}` })
        case 'commit gone':
          return answer('impossible', { reason: `the commit is gone: ${error.said}` })
        case 'not visible':
          return answer('impossible', {
            reason: `the project is gone or the token cannot see it: ${error.said}`,
            retryLater: 'rights',
          })
        case 'forbidden':
          return answer('impossible', {
            reason: `the token may not set statuses here (it needs Developer, and on a protected branch the right to push or merge): ${error.said}`,
            retryLater: 'rights',
          })
        case 'other':
          return answer('impossible', {
            reason: error.said || error.message,
            ...(error.kind === 'not found' ? { retryLater: 'perhaps' as const } : {}),
          })
      }
    }
  }

  function once(what: string): boolean {
    if (done.has(what)) return false
    done.add(what)
    return true
  }
}

function isUnfinished(state: string): boolean {
  return order.includes(state)
}

/** Within a row GitLab goes from pending to running and never back; from a final state a new row begins, where anything may follow. */
function comesAfter(state: string, last: string): boolean {
  return !isUnfinished(last) || order.indexOf(state) > order.indexOf(last)
}

/** GitLab holds a lock per sha, answers 409 after waiting some 10 s for it itself; we try for 10 s more. */
async function whenFree<T>(gitlab: GitLab, post: () => Promise<T>): Promise<T> {
  const { now, wait, random } = gitlab.time
  let until: number | null = null
  for (let pause = 250; ; pause = Math.min(2_000, pause * 2)) {
    try {
      return await post()
    } catch (error) {
      if (!isGitLabError(error) || error.maybeDone || readRefusal(error)?.why !== 'busy') throw error
      const next = Math.ceil(pause * (0.5 + random()))
      until ??= now() + 10_000
      if (now() + next > until) {
        throw new GitLabError(error.message, { kind: 'conflict', status: error.status, said: error.said, cause: error })
      }
      await wait(next)
    }
  }
}

/** Reads back after a lost answer. Trouble makes calls fail for a moment: a short one is waited out, a longer one is the caller's to wait. */
async function afterPause<T>(gitlab: GitLab, lost: GitLabError, readAgain: () => Promise<T>): Promise<T> {
  const pause = lost.retryAfter ?? 0
  if (pause > 2_000) throw lost
  try {
    if (pause > 0) await gitlab.time.wait(pause)
    return await readAgain()
  } catch {
    throw lost
  }
}

async function latestRow(
  gitlab: GitLab,
  status: StatusToSend,
  where: Where,
  name: string,
): Promise<CommitStatus | null> {
  const found = await gitlab.commitStatuses(status.projectId, where.sha, {
    name,
    ...(where.pipelineId === null ? { ref: status.branch } : { pipelineId: where.pipelineId }),
  })
  return found.reduce<CommitStatus | null>(
    (newest, row) => (newest === null || row.id > newest.id ? row : newest),
    null,
  )
}
