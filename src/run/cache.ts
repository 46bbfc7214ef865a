import { and, desc, eq, inArray, ne, sql } from 'drizzle-orm'
import { matchGlob } from '../config/index.ts'
import type { Context } from '../context.ts'
import { listTree } from '../git/read.ts'
import { mergeCollected } from '../model/array-results.ts'
import { cacheKey, type InputFile, isInput, type NeededInput, type ReusedFrom } from '../model/cache-key.ts'
import { jobNeeds } from '../model/needs.ts'
import type { Collected } from '../model/observation.ts'
import { findProject } from '../store/projects.ts'
import { type AttemptRow, attemptsOf, findRun, type JobRow, jobsOf, type RunRow } from '../store/runs.ts'
import { attempts, jobs, runDirectories, runs } from '../store/schema.ts'

export type Lookup =
  /** It runs. `key` is kept for those that come later; null: of something that it depends on there is no digest. */
  | { readonly kind: 'run'; readonly key: string | null }
  | { readonly kind: 'reuse'; readonly key: string; readonly from: ReusedFrom }
  /** The results of what it needs are on their way. */
  | { readonly kind: 'waits'; readonly message: string }

/**
 * Whether a job with `cache`, which could begin now, need not: an equal one with equal inputs has completed in this project, on the same account of the cluster,
 * and its files are still there. What a person runs again is run, and so is what was to be reused before and was not there.
 */
export async function lookForResult(context: Context, job: JobRow, own: readonly AttemptRow[]): Promise<Lookup> {
  const { db } = context
  const run = (await findRun(db, job.runId))!
  const all = await jobsOf(db, run.id)
  const needed = neededBy(job, all)
  const found = await attemptsOf(
    db,
    needed.map(one => one.id),
    'collected',
  )
  const late = needed.filter(one =>
    found.some(row => row.jobId === one.id && row.final && row.collected === null && row.collectProblem === null),
  )
  if (late.length > 0)
    return { kind: 'waits', message: `waits for the results of ${late.map(one => one.name).join(', ')}` }
  const byJob = Map.groupBy(found, row => row.jobId)
  const files = await treeOf(context, run)
  const parent = parentOf(run)
  const key = keyOf(job, { all, files, parent, results: one => resultsOf(one, byJob.get(one.id) ?? []) })
  const runsAnyway = run.force || own.some(attempt => attempt.state === 'completed' || attempt.reused !== null)
  const from = key === null || runsAnyway ? null : await findResult(context, job, key)
  return from === null ? { kind: 'run', key } : { kind: 'reuse', key: key!, from }
}

/** What it needs, directly or, where that names no outputs, by it. */
function neededBy(job: JobRow, all: readonly JobRow[]): JobRow[] {
  const names = new Set(jobNeeds(job.spec.needs).map(need => need.job))
  // What is added while it goes round is looked at too.
  for (const name of names) {
    const one = all.find(other => other.name === name)
    if (one?.spec.outputs.length === 0) for (const need of jobNeeds(one.spec.needs)) names.add(need.job)
  }
  return all.filter(one => names.has(one.name))
}

interface Known {
  readonly all: readonly JobRow[]
  readonly files: readonly InputFile[]
  readonly parent: string | null
  /** null where they cannot be had, or not all of them. */
  results(job: JobRow): Collected | null
}

function keyOf(job: JobRow, known: Known): string | null {
  const needs: NeededInput[] = []
  for (const need of jobNeeds(job.spec.needs)) {
    const one = known.all.find(other => other.name === need.job)
    // How far something is, or how it failed, is no input that comes again.
    if (one === undefined || one.state !== 'completed' || need.kind === 'after') return null
    const results = known.results(one)
    if (one.spec.outputs.length === 0) {
      const key = keyOf(one, known)
      if (key === null) return null
      needs.push({ job: one.name, key })
    } else if (results === null) return null
    else needs.push({ job: one.name, outputs: results.outputs })
  }
  const wanted = job.spec.cache?.paths ?? null
  const script = job.spec.file?.path
  const files = known.files.filter(({ path }) => path === script || isInput(path, wanted, matchGlob))
  return cacheKey({ spec: job.spec, files, needs, parent: known.parent })
}

function resultsOf(job: JobRow, rows: readonly AttemptRow[]): Collected | null {
  const counting = job.spec.array === undefined ? rows.slice(-1) : rows
  const collected = counting.flatMap(row => row.collected ?? [])
  if (collected.length === 0 || collected.length < counting.length) return null
  const together = job.spec.array === undefined ? collected[0]! : mergeCollected(collected)
  return together === null || together.outputsOmitted > 0 ? null : together
}

/** Of a few commits: jobs that wait for room ask again and again. */
const trees = new Map<string, readonly InputFile[]>()

async function treeOf(context: Context, run: RunRow): Promise<readonly InputFile[]> {
  const name = `${run.projectId} ${run.sha}`
  const known = trees.get(name)
  if (known !== undefined) return known
  const project = (await findProject(context.db, run.projectId))!
  const files = await listTree(await context.mirror(project), run.sha)
  if (trees.size >= 16) trees.delete(trees.keys().next().value!)
  trees.set(name, files)
  return files
}

/** Whatever the run of the parent that it computes from has left may be read; a repair of it is something new. */
function parentOf({ parent, parentGate, parentRunId, parentEndedAt }: RunRow): string | null {
  if (parent === null || parentGate !== 'passed' || parentRunId === null) return null
  return `${parent.branch} ${parentRunId} ${parentEndedAt?.toISOString() ?? '-'}`
}

async function findResult(context: Context, job: JobRow, key: string): Promise<ReusedFrom | null> {
  const found = await context.db
    .select({ runId: runs.id, sha: runs.sha, jobId: jobs.id, job: jobs.name, attemptId: attempts.id })
    .from(jobs)
    .innerJoin(runs, eq(runs.id, jobs.runId))
    .innerJoin(attempts, eq(attempts.jobId, jobs.id))
    .where(
      and(
        eq(jobs.projectId, job.projectId),
        eq(jobs.cacheKey, key),
        eq(jobs.connection, job.connection),
        eq(jobs.state, 'completed'),
        ne(jobs.runId, job.runId),
        inArray(attempts.state, ['completed']),
        sql`${attempts.number} = (select max(a.number) from attempts a where a.job_id = ${jobs.id})`,
        sql`(${attempts.collected}->>'outputsOmitted')::int = 0`,
        sql`not exists (select 1 from ${runDirectories} where ${runDirectories.runId} = ${runs.id} and ${runDirectories.connection} = ${job.connection})`,
      ),
    )
    .orderBy(desc(attempts.endedAt))
    .limit(1)
  return found[0] ?? null
}
