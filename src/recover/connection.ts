import { and, eq, inArray, isNotNull } from 'drizzle-orm'
import type { AttemptIds } from '../cluster/cluster.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError, toError } from '../errors.ts'
import { isAway, setUnreachable } from '../run/connection.ts'
import { pollCluster } from '../run/poll.ts'
import { sayWaiting } from '../run/recovering.ts'
import { type Db, transact } from '../store/open.ts'
import { recoveringConnections } from '../store/recovery.ts'
import { attempts, connections } from '../store/schema.ts'
import { importAttempts } from './import-attempts.ts'

/**
 * After a restored backup: reads from the run directories of an account what was submitted since, so that none of it is submitted again, and asks the scheduler
 * once what has become of it all. Returns whether it is still to be done.
 */
export async function recoverConnection(context: Context, connection: string): Promise<boolean> {
  if ((await recoveringConnections(context.db, [connection])).length === 0) return false
  const log = context.log.child({ step: 'recover', connection })
  await sayWaiting(context, connection)
  const found = { directories: 0, runs: new Set<string>(), attempts: 0, leftAlone: 0 }
  try {
    for await (const page of pagesOf(context, connection)) {
      found.directories += page.length
      const unknown = await withoutKnown(context.db, page)
      const described = await ofCluster(context, connection, cluster => cluster.directories.describe(unknown))
      const handedOver = described.filter(one => one.handedOver)
      for (const [runId, group] of Map.groupBy(handedOver, one => one.ids.runId)) {
        const answer = await importAttempts(context, connection, runId, group)
        if (typeof answer === 'number') {
          if (answer > 0) found.runs.add(runId)
          found.attempts += answer
        } else {
          found.leftAlone++
          log.warn({ run: runId, project: group[0]?.ids.projectId }, `a run directory is left alone: ${answer}`)
        }
      }
    }
    // What the rows say is yesterday's until a whole round has been seen.
    await pollCluster(context, connection)
    if (await isAway(context, connection))
      throw new CompopsError('its jobs could not be asked for', { transient: true })
  } catch (thrown) {
    const error = toError(thrown)
    if (!(error instanceof CompopsError)) throw error
    context.metrics.failures.inc({ verb: 'recover' })
    log.warn({ err: describeError(error) }, 'the run directories are read again later; nothing is submitted until then')
    return true
  }
  await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    await tx.update(connections).set({ recovering: false }).where(eq(connections.name, connection))
  })
  const result = `read ${found.directories} run directories: ${found.attempts} attempts of ${found.runs.size} runs were not known here, ${found.leftAlone} runs are left alone`
  log.info({ ...found, runs: [...found.runs].slice(0, 100) }, `${connection}: ${result}`)
  context.audit.record({ act: 'cluster recovered', by: 'compops', connection, result })
  for (const topic of ['recover', 'poll', 'collect'] as const) context.wake.call(topic)
  return false
}

async function* pagesOf(context: Context, connection: string): AsyncGenerator<readonly AttemptIds[]> {
  const pages = context.clusterOf(connection).directories.attempts()[Symbol.asyncIterator]()
  for (;;) {
    const page = await ofCluster(context, connection, () => pages.next())
    if (page.done === true) return
    if (page.value === 'absent') {
      // Where something was submitted there is a root: else its file system is not mounted, and an empty list would be a lie.
      if (await wasUsed(context.db, connection))
        throw new CompopsError(`the root of ${connection} is not there`, { transient: true })
      return
    }
    yield page.value
  }
}

/** What fails here is the cluster's trouble, not that of GitLab or of our database. */
async function ofCluster<T>(
  context: Context,
  connection: string,
  ask: (cluster: ReturnType<Context['clusterOf']>) => Promise<T>,
): Promise<T> {
  try {
    return await ask(context.clusterOf(connection))
  } catch (error) {
    if (error instanceof CompopsError) await setUnreachable(context, connection, error)
    throw error
  }
}

async function wasUsed(db: Db, connection: string): Promise<boolean> {
  const found = await db
    .select({ id: attempts.id })
    .from(attempts)
    .where(and(eq(attempts.connection, connection), isNotNull(attempts.nativeId)))
    .limit(1)
  return found.length > 0
}

async function withoutKnown(db: Db, page: readonly AttemptIds[]): Promise<AttemptIds[]> {
  const unknown: AttemptIds[] = []
  for (let start = 0; start < page.length; start += 1_000) {
    const part = page.slice(start, start + 1_000)
    const found = await db
      .select({ id: attempts.id })
      .from(attempts)
      .where(
        inArray(
          attempts.id,
          part.map(ids => ids.attemptId),
        ),
      )
    const known = new Set(found.map(row => row.id))
    unknown.push(...part.filter(ids => !known.has(ids.attemptId)))
  }
  return unknown
}
