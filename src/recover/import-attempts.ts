import { and, eq, gt, inArray, isNotNull, isNull, ne, notExists, sql } from 'drizzle-orm'
import type { About, DescribedAttempt } from '../cluster/cluster.ts'
import { type ProjectConfig, projectFor } from '../config/index.ts'
import { type Context, connectionName } from '../context.ts'
import { ensureCommit, readCommit } from '../git/mirror.ts'
import { isGitLabError } from '../gitlab/gitlab.ts'
import { newId, timeOfId } from '../model/id.ts'
import { commitOfRun, hasCiFile, readComputation, readSpecFile } from '../run/computation.ts'
import { rememberBranch } from '../run/head.ts'
import { type Db, transact } from '../store/open.ts'
import { findProject, type ProjectRow, saveProject } from '../store/projects.ts'
import { attemptsOf, findRun, jobsOf } from '../store/runs.ts'
import { attempts, branches, jobs, projects, reports, runs } from '../store/schema.ts'
import { rememberTasksLeft } from '../store/tasks.ts'

/**
 * Attempts of one run that lie on a cluster and are not known here: they join their run, which is made where it is not known either. From then on they are rows
 * like any other: polled, collected, concluded. Returns how many joined, or why the directory is left alone.
 */
export async function importAttempts(
  context: Context,
  connection: string,
  runId: string,
  found: readonly DescribedAttempt[],
): Promise<number | string> {
  const projectId = found[0]!.ids.projectId
  const known = await findRun(context.db, runId)
  if (known !== null) {
    if (known.projectId !== projectId) return 'its run belongs to another project'
    return transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      return join(tx, connection, runId, found)
    })
  }
  const about = found.find(one => one.about !== null)?.about ?? null
  if (about === null) return 'it holds no file that says what it is'
  if (about.gitlab !== context.config.gitlab.url) return `it belongs to ${about.gitlab}`
  const project = await projectOf(context, projectId, about)
  if (project === null) return 'GitLab does not show its project'
  const rule = projectFor(context.config, project.path)
  if (rule === null) return `no rule of the configuration matches ${project.path}`
  if (!rule.clusters.includes(about.cluster)) return `${project.path} may not use ${about.cluster}`
  // Two clusters may share a file system: each takes its own.
  if (connectionName(about.cluster, rule) !== connection) return 0

  const mirror = await context.mirror(project)
  if (!(await ensureCommit(mirror, about.sha))) return `commit ${about.sha.slice(0, 8)} is not there any more`
  const file = await readSpecFile(mirror, about.sha)
  if (file === 'absent') return `there is no .compops.yml at ${about.sha.slice(0, 8)}`
  const branch = await rememberBranch(context, project.id, about.ref)
  const { sha, cause } = about
  const computation = await readComputation(context, { rule, project, branch, sha, cause, mirror, file })
  const { spec } = computation
  if (spec === null) return `its .compops.yml is not accepted any more: ${computation.problem}`
  const commit = await readCommit(mirror, about.sha)
  const hasCi = await hasCiFile(mirror, about.sha)

  return transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    await withdrawDoubles(tx, branch.id, { id: runId, sha: about.sha })
    const inserted = await tx
      .insert(runs)
      .values({
        id: runId,
        projectId: project.id,
        branchId: branch.id,
        ref: about.ref,
        sha: about.sha,
        cause: about.cause,
        causedBy: about.by,
        causedHow: about.how,
        commit: commitOfRun(commit),
        parent: spec.parent === null ? null : { branch: spec.parent, why: 'parent: in .compops.yml' },
        specSha256: computation.sha256,
        specText: computation.text,
        includes: computation.includes,
        schedule: spec.schedule ?? null,
        state: 'waiting',
        hasCi,
        createdAt: timeOfId(runId, context.clock.now()),
        // GitLab has been told of it; what a round finds changed is told anew.
        reportedVersion: 1,
      })
      .onConflictDoNothing()
      .returning({ id: runs.id })
    if (inserted.length === 0) return `another run of the same cause (${about.cause}) is known`
    await tx.insert(jobs).values(
      spec.jobs.map((job, position) => ({
        id: newId(),
        runId,
        projectId: project.id,
        position,
        name: job.name,
        spec: job,
        cluster: job.cluster,
        connection: connectionName(job.cluster, rule as ProjectConfig),
        state: 'waiting' as const,
      })),
    )
    return join(tx, connection, runId, found)
  })
}

/** Runs of the same commit that were started since, in ignorance of this one, and of which nothing was handed over: as if they had never been. */
async function withdrawDoubles(tx: Db, branchId: string, run: { readonly id: string; readonly sha: string }) {
  const doubles = await tx
    .select({ id: runs.id })
    .from(runs)
    .where(
      and(
        eq(runs.branchId, branchId),
        eq(runs.sha, run.sha),
        gt(runs.id, run.id),
        notExists(tx.select({ id: attempts.id }).from(attempts).where(eq(attempts.runId, runs.id))),
      ),
    )
  const ids = doubles.map(row => row.id)
  if (ids.length === 0) return
  await tx.update(branches).set({ latestRunId: null }).where(inArray(branches.latestRunId, ids))
  await tx.update(runs).set({ supersededBy: null }).where(inArray(runs.supersededBy, ids))
  await tx.delete(reports).where(inArray(reports.runId, ids))
  await tx.delete(jobs).where(inArray(jobs.runId, ids))
  await tx.delete(runs).where(inArray(runs.id, ids))
}

/** Where the project is not known either, GitLab tells its path: what stands in the file is only a hint. */
async function projectOf(context: Context, id: number, about: About): Promise<ProjectRow | null> {
  const known = await findProject(context.db, id)
  if (known !== null) return known
  try {
    const found = await context.gitlabOf(about.projectPath).project(id)
    await saveProject(context.db, { id, path: found.pathWithNamespace, defaultBranch: found.defaultBranch })
    await context.db.update(projects).set({ recovering: true }).where(eq(projects.id, id))
    return findProject(context.db, id)
  } catch (error) {
    if (isGitLabError(error, 'not found')) return null
    throw error
  }
}

/** In the order in which they were made: the last attempt says how its job stands. */
async function join(tx: Db, connection: string, runId: string, found: readonly DescribedAttempt[]): Promise<number> {
  const rows = await jobsOf(tx, runId)
  let joined = 0
  let open = false
  for (const one of found.toSorted((a, b) => (a.ids.attemptId < b.ids.attemptId ? -1 : 1))) {
    const jobId = one.ids.jobId
    if (!rows.some(job => job.id === jobId)) {
      // Its job was given an id here before the directory was read; on the cluster it had one already.
      const named = rows.find(job => job.name === one.about?.job && job.connection === connection)
      if (named === undefined || (await attemptsOf(tx, [named.id])).length > 0) continue
      await tx.update(jobs).set({ id: jobId }).where(eq(jobs.id, named.id))
      rows.splice(rows.indexOf(named), 1, { ...named, id: jobId })
    }
    const job = rows.find(row => row.id === jobId)
    if (job === undefined || job.connection !== connection) continue
    const before = await attemptsOf(tx, [jobId])
    const number = Math.max(one.about?.attempt ?? 1, ...before.map(attempt => attempt.number + 1))
    const state = one.givenUp ? 'canceled' : one.nativeId === null ? 'submitting' : 'queued'
    const message = one.givenUp ? 'it was given up before it began' : null
    await tx
      .update(attempts)
      .set({
        state: 'canceled',
        message: 'another attempt of the job followed',
        final: true,
        endedAt: sql`now()`,
        leaseUntil: null,
        collectProblem: 'another attempt of the job followed',
      })
      .where(
        and(
          eq(attempts.jobId, jobId),
          ne(attempts.id, one.ids.attemptId),
          eq(attempts.final, false),
          isNull(attempts.array),
        ),
      )
    const whole = job.spec.array === undefined ? null : { ...job.spec.array, renumbered: false }
    const array = whole === null ? null : (one.about?.array ?? whole)
    const createdAt = one.about?.createdAt ?? timeOfId(one.ids.attemptId, new Date())
    await tx.insert(attempts).values({
      id: one.ids.attemptId,
      jobId,
      runId,
      projectId: job.projectId,
      connection,
      number,
      nativeId: one.nativeId,
      state,
      message,
      array,
      createdAt,
      ...(one.nativeId === null ? {} : { submittedAt: createdAt, queuedAt: createdAt }),
      ...(one.givenUp ? { final: true, endedAt: sql`now()` as never, collectProblem: 'it never started' } : {}),
    })
    await tx
      .update(jobs)
      .set({ state, reason: null, message, cancelReason: null, cancelQueuedOnly: false, runAgain: false })
      .where(eq(jobs.id, jobId))
    if (job.spec.array !== undefined) await rememberTasksLeft(tx, jobId, job.spec.array.tasks)
    joined++
    open ||= !one.givenUp
  }
  if (open)
    await tx
      .update(runs)
      .set({ endedAt: null, state: 'waiting', sweptAt: null })
      .where(and(eq(runs.id, runId), isNotNull(runs.endedAt)))
  return joined
}
