import { posix } from 'node:path'
import type { InputFile } from '../cluster/contract.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import type { InputTaken } from '../model/parent.ts'
import { findRun, type JobRow, jobsOf, loadRun, type RunRow } from '../store/runs.ts'
import { attemptThatHas, broughtTo, type Offered } from './bring-inputs.ts'

/**
 * The files that a job takes from the run that its own was computed from, out of what that run's jobs have listed as their outputs. Throws where one is not
 * there: the job is not submitted, and says so. What lies on another cluster is brought first; until then a transient error says that.
 */
export async function inputsOf(context: Context, run: RunRow, job: JobRow): Promise<(InputFile & InputTaken)[]> {
  const asked = (job.spec.inputs ?? []).flatMap(({ paths }) => paths)
  if (asked.length === 0) return []
  if (run.parent === null || run.parentRunId === null)
    throw new CompopsError(`${job.name} takes files from the parent, and this branch has none`)
  const { branch, sha = '' } = run.parent
  const from = `${branch} at ${sha.slice(0, 8)}`
  const offered = await outputsOf(context, run.parentRunId)
  const taken = new Map<string, Offered>()
  for (const glob of asked) {
    const found = offered.filter(file => posix.matchesGlob(file.path, glob))
    if (found.length === 0) throw new CompopsError(`${from} has no output that matches ${glob}${listed(offered)}`)
    for (const file of found) taken.set(file.path, file)
  }
  const files = [...taken.values()]
  const away = files.filter(file => file.connection !== job.connection)
  if (away.length === 0) return files
  const brought = new Map(broughtTo(context, job, away, from).map(file => [file.path, file.from]))
  return files.map(file =>
    brought.has(file.path) ? { ...file, from: brought.get(file.path)!, broughtFrom: file.cluster } : file,
  )
}

/** Why a job cannot be handed over yet: its inputs are brought from another cluster, or cannot be at present. null: they are there, or it takes none, or the attempt shall tell what is wrong with them. */
export async function waitsForInputs(context: Context, job: JobRow): Promise<string | null> {
  if ((job.spec.inputs ?? []).length === 0) return null
  const run = await findRun(context.db, job.runId)
  try {
    await inputsOf(context, run!, job)
    return null
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    return error.transient ? describeError(error) : null
  }
}

/** As it is kept with the attempt, for the lineage. */
export function inputsTaken(inputs: readonly InputFile[]): InputTaken[] | null {
  if (inputs.length === 0) return null
  return inputs.map(({ path, size, sha256, ...more }) => {
    const job = 'job' in more && typeof more.job === 'string' ? more.job : ''
    const cluster = 'broughtFrom' in more && typeof more.broughtFrom === 'string' ? more.broughtFrom : null
    return { path, size, sha256, job, ...(cluster === null ? {} : { cluster }) }
  })
}

/** Where two jobs of a run have written the same file, the later one's counts. */
async function outputsOf(context: Context, runId: string): Promise<Offered[]> {
  const parent = await loadRun(context.db, runId, 'collected')
  const connections = new Map((await jobsOf(context.db, runId)).map(job => [job.name, job.connection]))
  const gone = new Set((parent.removed ?? []).map(({ cluster }) => cluster))
  const offered = new Map<string, Offered>()
  for (const job of parent.jobs) {
    if (job.state !== 'completed' || gone.has(job.cluster)) continue
    const attempt = job.attempts.at(-1)
    for (const { path, size, sha256, at } of attempt?.collected?.outputs ?? [])
      offered.set(path, {
        ...{ path, size, sha256, from: at, job: job.name },
        attempt: attemptThatHas(at, {
          ...{ projectId: parent.projectId, runId, jobId: job.id },
          ...{ id: attempt!.id, nativeId: attempt!.nativeId },
        }),
        connection: connections.get(job.name) ?? '',
        cluster: job.cluster,
      })
  }
  if (offered.size === 0 && gone.size > 0)
    throw new CompopsError(`what the parent had computed was removed by age: compute it again with a new commit`)
  return [...offered.values()]
}

function listed(offered: readonly Offered[]): string {
  if (offered.length === 0) return ': it has no outputs; name them under `outputs` there'
  const shown = offered.slice(0, 5).map(file => file.path)
  return `; it has ${shown.join(', ')}${offered.length > shown.length ? ` and ${offered.length - shown.length} more` : ''}`
}
