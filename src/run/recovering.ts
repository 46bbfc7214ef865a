import { and, eq, inArray, sql } from 'drizzle-orm'
import { type ProjectConfig, projectFor } from '../config/index.ts'
import { type Context, connectionName } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { transact } from '../store/open.ts'
import { allProjects, type ProjectRow } from '../store/projects.ts'
import { recoveringConnections } from '../store/recovery.ts'
import { touchRuns } from '../store/runs.ts'
import { connections, jobs, projects } from '../store/schema.ts'

/** Why a project stands still after a restored backup, for people; null where it does not. */
export async function standsStill(context: Context, project: ProjectRow, rule: ProjectConfig): Promise<string | null> {
  const unread = await recoveringConnections(context.db, connectionsOfRule(rule))
  if (unread.length > 0)
    return `waits until the run directories of ${unread.join(', ')} have been read: the database is older than they are`
  if (project.recovering) return 'waits until the evidence branch has been read: the database is older than it is'
  return null
}

/** Throws where nothing may be started for the project yet: its deliveries stay, its heads are compared again. */
export async function refuseWhileRecovering(context: Context, project: ProjectRow, rule: ProjectConfig): Promise<void> {
  const why = await standsStill(context, project, rule)
  if (why !== null) throw new CompopsError(why, { transient: true })
}

export function connectionsOfRule(rule: ProjectConfig): string[] {
  return rule.clusters.map(cluster => connectionName(cluster, rule))
}

/** Jobs that have not begun say what they wait for. */
export async function sayWaiting(context: Context, connection: string): Promise<void> {
  const message = `waits until the run directories of ${connection} have been read after the restored backup`
  const changed = await context.db
    .update(jobs)
    .set({ message })
    .where(
      and(
        eq(jobs.connection, connection),
        inArray(jobs.state, ['waiting', 'held', 'submitting']),
        sql`${jobs.message} is distinct from ${message}`,
      ),
    )
    .returning({ runId: jobs.runId })
  await touchRuns(
    context.db,
    changed.map(row => row.runId),
  )
}

/** The cluster knows more than the database: the account and every project that uses it stand still until it has been read. */
export async function foundOld(context: Context, connection: string, why: string): Promise<void> {
  const using = (await allProjects(context.db)).filter(project => {
    const rule = projectFor(context.config, project.path)
    return rule !== null && connectionsOfRule(rule).includes(connection)
  })
  await transact(context.db, async tx => {
    await tx
      .insert(connections)
      .values({ name: connection, recovering: true })
      .onConflictDoUpdate({ target: connections.name, set: { recovering: true } })
    for (const { id } of using) await tx.update(projects).set({ recovering: true }).where(eq(projects.id, id))
  })
  const result = `the database is older than ${connection}: ${why}. What has happened since is read before anything is submitted`
  context.log.error({ step: 'recover', connection, projects: using.map(project => project.path) }, result)
  context.audit.record({ act: 'database found to be old', by: 'compops', connection, result })
  context.wake.call('recover')
}
