import { eq } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { findBranch } from '../store/branches.ts'
import { transact } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { touchRuns } from '../store/runs.ts'
import { runs } from '../store/schema.ts'
import { basisNow, parentFacts, settleParent } from './parent.ts'

/**
 * A merge request of the branch was opened, retargeted or closed: it may hang elsewhere now. Never where its file names the parent. A run that took nothing
 * from the one before belongs to the new one; what was computed from the data of a parent stays so until it is computed anew.
 */
export async function replant(context: Context, projectId: number, branchName: string): Promise<string | null> {
  const project = await findProject(context.db, projectId)
  const rule = project === null ? null : projectFor(context.config, project.path)
  const branch = await findBranch(context.db, projectId, `refs/heads/${branchName}`)
  if (project === null || rule === null || branch === null) return null
  const { headSha: sha, latestRunId } = branch
  if (branch.state === 'gone' || sha === null || latestRunId === null || branch.parentBy === 'file') return null
  const mirror = await context.mirror(project)
  const facts = await parentFacts(context, { project, rule, branch, sha, mirror }, null)
  return transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const settled = await settleParent(tx, branch, facts)
    if ('refused' in settled || !settled.changed) return null
    const run = (await tx.select().from(runs).where(eq(runs.id, latestRunId)).for('update'))[0]!
    if (run.parentGate === null)
      await tx
        .update(runs)
        .set(await basisNow(tx, projectId, settled.parent, null))
        .where(eq(runs.id, latestRunId))
    else if (run.parentGate !== 'passed') {
      const { parent } = await basisNow(tx, projectId, settled.parent, { rerun: run.parent?.rerun === true })
      await tx.update(runs).set({ parent }).where(eq(runs.id, latestRunId))
    }
    await touchRuns(tx, [latestRunId])
    context.wake.call('tree')
    return settled.parent === null ? 'it has no parent now' : `its parent is ${settled.parent.branch} now`
  })
}
