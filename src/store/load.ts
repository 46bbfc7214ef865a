import { and, desc, eq, like, lt, or, sql } from 'drizzle-orm'
import type { HourOfLoad } from '../model/load.ts'
import type { Db } from './open.ts'
import { connectionLoad } from './schema.ts'

/** Adds to this hour, by the database's clock: several processes use the same cluster, each counts its own. */
export async function addLoad(db: Db, load: Omit<HourOfLoad, 'hour'>): Promise<void> {
  const { connection, logins, programs, schedulerCommands } = load
  await db
    .insert(connectionLoad)
    .values({ connection, hour: sql`date_trunc('hour', now(), 'UTC')`, logins, programs, schedulerCommands })
    .onConflictDoUpdate({
      target: [connectionLoad.connection, connectionLoad.hour],
      set: {
        logins: sql`${connectionLoad.logins} + excluded.logins`,
        programs: sql`${connectionLoad.programs} + excluded.programs`,
        schedulerCommands: sql`${connectionLoad.schedulerCommands} + excluded.scheduler_commands`,
      },
    })
}

/** This hour and the 23 before it, of one cluster with all its accounts or of all; hours without any use are left out. */
export async function loadOfLastDay(db: Db, cluster: string | null): Promise<HourOfLoad[]> {
  return db
    .select()
    .from(connectionLoad)
    .where(
      and(
        sql`${connectionLoad.hour} > now() - interval '24 hours'`,
        cluster === null
          ? undefined
          : or(
              eq(connectionLoad.connection, cluster),
              like(connectionLoad.connection, `${cluster.replaceAll('_', '\\_')}#%`),
            ),
      ),
    )
    .orderBy(connectionLoad.connection, desc(connectionLoad.hour))
}

export async function pruneLoad(db: Db): Promise<void> {
  await db.delete(connectionLoad).where(lt(connectionLoad.hour, sql`now() - interval '30 days'`))
}
