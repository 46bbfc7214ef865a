import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import type { Person } from '../model/run.ts'
import { transact } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { findRun, jobsOf, type RunRow, touchRuns } from '../store/runs.ts'
import { runs } from '../store/schema.ts'
import type { Within } from './begin-again.ts'
import { releaseJobs } from './hold.ts'

const maintainer = 40

export type Approved =
  | { readonly kind: 'done'; readonly released: readonly string[] }
  /** `why`: a sentence for who asked. */
  | { readonly kind: 'refused'; readonly why: string }

/**
 * Lets a run begin that costs more than may begin unasked. Never by its own author, and only by somebody who is a Maintainer at this moment, as GitLab says.
 * The approval is of this run, its commit and its estimate: the next push asks again.
 */
export async function approveRun(
  context: Context,
  { runId, person, within }: { readonly runId: string; readonly person: Person; readonly within?: Within },
): Promise<Approved> {
  const run = await findRun(context.db, runId)
  if (run === null) return { kind: 'refused', why: `there is no run ${runId}` }
  const no =
    refusal(run) ?? (isAuthor(run, person) ? 'who caused a run does not approve it: ask another Maintainer' : null)
  if (no !== null) return { kind: 'refused', why: no }
  const project = (await findProject(context.db, run.projectId))!
  const level = await context.gitlabOf(project.path).memberAccess(project.id, person.id)
  if (level < maintainer) return { kind: 'refused', why: 'only a Maintainer of the project approves what a run costs' }

  const approved = { by: person, at: context.clock.now().toISOString() }
  const released = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const changed = await tx
      .update(runs)
      .set({ approval: sql`${runs.approval} || ${JSON.stringify({ approved })}::jsonb` })
      .where(
        and(
          eq(runs.id, run.id),
          isNull(runs.endedAt),
          isNull(runs.supersededBy),
          sql`${runs.approval}->>'approved' is null`,
        ),
      )
      .returning({ id: runs.id })
    if (changed.length === 0) return null
    const all = await jobsOf(tx, run.id)
    await touchRuns(tx, [run.id])
    const names = await releaseJobs(
      tx,
      all.map(job => job.id),
      'approval',
    )
    await within?.(tx, `approved run ${run.id}`)
    return names
  })
  if (released === null) {
    const now = (await findRun(context.db, run.id))!
    return { kind: 'refused', why: refusal(now) ?? 'it changed at the same moment: look again' }
  }
  for (const topic of ['prepare', 'compose'] as const) context.wake.call(topic)
  context.audit.record({
    act: 'run approved',
    by: person.username,
    project: project.path,
    run: run.id,
    ref: run.ref,
    sha: run.sha,
    result: `${released.length} jobs may begin`,
  })
  context.log.info({ step: 'approve', run: run.id, by: person.username }, 'a run was approved')
  return { kind: 'done', released }
}

function refusal(run: RunRow): string | null {
  if (run.approval === null) return 'this run needs no approval'
  if (run.approval.approved !== null) return `it was approved by ${run.approval.approved.by.username} already`
  if (run.supersededBy !== null) return 'a newer push has taken over'
  return run.endedAt === null ? null : 'it has ended'
}

/** Who caused it, and who wrote the commit, as far as that can be told: git knows names alone. */
function isAuthor(run: RunRow, person: Person): boolean {
  const wrote = (run.commit?.author ?? '').split('<', 1)[0]!.trim()
  return run.causedBy?.id === person.id || (wrote !== '' && wrote === person.name)
}
