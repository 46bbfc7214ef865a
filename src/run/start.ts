import { eq, sql } from 'drizzle-orm'
import type { ProjectConfig } from '../config/index.ts'
import type { Context } from '../context.ts'
import { connectionName } from '../context.ts'
import { type Mirror, readFile } from '../git/mirror.ts'
import { newId } from '../model/id.ts'
import type { JobState } from '../model/job-state.ts'
import { jobNeeds, waitsFor } from '../model/needs.ts'
import type { Cause, Person } from '../model/run.ts'
import { moveHead } from '../store/branches.ts'
import { transact } from '../store/open.ts'
import type { ProjectRow } from '../store/projects.ts'
import { type BranchRow, findRunElsewhere, type RunRow, shortBranch } from '../store/runs.ts'
import { branches, jobs, runs } from '../store/schema.ts'
import { readComputation } from './computation.ts'
import { supersede } from './supersede.ts'

export interface RunToStart {
  readonly project: ProjectRow
  readonly rule: ProjectConfig
  readonly branch: BranchRow
  readonly sha: string
  readonly cause: Cause
  readonly by: Person | null
  readonly how: string
  readonly deliveryId: string | null
  readonly commit: { readonly author: string; readonly subject: string }
  readonly file: { readonly text: string } | 'too large' | 'not a file'
  readonly mirror: Mirror
}

/**
 * Step 2: reads the computation at the commit and writes the run, its jobs and what GitLab should show in one transaction.
 * A wrong file makes a failed run without jobs, whose note says key, line and remedy. The same cause twice is one run.
 */
export async function startRun(context: Context, start: RunToStart): Promise<string> {
  const computation = await readComputation(context, start)
  const hasCi = (await readFile(start.mirror, start.sha, '.gitlab-ci.yml', { maxBytes: 16 * 1024 * 1024 })) !== 'absent'
  const runId = newId()
  const state: JobState = computation.spec === null ? 'failed' : 'waiting'

  const written = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    // Two branches at one commit may be read at the same moment: one of them computes it.
    await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`${start.project.id} ${start.sha}`}, 0))`)
    const elsewhere = await findRunElsewhere(tx, start.project.id, start.branch.ref, start.sha)
    await moveHead(tx, start.branch, start.sha)
    if (elsewhere !== null) return elsewhere
    const inserted = await tx
      .insert(runs)
      .values({
        id: runId,
        projectId: start.project.id,
        branchId: start.branch.id,
        ref: start.branch.ref,
        sha: start.sha,
        cause: start.cause,
        causedBy: start.by,
        causedHow: start.how,
        deliveryId: start.deliveryId,
        commit: start.commit,
        parent: parentOf(computation.spec?.parent ?? null),
        specSha256: computation.sha256,
        specText: computation.text,
        problems: computation.problems,
        problem: computation.problem,
        state,
        hasCi,
        ...(state === 'failed' ? { endedAt: context.clock.now() } : {}),
      })
      .onConflictDoNothing()
      .returning({ id: runs.id })
    if (inserted.length === 0) return false
    const specs = computation.spec?.jobs ?? []
    if (specs.length > 0) {
      await tx.insert(jobs).values(
        specs.map((spec, position) => ({
          id: newId(),
          runId,
          projectId: start.project.id,
          position,
          name: spec.name,
          spec,
          cluster: spec.cluster,
          connection: connectionName(spec.cluster, start.rule),
          state: 'waiting' as const,
          message: spec.needs.length > 0 ? waitsFor(jobNeeds(spec.needs)) : null,
        })),
      )
    }
    await tx.update(branches).set({ latestRunId: runId }).where(eq(branches.id, start.branch.id))
    await supersede(tx, start.branch.id, runId, start.sha)
    return true
  })
  if (typeof written === 'object') return computedElsewhere(written)
  if (!written) return `this cause has already started a run (${start.cause})`

  context.wake.call('compose')
  context.wake.call('prepare')
  context.wake.call('cancel')
  const count = computation.spec?.jobs.length ?? 0
  const result =
    computation.spec === null
      ? `run ${runId} failed: ${computation.problem}`
      : [`run ${runId} started with ${count} ${count === 1 ? 'job' : 'jobs'}`, ...computation.notices].join('; ')
  context.audit.record({
    act: 'run started',
    by: start.by?.username ?? 'compops',
    how: start.how,
    project: start.project.path,
    ref: start.branch.ref,
    sha: start.sha,
    run: runId,
    result,
  })
  context.log.info(
    {
      step: 'start',
      run: runId,
      delivery: start.deliveryId,
      project: start.project.path,
      ref: start.branch.ref,
      sha: start.sha,
      jobs: count,
    },
    result,
  )
  return result
}

export function computedElsewhere(run: RunRow): string {
  return `already computed in run ${run.id} on ${shortBranch(run.ref)}; push a new commit to compute it here too`
}

/** Only what the file says; finding it by merge request or fork point comes later. */
function parentOf(named: string | null): { branch: string; why: string } | null {
  return named === null ? null : { branch: named, why: 'parent: in .compops.yml' }
}
