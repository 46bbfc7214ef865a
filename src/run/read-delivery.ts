import { and, eq, inArray, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import type { MergeRequest } from '../gitlab/gitlab.ts'
import {
  cancelledPipeline,
  type Event,
  type MergeRequestEvent,
  type NoteEvent,
  type PipelineEvent,
  type PushEvent,
} from '../model/event.ts'
import { claimDeliveries, closeDelivery, type DeliveryRow, isPushPending } from '../store/deliveries.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { findProject, type ProjectRow, saveProject } from '../store/projects.ts'
import { runsAt } from '../store/runs.ts'
import { deliveries, reports } from '../store/schema.ts'
import { putBack, rowLease, sideBySide } from '../store/work.ts'
import { branchGone } from './branch-gone.ts'
import { headMoved, lookAgain } from './head.ts'
import { knowProject } from './know-project.ts'
import { endFork, showOnMergeRequest } from './merge-request.ts'
import { followMergeRequest } from './merge-request-effects.ts'
import { moveStatuses } from './move-statuses.ts'
import { asOutage, isTokenTrouble, retryAfterOf } from './outage.ts'
import { pipelineCancelled } from './pipeline-cancelled.ts'
import { refuseWhileRecovering } from './recovering.ts'
import { replant } from './replant.ts'

/** What is done with a note: commands are read in a room of their own. Returns what came of it, in words. */
export type HearNote = (context: Context, note: NoteEvent, deliveryId: string) => Promise<string>

/** Step 2 begins: acts on stored deliveries, those of one project in order, several projects side by side. Returns how many were claimed. */
export async function readDeliveries(context: Context, hear: HearNote): Promise<number> {
  const claimed = await claimDeliveries(context.db, context.claimant, 10)
  const byProject = Map.groupBy(claimed, row => row.projectId ?? 0)
  await sideBySide(
    [...byProject.values()].map(async group => {
      for (const row of group) {
        mustHold(context.lease)
        // What follows from it is only written while nobody else has taken it over.
        await readDelivery({ ...context, lease: rowLease(deliveries, row, context.lease) }, row, hear)
      }
    }),
  )
  return claimed.length
}

async function readDelivery(context: Context, row: DeliveryRow, hear: HearNote): Promise<void> {
  const log = context.log.child({ delivery: row.id })
  try {
    const result = row.event === null ? 'nothing to do' : await actOn(context, row.event, row.id, hear)
    await closeDelivery(context.db, row, result)
    log.info({ step: 'delivery', kind: row.kind, project: row.projectPath, ref: row.ref, result }, result)
  } catch (error) {
    if (error instanceof LeaseLost) return log.info({ step: 'delivery' }, error.message)
    if (isTokenTrouble(error)) await context.renewTokens()
    const fate = await putBack(context.db, deliveries, row, asOutage(error), retryAfterOf(error))
    context.metrics.failures.inc({ verb: 'delivery' })
    log.warn(
      { step: 'delivery', kind: row.kind, project: row.projectPath, ref: row.ref, fate, err: describeError(error) },
      'delivery could not be acted on',
    )
  }
}

/** A delivery is a hint to look: whatever it says is read again from GitLab. Returns what came of it, in words. */
async function actOn(context: Context, event: Event, deliveryId: string, hear: HearNote): Promise<string> {
  if (event.kind === 'other') return event.reason
  const project = await knownProject(context, event)
  if (project === null) return `project ${event.projectId} is not ${event.projectPath}`
  const rule = projectFor(context.config, project.path)
  if (rule === null) return `no rule of the configuration matches ${project.path}`
  const cancelled = event.kind === 'pipeline' && cancelledPipeline.has(event.status)
  if (event.kind === 'push' || event.kind === 'merge request' || cancelled)
    await refuseWhileRecovering(context, project, rule)
  switch (event.kind) {
    case 'push':
      return pushed(context, event, deliveryId)
    case 'merge request':
      return mergeRequestChanged(context, event, deliveryId)
    case 'pipeline':
      return pipelineAppeared(context, event, project.path)
    case 'note':
      return hear(context, event, deliveryId)
    case 'tag':
      return 'tags start nothing'
  }
}

/**
 * The project under GitLab's id. A payload could name another project's id beside a path of its own: an id that is new, or has another path than we know, is
 * looked up. null where GitLab says otherwise.
 */
async function knownProject(context: Context, event: Exclude<Event, { kind: 'other' }>): Promise<ProjectRow | null> {
  const { projectId: id, projectPath: path, defaultBranch } = event
  const known = await findProject(context.db, id)
  if (known?.path !== path) {
    const found = await context.gitlabOf(path).project(id)
    if (found.pathWithNamespace !== path) return null
  }
  return known?.path === path
    ? saveProject(context.db, { id, path, defaultBranch })
    : knowProject(context, { id, path, defaultBranch })
}

async function pushed(context: Context, event: PushEvent, deliveryId: string): Promise<string> {
  const where = { projectId: event.projectId, ref: event.ref }
  if (event.after === null) {
    const gone = await branchGone(context, { ...where, delivered: true })
    if (event.before !== null) await lookAgain(context, event.projectId, event.before)
    return gone
  }
  return headMoved(context, {
    ...where,
    by: event.author,
    how: `push by ${event.author.username}`,
    delivered: true,
    deliveryId,
  })
}

async function mergeRequestChanged(context: Context, event: MergeRequestEvent, deliveryId: string): Promise<string> {
  const seen = await context.gitlabOf(event.projectPath).mergeRequest(event.projectId, event.iid)
  if (seen === null) return `merge request !${event.iid} is not there any more`
  const followed = await followMergeRequest(context, event.projectId, event.projectPath, seen, event.action === 'close')
  if (seen.sourceProjectId !== event.projectId) return fromFork(context, seen)
  if (seen.state !== 'opened') {
    const hangs = await replant(context, event.projectId, seen.sourceBranch)
    return `${followed ?? `merge request !${seen.iid} is ${seen.state}`}${hangs === null ? '' : `; ${hangs}`}`
  }
  const ref = `refs/heads/${seen.sourceBranch}`
  // The push hook of the same commits may have been missed; comparing the head costs little and never runs a commit twice. Where it is only
  // waiting its turn it says better who caused the run.
  const moved = (await isPushPending(context.db, event.projectId, ref))
    ? `the push to ${seen.sourceBranch} is about to be read`
    : await headMoved(context, {
        projectId: event.projectId,
        ref,
        by: event.author,
        event: 'merge request',
        how: `merge request !${seen.iid} by ${event.author.username}`,
        delivered: false,
        deliveryId,
      })
  await replant(context, event.projectId, seen.sourceBranch)
  const shown = await showOnMergeRequest(context, event.projectId, seen.sourceBranch)
  const result = followed ?? moved
  return shown === null ? result : `${result}; !${seen.iid} shows run ${shown}`
}

/** Nothing of a fork runs by itself, whatever is pushed there: only the very commit that a Maintainer has allowed. */
async function fromFork(context: Context, seen: MergeRequest): Promise<string> {
  if (seen.state !== 'opened') {
    await endFork(context.db, seen.targetProjectId, seen.iid)
    return `merge request !${seen.iid} from a fork is ${seen.state}`
  }
  return `!${seen.iid} is from a fork: nothing of it runs before a Maintainer says /compops ok-to-test with its commit`
}

/** A pipeline of GitLab's own has appeared: statuses that waited for it may go now. Or somebody has cancelled one. */
async function pipelineAppeared(context: Context, event: PipelineEvent, projectPath: string): Promise<string> {
  const cancelled = await pipelineCancelled(context, event, projectPath)
  if (cancelled !== null) return cancelled
  if (context.botIds().has(event.author.id)) return 'our own pipeline'
  const moved = await moveStatuses(context, event, projectPath)
  const freed = await context.db
    .update(reports)
    .set({ nextAt: sql`now()` })
    .where(
      and(
        eq(reports.projectId, event.projectId),
        eq(reports.kind, 'status'),
        inArray(reports.runId, runsAt(context.db, event.projectId, event.sha)),
        sql`${reports.sentHash} is null`,
      ),
    )
    .returning({ id: reports.id })
  if (freed.length > 0) context.wake.call('send')
  if (moved > 0) return `pipeline ${event.pipelineId} is ${event.status}; statuses that had gone elsewhere move there`
  return `pipeline ${event.pipelineId} is ${event.status}; ${freed.length} statuses waited for it`
}
