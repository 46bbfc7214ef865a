import { eq, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import { ensureCommit, readCommit } from '../git/mirror.ts'
import type { StaleMark } from '../model/parent.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { rows } from '../store/open.ts'
import { findProject } from '../store/projects.ts'
import { branches } from '../store/schema.ts'
import { eachInTurn } from '../store/work.ts'
import { commitOfRun, readSpecFile } from './computation.ts'
import { startRun } from './start.ts'

interface StaleRow {
  branch_id: string
  mark: StaleMark
  ended_at: Date | string
}

/**
 * Computes again what is stale and asks for it (`on_stale: rerun`), from its own parent's new result; what hangs below follows when that has one.
 * Once for each result. Returns how many were looked at.
 */
export async function rerunStale(context: Context): Promise<number> {
  const due = await rows<StaleRow>(
    context.db,
    sql`select b.id as branch_id, b.stale as mark, p.ended_at from branches b
      join runs r on r.id = b.latest_run_id
      join projects o on o.id = b.project_id and not o.recovering
      join runs p on p.id = (b.stale->>'run')::uuid and p.ended_at is not null
      where b.stale is not null and b.state = 'active' and b.head_sha = r.sha and r.ended_at is not null
        and r.parent->>'rerun' = 'true' and r.parent->>'branch' = b.stale->>'branch'
        and not exists (select 1 from runs n where n.branch_id = b.id and n.sha = r.sha
          and n.cause = 'parent:' || p.id || ':' || floor(extract(epoch from p.ended_at) * 1000)::bigint)
      order by b.id limit 500`,
  )
  const asked = fruitless(context)
  let started = 0
  await eachInTurn(due, async row => {
    mustHold(context.lease)
    try {
      const what = `${row.branch_id} ${row.mark.run} ${new Date(row.ended_at).getTime()}`
      if (asked.has(what)) return
      if (await rerun(context, row)) started++
      else asked.add(what)
    } catch (error) {
      if (error instanceof LeaseLost) throw error
      context.metrics.failures.inc({ verb: 'rerun' })
      context.log.warn({ step: 'tree', err: describeError(error) }, 'a stale branch could not be computed again')
    }
  })
  return started
}

async function rerun(context: Context, { branch_id: id, mark, ended_at: endedAt }: StaleRow): Promise<boolean> {
  const branch = (await context.db.select().from(branches).where(eq(branches.id, id)))[0]!
  const project = await findProject(context.db, branch.projectId)
  const rule = project === null ? null : projectFor(context.config, project.path)
  const sha = branch.headSha
  if (project === null || rule === null || sha === null) return false
  const mirror = await context.mirror(project)
  if (!(await ensureCommit(mirror, sha))) return false
  const file = await readSpecFile(mirror, sha)
  if (file === 'absent') return false
  const commit = await readCommit(mirror, sha)
  const result = await startRun(context, {
    project,
    rule,
    branch,
    sha,
    cause: `parent:${mark.run}:${Math.floor(new Date(endedAt).getTime())}`,
    by: null,
    how: `${mark.branch} has a new result at ${mark.sha.slice(0, 8)}`,
    deliveryId: null,
    commit: commitOfRun(commit),
    file,
    mirror,
    again: true,
    // It may have moved while the mirror was read: then that push says what is computed.
    async within(tx) {
      const now = await tx.select({ n: branches.generation }).from(branches).where(eq(branches.id, id)).for('update')
      if (now[0]?.n !== branch.generation)
        throw new CompopsError(`${branch.ref} moved at the same moment`, { transient: true })
    },
  })
  context.log.info({ step: 'tree', project: project.id, ref: branch.ref, result }, result)
  return result.startsWith('run ')
}

/** What gave no run, as where `rules` leave no job: not asked for again before the next start, else it would be read for ever. */
const noRun = new WeakMap<object, Set<string>>()

function fruitless({ db }: Context): Set<string> {
  const known = noRun.get(db) ?? new Set()
  noRun.set(db, known)
  return known
}
