import { and, desc, eq, isNull, sql } from 'drizzle-orm'
import { type ProjectConfig, projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { listHeads } from '../git/mirror.ts'
import { isTokenTrouble } from '../run/outage.ts'
import { connectionsOfRule } from '../run/recovering.ts'
import { supersede } from '../run/supersede.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { transact } from '../store/open.ts'
import { allProjects, type ProjectRow } from '../store/projects.ts'
import { recoveringConnections } from '../store/recovery.ts'
import { branches, deliveries, projects, reports, runs } from '../store/schema.ts'
import { importRecords } from './import-records.ts'
import { learnWhatWasTold } from './learn-told.ts'

/**
 * After a restored backup, and once the run directories of its clusters have been read: reads what GitLab knows of a project's runs, and lets the project go on.
 * Returns how many projects did.
 */
export async function recoverProjects(context: Context): Promise<number> {
  let recovered = 0
  for (const project of await allProjects(context.db)) {
    const rule = project.recovering ? projectFor(context.config, project.path) : null
    if (rule === null) continue
    if ((await recoveringConnections(context.db, connectionsOfRule(rule))).length > 0) continue
    mustHold(context.lease)
    try {
      await recoverProject(context, project, rule)
      recovered++
    } catch (error) {
      if (error instanceof LeaseLost) throw error
      if (isTokenTrouble(error)) await context.renewTokens()
      context.metrics.failures.inc({ verb: 'recover' })
      const why = describeError(error)
      await context.db.update(projects).set({ lastError: why }).where(eq(projects.id, project.id))
      context.log.warn(
        { step: 'recover', project: project.path, err: why },
        'what GitLab knows of the project is read again later; nothing is started until then',
      )
    }
  }
  return recovered
}

async function recoverProject(context: Context, project: ProjectRow, rule: ProjectConfig): Promise<void> {
  const mirror = await context.mirror(project)
  const heads = await listHeads(mirror)
  const tip = heads.get(`refs/heads/${rule.evidence.branch}`) ?? null
  const found = tip === null ? null : await importRecords(context, project, rule, { mirror, tip })
  const moved = await moveBranches(context, project, heads)
  await learnWhatWasTold(context, project, rule)
  const done = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    // A connection may have been found to be old meanwhile.
    if ((await recoveringConnections(tx, connectionsOfRule(rule))).length > 0) return false
    await tx
      .update(projects)
      .set({ recovering: false, evidenceSha: tip, lastError: null })
      .where(eq(projects.id, project.id))
    await tx
      .update(deliveries)
      .set({ nextAt: sql`now()` })
      .where(and(eq(deliveries.projectId, project.id), isNull(deliveries.doneAt)))
    return true
  })
  if (!done) return
  const result = `read ${found?.records ?? 0} records of evidence: ${found?.runs ?? 0} runs were not known here, ${found?.leftAlone ?? 0} are left alone; ${moved} branches have moved on`
  context.log.info({ step: 'recover', project: project.path }, `${project.path}: ${result}`)
  context.audit.record({ act: 'project recovered', by: 'compops', project: project.path, result })
  for (const topic of ['deliveries', 'heads', 'prepare', 'submit', 'cancel', 'compose', 'send', 'evidence'] as const)
    context.wake.call(topic)
}

/** Branches show their newest run again; what it superseded is superseded again. Heads that moved on after it are for the next comparison. */
async function moveBranches(
  context: Context,
  project: ProjectRow,
  heads: ReadonlyMap<string, string>,
): Promise<number> {
  let moved = 0
  const siteMode = projectFor(context.config, project.path)?.supersede ?? 'queued'
  const list = await context.db.select().from(branches).where(eq(branches.projectId, project.id))
  for (const branch of list) {
    const ofBranch = await context.db
      .select({ id: runs.id, sha: runs.sha, createdAt: runs.createdAt, cause: runs.cause, supersede: runs.supersede })
      .from(runs)
      .where(eq(runs.branchId, branch.id))
      .orderBy(desc(runs.createdAt), desc(runs.id))
    const latest = ofBranch.find(run => run.id === branch.latestRunId)
    const newer = latest === undefined ? ofBranch : ofBranch.slice(0, ofBranch.indexOf(latest))
    if (newer.length === 0) continue
    const target = newer.find(run => run.sha === heads.get(branch.ref)) ?? newer[0]!
    const moves = ofBranch.map(run => Number(/^head:(\d+)$/.exec(run.cause)?.[1] ?? 0))
    await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      await tx
        .update(branches)
        .set({
          headSha: target.sha,
          latestRunId: target.id,
          generation: Math.max(branch.generation, ...moves),
          state: 'active',
          missingSince: null,
          updatedAt: sql`now()`,
        })
        .where(eq(branches.id, branch.id))
      await supersede(tx, branch.id, target, target.supersede ?? siteMode)
      // A note that was about to show an older run must not cover the newer one that stands there.
      await tx
        .update(reports)
        .set({ sentHash: reports.desiredHash })
        .where(
          and(
            eq(reports.projectId, project.id),
            eq(reports.kind, 'note'),
            sql`${reports.runId} in (select r.id from runs r where r.branch_id = ${branch.id} and r.id <> ${target.id})`,
          ),
        )
    })
    moved++
  }
  return moved
}
