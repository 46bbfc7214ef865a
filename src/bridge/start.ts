import { and, eq, lt } from 'drizzle-orm'
import type { CiCaller } from '../auth/ci-token.ts'
import { Refusal } from '../auth/refusal.ts'
import { type ProjectConfig, projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { ensureCommit, readCommit } from '../git/mirror.ts'
import { ciRef } from '../model/ci.ts'
import { isFinal } from '../model/job-state.ts'
import { branchRefused } from '../run/branch-refused.ts'
import { commitOfRun, readSpecFile } from '../run/computation.ts'
import { headMoved, rememberBranch } from '../run/head.ts'
import { refuseWhileRecovering } from '../run/recovering.ts'
import { retryJob } from '../run/rerun.ts'
import { startRun } from '../run/start.ts'
import { type CiJobRow, findCiJob, keepCiJob, nameRun } from '../store/ci-jobs.ts'
import { findProject, type ProjectRow } from '../store/projects.ts'
import { findRun, findRunCausedBy, findRunOf, jobsOf, type RunRow } from '../store/runs.ts'
import { ciJobs, runs } from '../store/schema.ts'
import { type Form, readOrder } from './order.ts'

/** A project that a CI job runs in, and that is ours. Throws Refusal 403 where it is not. */
export async function projectOf(
  context: Context,
  caller: CiCaller,
): Promise<{ project: ProjectRow; rule: ProjectConfig }> {
  const project = await findProject(context.db, caller.projectId)
  const rule = project === null ? null : projectFor(context.config, project.path)
  if (project === null || rule === null)
    throw new Refusal(403, `This service does not serve ${caller.projectPath} (job_project_id ${caller.projectId})`)
  if (rule.ci === 'none') throw new Refusal(403, `CI jobs of ${project.path} may ask for nothing here (ci: none)`)
  return { project, rule }
}

/**
 * What a CI job asks for: its row first, then the run, named in the row in the transaction that writes it. The same CI job again, after a lost answer or a kill, gets the same run.
 * Throws Refusal with what to do.
 */
export async function startForCi(context: Context, caller: CiCaller, form: Form): Promise<CiJobRow> {
  const { project, rule } = await projectOf(context, caller)
  const known = await findCiJob(context.db, project.id, caller.jobId)
  if (known?.runId != null) return known
  await mayStart(context, caller, project, rule)
  const row = await keepCiJob(context.db, {
    ...{ projectId: project.id, ciJobId: caller.jobId, pipelineId: caller.pipelineId },
    asked: readOrder(context, rule, form),
    ...{ name: (form.name ?? '').slice(0, 255) || String(caller.jobId), branch: caller.ref, sha: caller.sha },
    by: caller.person,
  })
  try {
    await refuseWhileRecovering(context, project, rule)
    const joined = row.asked.own === null ? await join(context, row, project, rule) : false
    if (!joined) await startOwn(context, row, project, rule)
  } catch (error) {
    if (error instanceof CompopsError && !(error instanceof Refusal) && !error.transient)
      throw new Refusal(422, sentence(error.message), { cause: error })
    throw error
  }
  const started = await findCiJob(context.db, project.id, caller.jobId)
  if (started?.runId == null) throw new CompopsError('the run is being written', { transient: true })
  context.audit.record({
    act: 'ci job',
    by: caller.person.username,
    project: project.path,
    ref: caller.ref,
    sha: caller.sha,
    ciJob: caller.jobId,
    result: `${row.asked.mode}: run ${started.runId}`,
  })
  return started
}

/** By where the job runs and by what GitLab says of its ref: never by the project that the code is of. */
async function mayStart(context: Context, caller: CiCaller, project: ProjectRow, rule: ProjectConfig): Promise<void> {
  if (caller.sourceProjectId !== caller.projectId)
    throw new Refusal(
      403,
      `The code is of another project than the job: nothing of a fork runs before a Maintainer has read it (\`/compops ok-to-test\` in the merge request)`,
    )
  if (caller.refType === 'tag') throw new Refusal(422, 'A tag has no computation: let the job run on branches')
  if (rule.ci === 'protected' && !caller.refProtected)
    throw new Refusal(
      403,
      `Only protected branches of ${project.path} may ask for computations, and ${caller.ref} is none (ci: protected)`,
    )
  // On a protected ref GitLab has asked already who may; elsewhere it takes what a push takes.
  if (caller.refProtected) return
  const level = await context.gitlabOf(project.path).memberAccess(project.id, caller.person.id)
  if (level < developer)
    throw new Refusal(
      403,
      `${caller.person.username} may not start computations of ${project.path}: that needs the role Developer`,
    )
}

const developer = 30

/**
 * The computation that the branch stands for is not computed twice: the CI job waits for the run of its commit, which a push has started or starts now. What
 * failed or was cancelled there runs again: somebody has retried the CI job. False where the branch is no computation, or has moved on.
 */
async function join(context: Context, row: CiJobRow, project: ProjectRow, rule: ProjectConfig): Promise<boolean> {
  const ref = `refs/heads/${row.branch}`
  if (branchRefused(rule, project, ref) !== null) return false
  const how = `CI job ${row.ciJobId} (${row.name})`
  await headMoved(context, { projectId: project.id, ref, by: row.by, how, delivered: true, deliveryId: null })
  const run = await findRunOf(context.db, project.id, ref, row.sha)
  if (run === null || run.supersededBy !== null) return false
  const all = await jobsOf(context.db, run.id)
  if (all.length === 0) throw new CompopsError(run.problem ?? 'the run has no jobs')
  checkNames(
    row,
    all.map(job => job.name),
  )
  const wanted = row.asked.jobs.length === 0 ? null : row.asked.jobs
  const failed = all.filter(
    job => (wanted === null || wanted.includes(job.name)) && isFinal(job.state) && job.state !== 'completed',
  )
  // A first CI job of its commit tells how the run went; only another one after it means that it should go again.
  const again = failed.length > 0 && (await hasEarlier(context, row, run))
  if (again)
    for (const job of failed)
      await retryJob(context, { runId: run.id, name: job.name }, { completedToo: false }).catch(error => {
        // Another is quicker, or it needs one that begins again now and waits for it.
        if (!(error instanceof CompopsError) || error.transient) throw error
      })
  await nameRun(context.db, row.id, run.id, wanted)
  return true
}

async function hasEarlier(context: Context, row: CiJobRow, run: RunRow): Promise<boolean> {
  const others = await context.db
    .select({ id: ciJobs.id })
    .from(ciJobs)
    .where(and(eq(ciJobs.runId, run.id), lt(ciJobs.ciJobId, row.ciJobId), eq(ciJobs.name, row.name)))
    .limit(1)
  return others.length > 0
}

/** A run of its own, beside the branches: of what the CI job brought, or of the file of a branch that is no computation. */
async function startOwn(context: Context, row: CiJobRow, project: ProjectRow, rule: ProjectConfig): Promise<void> {
  const mirror = await context.mirror(project)
  if (!(await ensureCommit(mirror, row.sha)))
    throw new CompopsError(`commit ${row.sha.slice(0, 8)} cannot be had from GitLab: it is on no branch any more`)
  const file = row.asked.own === null ? await readSpecFile(mirror, row.sha) : { text: row.asked.own }
  if (file === 'absent')
    throw new CompopsError(`there is no .compops.yml at ${row.sha.slice(0, 8)}: name a \`script\` or a \`file\``)
  const wanted = row.asked.jobs.length === 0 ? null : row.asked.jobs
  const ref = ciRef(row.pipelineId, row.name)
  const cause = `ci:${row.ciJobId}` as const
  const branch = await rememberBranch(context, project.id, ref)
  const said = await startRun(context, {
    ...{ project, rule, branch, sha: row.sha, cause, file, mirror, again: true },
    ...{ by: row.by, how: `CI job ${row.ciJobId} (${row.name})`, deliveryId: null },
    commit: commitOfRun(await readCommit(mirror, row.sha)),
    ...(wanted === null ? {} : { only: wanted }),
    async within(tx, result) {
      const id = /^run (\S+)$/.exec(result)?.[1]
      // A file that is wrong, or without the job, is a mistake to be told: nothing of it is kept.
      if (id === undefined)
        throw new CompopsError(
          wanted === null
            ? result
            : `.compops.yml at ${row.sha.slice(0, 8)} has no job ${wanted.join(', ')}, or its rules leave it out`,
        )
      const run = await findRun(tx, id)
      if (run?.problem != null) throw new CompopsError(run.problem)
      // It would wait for ever: only the run of a branch has a place where somebody can approve it.
      if (run?.approval != null)
        throw new CompopsError(
          'it costs more than may begin unasked: describe it in the .compops.yml of a computation branch, where a Maintainer can approve it',
        )
      checkNames(
        row,
        (await jobsOf(tx, id)).map(job => job.name),
      )
      await tx.update(runs).set({ pipelineId: row.pipelineId, hasCi: true }).where(eq(runs.id, id))
      await nameRun(tx, row.id, id, wanted)
    },
  })
  if ((await findRunCausedBy(context.db, { projectId: project.id, ref, sha: row.sha, cause })) === null)
    throw new CompopsError(said)
}

function checkNames(row: CiJobRow, names: readonly string[]): void {
  const missing = row.asked.jobs.find(name => !names.includes(name))
  if (missing !== undefined)
    throw new CompopsError(
      `.compops.yml has no job ${missing}${names.length === 0 ? '' : `; there are: ${names.slice(0, 40).join(', ')}`}`,
    )
}

function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
