import { eq, sql } from 'drizzle-orm'
import type { ProjectConfig } from '../config/index.ts'
import type { Context } from '../context.ts'
import { connectionName } from '../context.ts'
import { CompopsError } from '../errors.ts'
import type { Mirror } from '../git/mirror.ts'
import { ciJobOfRef } from '../model/ci.ts'
import { type Approval, costOf, isAbove } from '../model/cost.ts'
import { newId } from '../model/id.ts'
import type { JobHold } from '../model/job-hold.ts'
import type { JobSpec } from '../model/job-spec.ts'
import type { JobState } from '../model/job-state.ts'
import { specsNamed } from '../model/matrix.ts'
import { jobNeeds, waitsFor } from '../model/needs.ts'
import type { Cause, Person } from '../model/run.ts'
import { approvalWanted } from '../render/approval.ts'
import { said } from '../spec/index.ts'
import { moveHead } from '../store/branches.ts'
import { transact } from '../store/open.ts'
import type { ProjectRow } from '../store/projects.ts'
import { type BranchRow, findRunElsewhere, type RunRow, shortBranch } from '../store/runs.ts'
import { branches, jobs, runs } from '../store/schema.ts'
import { placeOf, touchTree } from '../store/tree.ts'
import type { Within } from './begin-again.ts'
import { type Computation, hasCiFile, needNoParent, readComputation, refuseParent } from './computation.ts'
import { openGate } from './gates.ts'
import { refuseNeeds } from './needs-across.ts'
import { basisNow, parentFacts, settleParent, useOfParent } from './parent.ts'
import { rememberSchedule } from './schedule.ts'
import { supersede } from './supersede.ts'

export interface RunToStart {
  readonly project: ProjectRow
  readonly rule: ProjectConfig
  readonly branch: BranchRow
  readonly sha: string
  readonly cause: Cause
  /** What made us look at the head; left out: a push. */
  readonly event?: 'merge request'
  readonly by: Person | null
  readonly how: string
  readonly deliveryId: string | null
  readonly commit: { readonly author: string; readonly subject: string }
  readonly file: { readonly text: string } | 'too large' | 'not a file'
  readonly mirror: Mirror
  /** It is wanted, whatever was computed of the commit before: by a person, a schedule, or because its parent has a newer result. */
  readonly again?: boolean
  /** Only these jobs and what they need; left out: all. */
  readonly only?: readonly string[] | undefined
  /** Other values than those of the file, as text, see spec/overrides.ts. */
  readonly values?: Readonly<Record<string, string>> | undefined
  readonly within?: Within | undefined
}

/**
 * Step 2: reads the computation at the commit and writes the run, its jobs and what GitLab should show in one transaction.
 * A wrong file makes a failed run without jobs, whose note says key, line and remedy; where `rules` leave no job there is no run. The same cause twice is one run.
 */
export async function startRun(context: Context, start: RunToStart): Promise<string> {
  const read = await readComputation(context, start)
  let computation = read
  const hasCi = await hasCiFile(start.mirror, start.sha)
  const runId = newId()
  const specs = withNeeds(read.spec?.jobs ?? [], start.only)
  checkValues(start, read, specs)
  const schedule = read.spec?.schedule ?? null
  const noJobs = `no job of .compops.yml is for this (${read.notices.join('; ')})`
  const approval = approvalFor(start.rule, specs)
  const hold = approval === null ? null : holdFor(context, approval, start.by)
  // What a CI job brought is no branch, and has no place in the tree.
  const inTree = read.spec !== null && ciJobOfRef(start.branch.ref) === null
  const facts = inTree ? await parentFacts(context, start, read.spec?.parent ?? null) : null
  const needs = await refuseNeeds(context, start, read)

  const written = await transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    // Two branches at one commit may be read at the same moment: one of them computes it.
    await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`${start.project.id} ${start.sha}`}, 0))`)
    const again = start.again === true
    const elsewhere = again ? null : await findRunElsewhere(tx, start.project.id, start.branch.ref, start.sha)
    if (!again || start.branch.headSha !== start.sha || start.branch.state !== 'active')
      await moveHead(tx, start.branch, start.sha)
    await rememberSchedule(tx, start.branch, elsewhere === null ? schedule : null, context.clock.now())
    if (elsewhere !== null) return elsewhere
    if (read.spec !== null && specs.length === 0) {
      await start.within?.(tx, noJobs)
      return null
    }
    // A file that cannot be read names nobody: the branch keeps its place.
    const settled = facts === null ? { parent: placeOf(start.branch) } : await settleParent(tx, start.branch, facts)
    const parent = 'refused' in settled ? placeOf(start.branch) : settled.parent
    computation =
      'refused' in settled ? refuseParent(read, settled.refused) : parent === null ? needNoParent(needs) : needs
    const state: JobState = computation.spec === null ? 'failed' : 'waiting'
    const inserted = await tx
      .insert(runs)
      .values({
        id: runId,
        projectId: start.project.id,
        branchId: start.branch.id,
        ref: start.branch.ref,
        sha: start.sha,
        cause: start.cause,
        causedBy: start.by,
        causedHow: start.how,
        deliveryId: start.deliveryId,
        commit: start.commit,
        ...(await basisNow(tx, start.project.id, parent, useOfParent(parent, computation.spec))),
        specSha256: computation.sha256,
        specText: computation.text,
        includes: computation.includes,
        schedule,
        problems: computation.problems,
        problem: computation.problem,
        state,
        supersede: computation.spec?.supersede ?? null,
        hasCi,
        approval,
        force: start.again === true,
        ...(state === 'failed' ? { endedAt: context.clock.now() } : {}),
      })
      .onConflictDoNothing()
      .returning({ id: runs.id })
    if (inserted.length === 0) return false
    if (computation.spec !== null && specs.length > 0) {
      await tx.insert(jobs).values(
        specs.map((spec, position) => ({
          id: newId(),
          runId,
          projectId: start.project.id,
          position,
          name: spec.name,
          spec,
          cluster: spec.cluster,
          connection: connectionName(spec.cluster, start.rule),
          ...(hold === null
            ? { state: 'waiting' as const, message: spec.needs.length > 0 ? waitsFor(jobNeeds(spec.needs)) : null }
            : { state: 'held' as const, message: hold.reason, hold }),
        })),
      )
    }
    await tx.update(branches).set({ latestRunId: runId }).where(eq(branches.id, start.branch.id))
    const mode = computation.spec?.supersede ?? start.rule.supersede
    await supersede(tx, start.branch.id, { id: runId, sha: start.sha }, mode)
    await touchTree(tx, start.project.id)
    await openGate(tx, runId)
    await start.within?.(tx, `run ${runId}`)
    return true
  })
  if (written === null) return noJobs
  if (typeof written === 'object') return computedElsewhere(written)
  if (!written) return `this cause has already started a run (${start.cause})`

  context.wake.call('compose')
  context.wake.call('tree')
  context.wake.call('prepare')
  context.wake.call('finish')
  context.wake.call('cancel')
  const count = specs.length
  const result =
    computation.spec === null
      ? `run ${runId} failed: ${computation.problem}`
      : [`run ${runId} started with ${count} ${count === 1 ? 'job' : 'jobs'}`, ...computation.notices].join('; ')
  context.audit.record({
    act: 'run started',
    by: start.by?.username ?? 'compops',
    how: start.how,
    project: start.project.path,
    ref: start.branch.ref,
    sha: start.sha,
    run: runId,
    result,
  })
  context.log.info(
    {
      step: 'start',
      run: runId,
      delivery: start.deliveryId,
      project: start.project.path,
      ref: start.branch.ref,
      sha: start.sha,
      jobs: count,
    },
    result,
  )
  return result
}

/** These jobs and everything that they need, directly or by others, in the file's order. */
function withNeeds(all: readonly JobSpec[], only: readonly string[] | undefined): readonly JobSpec[] {
  if (only === undefined) return all
  const wanted = new Set(only.flatMap(word => specsNamed(all, word).map(job => job.name)))
  // What is added while it goes round is looked at too.
  for (const name of wanted)
    for (const need of jobNeeds(all.find(job => job.name === name)?.needs ?? [])) wanted.add(need.job)
  return all.filter(job => wanted.has(job.name))
}

/** With other values it is no push that a wrong file makes fail: whoever asked is told, and nothing starts. So it is where they are of no job that runs. */
function checkValues(start: RunToStart, read: Computation, specs: readonly JobSpec[]): void {
  if (Object.keys(start.values ?? {}).length === 0) return
  if (read.spec === null) throw new CompopsError(read.problem ?? 'the file cannot be read')
  if (specs.length > 0 && !specs.some(job => Object.values(job.origins).includes(said.file!)))
    throw new CompopsError(`none of the jobs that would run has ${Object.keys(start.values ?? {}).join(', ')}`)
}

/** The limit of this moment: what a site changes later holds for later runs. */
export function approvalFor(rule: ProjectConfig, specs: readonly JobSpec[]): Approval | null {
  const { approval: limit } = rule
  if (limit === undefined || specs.length === 0) return null
  const estimate = costOf(specs)
  return isAbove(estimate, limit) ? { estimate, limit, approved: null } : null
}

const holdFor = (context: Context, approval: Approval, by: Person | null): JobHold => ({
  kind: 'approval',
  by: null,
  reason: approvalWanted(approval, by?.username ?? null),
  since: context.clock.now().toISOString(),
})

export function computedElsewhere(run: RunRow): string {
  return `already computed in run ${run.id} on ${shortBranch(run.ref)}; \`/compops run\` computes it here too`
}
