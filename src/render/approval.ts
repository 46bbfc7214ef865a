/** What is said of a run that costs more than may begin unasked. */
import type { Approval, Cost, CostLimit } from '../model/cost.ts'
import { type GitLabState, isFinal } from '../model/job-state.ts'
import type { Run } from '../model/run.ts'
import { formatCoreHours, formatCount } from './amounts.ts'
import { cut, oneLine } from './markdown.ts'

/** `1,200 core-h and 96 GPU-h at most`; what cannot be counted is said. */
export function costInWords({ coreHours, gpuHours, unknown }: Cost): string {
  const amounts = [formatCoreHours(coreHours * 3_600), ...(gpuHours > 0 ? [formatGpuHours(gpuHours)] : [])].join(
    ' and ',
  )
  if (unknown.length === 0) return `at most ${amounts}`
  const names = `${cut(unknown.slice(0, 2).join(', '), 60)}${unknown.length > 2 ? ` and ${unknown.length - 2} more` : ''}`
  return `nobody knows how much (no time limit: ${names})`
}

/** `1,000 core-h or 50 GPU-h` */
export function limitInWords({ coreHours, gpuHours }: CostLimit): string {
  return [
    ...(coreHours === null ? [] : [formatCoreHours(coreHours * 3_600)]),
    ...(gpuHours === null ? [] : [formatGpuHours(gpuHours)]),
  ].join(' or ')
}

/** Why its jobs are held: what it costs, what may begin unasked, who may approve, and how. */
export function approvalWanted(approval: Approval, author: string | null): string {
  const who = author === null ? 'a Maintainer' : `a Maintainer other than ${author}`
  return `it can cost ${costInWords(approval.estimate)}; above ${limitInWords(approval.limit)} ${who} approves it: \`/compops approve\``
}

export interface ApprovalStatus {
  readonly state: GitLabState
  readonly description: string
}

/** `compops/approval`, which always ends: with the approval, or with the run. null: it never needed one. */
export function approvalStatus(run: Run): ApprovalStatus | null {
  const { approval } = run
  if (approval == null) return null
  const cost = costInWords(approval.estimate)
  if (approval.approved !== null)
    return { state: 'success', description: oneLine(`approved by ${approval.approved.by.username}: ${cost}`) }
  if (run.endedAt !== null || run.supersededBy !== null || isFinal(run.state))
    return { state: 'canceled', description: 'not approved, and not needed any more' }
  const limit = limitInWords(approval.limit)
  return { state: 'pending', description: oneLine(`a Maintainer approves what can cost more than ${limit}: ${cost}`) }
}

/** For the page of a run: how it stands with the approval, where it needed one. */
export function approvalSentence(run: Run): string | null {
  const { approval } = run
  if (approval?.approved == null) return null
  return `Approved by ${approval.approved.by.username}: it can cost ${costInWords(approval.estimate)}, more than ${limitInWords(approval.limit)}.`
}

function formatGpuHours(hours: number): string {
  return `${hours < 9.95 ? hours.toFixed(1).replace(/\.0$/, '') : formatCount(Math.round(hours))} GPU-h`
}
