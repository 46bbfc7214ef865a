import { and, eq, inArray, isNull } from 'drizzle-orm'
import type { ProjectConfig } from '../config/index.ts'
import { type Context, connectionName } from '../context.ts'
import { type EvidenceFile, listEvidence, readBlobs } from '../git/evidence.ts'
import { fetchMirror, hasCommit, type Mirror } from '../git/mirror.ts'
import { ciJobOfRef } from '../model/ci.ts'
import { newId } from '../model/id.ts'
import type { JobSpec } from '../model/job-spec.ts'
import type { Collected } from '../model/observation.ts'
import { type ComputationToRead, readComputation, readSpecFile } from '../run/computation.ts'
import { rememberBranch } from '../run/head.ts'
import { iidOfForkRef } from '../run/merge-request.ts'
import { type Db, transact } from '../store/open.ts'
import type { ProjectRow } from '../store/projects.ts'
import { fromEvidence } from '../store/recovery.ts'
import { attemptsOf, findRun, type JobRow, jobsOf, touchRuns } from '../store/runs.ts'
import { attempts, jobs, runs } from '../store/schema.ts'
import { type EvidenceRecord, readRecord, recordBytes } from './evidence-record.ts'

export interface ImportedRecords {
  readonly records: number
  readonly runs: number
  readonly leftAlone: number
}

/**
 * Reads the records on the evidence branch: runs that are not known here are added as ended, so that their commits count as computed; of runs that are known as
 * unfinished, jobs that never came to a cluster (cancelled, skipped) end as the record says.
 */
export async function importRecords(
  context: Context,
  project: ProjectRow,
  rule: ProjectConfig,
  { mirror, tip }: { readonly mirror: Mirror; readonly tip: string },
): Promise<ImportedRecords> {
  const all = await listEvidence(mirror, { branch: rule.evidence.branch, tip, folder: 'runs' })
  // Beside the records lie outputs, which anybody's job wrote.
  const files = all.filter(file => !file.path.includes('+outputs/'))
  const count = { records: files.length, runs: 0, leftAlone: 0 }
  const wanted = await unfinishedHere(context.db, files)
  // Once for all: records of old commits, which GitLab may not have any more, must not each ask for them.
  if (wanted.length > 0) await fetchMirror(mirror)
  for (let start = 0; start < wanted.length; start += 50) {
    const page = wanted.slice(start, start + 50).filter(file => file.size <= 4 * recordBytes)
    const texts = await readBlobs(
      mirror,
      page.map(file => file.oid),
    )
    for (const { path, oid } of page) {
      const record = await readRecord(path, texts.get(oid) ?? '')
      const done =
        record !== null && record.project === project.path && (await take(context, project, rule, mirror, record))
      if (done === 'added') count.runs++
      else if (done === false) {
        count.leftAlone++
        context.log.warn({ step: 'recover', project: project.path, path }, 'a record of evidence is left alone')
      }
    }
  }
  return count
}

/** The files of runs that are not known here, or known as unfinished. */
async function unfinishedHere(db: Db, files: readonly EvidenceFile[]): Promise<EvidenceFile[]> {
  const wanted: EvidenceFile[] = []
  for (let start = 0; start < files.length; start += 1_000) {
    const ids = new Map<string, EvidenceFile>()
    for (const file of files.slice(start, start + 1_000)) {
      const id = /-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.yml$/.exec(file.path)?.[1]
      if (id !== undefined) ids.set(id, file)
    }
    if (ids.size === 0) continue
    const known = await db
      .select({ id: runs.id, endedAt: runs.endedAt })
      .from(runs)
      .where(inArray(runs.id, [...ids.keys()]))
    for (const row of known) if (row.endedAt !== null) ids.delete(row.id)
    wanted.push(...ids.values())
  }
  return wanted
}

async function take(
  context: Context,
  project: ProjectRow,
  rule: ProjectConfig,
  mirror: Mirror,
  record: EvidenceRecord,
): Promise<'added' | 'known' | false> {
  const known = await findRun(context.db, record.run)
  if (known !== null) {
    if (known.projectId !== project.id || known.endedAt !== null)
      return known.projectId === project.id ? 'known' : false
    await transact(context.db, async tx => {
      await context.lease.assertHeld(tx)
      if (await endJobs(tx, await jobsOf(tx, known.id), record)) await touchRuns(tx, [known.id])
    })
    return 'known'
  }
  const sha = record.commit.sha
  const specs = await specsAt(context, { rule, project, mirror, sha, includes: record.includes }, record)
  const isBranch = iidOfForkRef(record.branch) === null && ciJobOfRef(record.branch) === null
  const ref = isBranch ? `refs/heads/${record.branch}` : record.branch
  const branch = await rememberBranch(context, project.id, ref)
  return transact(context.db, async tx => {
    await context.lease.assertHeld(tx)
    const inserted = await tx
      .insert(runs)
      .values({
        id: record.run,
        projectId: project.id,
        branchId: branch.id,
        ref,
        sha,
        cause: record.cause as (typeof runs.$inferInsert)['cause'],
        causedHow: record.triggered_by ?? 'known from its evidence',
        commit: { author: record.commit.author ?? '', subject: record.commit.message ?? '' },
        parent: record.parent == null ? null : { branch: record.parent.branch, why: record.parent.why ?? '' },
        specSha256: record.spec?.sha256 ?? null,
        includes: record.includes,
        problem: record.problem ?? null,
        state: record.state,
        createdAt: record.submitted_at,
        endedAt: record.ended_at,
        supersededBy: record.superseded_by ?? null,
        // Its end was told when the record was written.
        reportedVersion: 1,
      })
      .onConflictDoNothing()
      .returning({ id: runs.id })
    if (inserted.length === 0) return false
    // Where file and record do not tell the same jobs, in full, the run has none, only its state: a job whose end nobody knows would be submitted.
    if (specs.length === 0 || specs.some(spec => !Object.hasOwn(record.jobs, spec.name))) return 'added'
    const rows = await tx
      .insert(jobs)
      .values(
        specs.map((spec, position) => ({
          id: newId(),
          runId: record.run,
          projectId: project.id,
          position,
          name: spec.name,
          spec,
          cluster: spec.cluster,
          connection: connectionName(spec.cluster, rule),
          state: 'waiting' as const,
        })),
      )
      .returning()
    await endJobs(tx, rows, record)
    return 'added'
  })
}

/** Jobs as the file describes them at the commit, where that is here; of those with `rules` the ones that the record has. */
async function specsAt(
  context: Context,
  at: Omit<ComputationToRead, 'file'>,
  record: EvidenceRecord,
): Promise<readonly JobSpec[]> {
  if (!(await hasCommit(at.mirror, at.sha))) return []
  const file = await readSpecFile(at.mirror, at.sha)
  if (file === 'absent') return []
  const { spec } = await readComputation(context, { ...at, file })
  return (spec?.jobs ?? []).filter(job => job.origins.rules === undefined || Object.hasOwn(record.jobs, job.name))
}

/** Ends those jobs that wait and that the record knows as ended. Returns whether there were any. */
async function endJobs(tx: Db, rows: readonly JobRow[], record: EvidenceRecord): Promise<boolean> {
  let changed = false
  for (const job of rows) {
    const told = Object.hasOwn(record.jobs, job.name) ? record.jobs[job.name] : undefined
    if (told === undefined || (job.state !== 'waiting' && job.state !== 'held')) continue
    const before = await attemptsOf(tx, [job.id])
    if (before.some(attempt => !attempt.final)) continue
    const ended = await tx
      .update(jobs)
      .set({
        state: told.state,
        reason: told.reason ?? null,
        message: told.message ?? null,
        scheduler: told.scheduler ?? null,
        cancelReason: null,
        cancelQueuedOnly: false,
      })
      .where(and(eq(jobs.id, job.id), inArray(jobs.state, ['waiting', 'held']), isNull(jobs.cancelReason)))
      .returning({ id: jobs.id })
    if (ended.length === 0) continue
    changed = true
    const missing = told.attempts.filter(one => !before.some(attempt => attempt.nativeId === (one.native_id ?? null)))
    if (missing.length === 0) continue
    await tx.insert(attempts).values(
      missing.map((one, index) => ({
        id: newId(),
        jobId: job.id,
        runId: job.runId,
        projectId: job.projectId,
        connection: job.connection,
        number: before.length + index + 1,
        nativeId: one.native_id ?? null,
        state: one.state,
        reason: one.reason ?? null,
        queue: one.queue ?? null,
        nodes: one.nodes,
        submittedAt: one.submitted_at ?? null,
        queuedAt: one.queued_at ?? null,
        startedAt: one.started_at ?? null,
        endedAt: one.ended_at ?? null,
        exitCode: one.exit_code ?? null,
        signal: one.signal ?? null,
        restarts: one.restarts,
        scriptSha256: one.script?.sha256 ?? null,
        final: true,
        collected: index === missing.length - 1 ? collectedOf(told) : null,
        collectProblem: fromEvidence,
      })),
    )
  }
  return changed
}

function collectedOf(told: EvidenceRecord['jobs'][string]): Collected {
  return {
    outputs: told.outputs.map(one => ({ ...one, sha256: one.sha256 ?? null })),
    outputsOmitted: told.outputs_omitted,
    metrics: told.metrics,
    metricsProblem: told.metrics_problem ?? null,
    logTail: '',
    logSize: 0,
    environment: {},
  }
}
