import { eq } from 'drizzle-orm'
import type { Run } from '../model/run.ts'
import type { Db } from '../store/open.ts'
import { loadRun } from '../store/runs.ts'
import { branches, runs } from '../store/schema.ts'
import { findTargets } from '../why/find.ts'

/** A run, and the jobs of it that a person means by an id, a commit, a branch, a native id, or a branch with the name of a job. null where there is none. */
export async function findResults(
  db: Db,
  asked: string,
): Promise<{ readonly run: Run; readonly jobs: Run['jobs'] } | null> {
  const words = asked.trim().split(/\s+/)
  const all = await findTargets(db, asked)
  // A commit or a run, and the name of a job in it.
  const other = all.targets.length === 0 && words.length === 2
  const { targets, job } = other ? { ...(await findTargets(db, words[0]!)), job: words[1]! } : all
  const found = targets.filter(target => target.kind === 'run').map(target => target.id)
  if (found.length === 0) return null
  const run = await loadRun(db, (await shownAmong(db, found)) ?? found[0]!, 'collected')
  // `4711_3` is a task of the array 4711.
  const word = asked.trim().replace(/^compops-(?=[0-9a-f]{8}-)/, '')
  const array = word.replace(/[_[]\d+\]?$/, '')
  const named = run.jobs.filter(
    one =>
      one.name === job ||
      (one.spec.matrix !== undefined && one.spec.matrix.of === job) ||
      one.id === word ||
      one.attempts.some(attempt => attempt.id === word || attempt.nativeId === word || attempt.nativeId === array),
  )
  if (other && named.length === 0) return null
  return { run, jobs: named.length > 0 ? named : run.jobs }
}

/** A branch that came back to an earlier commit shows an older run than its newest. */
async function shownAmong(db: Db, ids: readonly string[]): Promise<string | null> {
  const [row] = await db
    .select({ latest: branches.latestRunId })
    .from(runs)
    .innerJoin(branches, eq(branches.id, runs.branchId))
    .where(eq(runs.id, ids[0]!))
  return row?.latest != null && ids.includes(row.latest) ? row.latest : null
}
