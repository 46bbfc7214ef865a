import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { ensureCommit, readCommit, readHead } from '../git/mirror.ts'
import type { Cause, Person } from '../model/run.ts'
import type { ProjectRow } from '../store/projects.ts'
import type { RunRow } from '../store/runs.ts'
import { findRunCausedBy, shortBranch } from '../store/runs.ts'
import type { Within } from './begin-again.ts'
import { branchRefused } from './branch-refused.ts'
import { commitOfRun, readSpecFile } from './computation.ts'
import { rememberBranch } from './head.ts'
import { refuseWhileRecovering } from './recovering.ts'
import { startRun } from './start.ts'

export interface RunToStartAgain {
  readonly project: ProjectRow
  /** Full. */
  readonly ref: string
  /** Of a merge request from a fork: the very commit that a Maintainer allowed. Whatever has been pushed there since does not run. */
  readonly allowed?: string | undefined
  readonly cause: Cause
  readonly by: Person
  /** For people: `/compops run by alice`. */
  readonly how: string
  /** Only these jobs and what they need; left out: all. */
  readonly only?: readonly string[] | undefined
  /** Other values than those of the file, as text, see spec/overrides.ts. */
  readonly values?: Readonly<Record<string, string>> | undefined
  readonly deliveryId?: string | null
  readonly within?: Within | undefined
}

/**
 * A person wants the head of a branch computed, whatever was computed of it before: a new run in a directory of its own. The same cause twice is one run.
 * Throws, with the reason for people, where there is nothing to compute.
 */
export async function startAgain(context: Context, asked: RunToStartAgain): Promise<RunRow> {
  const { project, ref, cause } = asked
  const rule = projectFor(context.config, project.path)
  if (rule === null) throw new CompopsError(`no rule of the configuration matches ${project.path}`)
  const no = asked.allowed === undefined ? branchRefused(rule, project, ref) : null
  if (no !== null) throw new CompopsError(no)
  await refuseWhileRecovering(context, project, rule)
  const mirror = await context.mirror(project)
  const branch = await rememberBranch(context, project.id, ref)
  const sha = asked.allowed ?? (await readHead(mirror, ref))
  const name = shortBranch(ref)
  if (sha === null) throw new CompopsError(`there is no branch ${name}`)
  if (!(await ensureCommit(mirror, sha))) throw new CompopsError(`commit ${sha.slice(0, 8)} is not there any more`)
  const commit = await readCommit(mirror, sha)
  const file = await readSpecFile(mirror, sha)
  if (file === 'absent') throw new CompopsError(`${name} has no .compops.yml at ${sha.slice(0, 8)}`)
  const result = await startRun(context, {
    ...{ project, rule, branch, sha, cause, file, mirror, again: true },
    ...{ by: asked.by, how: asked.how, deliveryId: asked.deliveryId ?? null },
    ...{ only: asked.only, values: asked.values, within: asked.within },
    commit: commitOfRun(commit),
  })
  const run = await findRunCausedBy(context.db, { projectId: project.id, ref, sha, cause })
  if (run === null) throw new CompopsError(result)
  return run
}
