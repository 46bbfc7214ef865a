import { attemptOfOutput, placeOf } from '../cluster/files.ts'
import { branchFile } from '../model/branch-file.ts'
import { copyFolder } from '../model/copies.ts'
import type { ResultFile, Results, ResultsOfJob } from '../model/results.ts'
import type { Job, Run } from '../model/run.ts'
import { renderEvidence } from '../render/evidence.ts'
import { renderSummary } from '../render/summary.ts'
import { filesOfAttempt } from './piece.ts'
import { removedInWords } from './removed.ts'

/** What there is to fetch of a run, or of some of its jobs, and what is said of it. */
export function resultsOf(
  run: Run,
  jobs: readonly Job[],
  page: { readonly timeZone: string; readonly publicUrl: string; readonly at: Date },
): Results {
  const of = jobs.map(resultsOfJob)
  return {
    run: run.id,
    project: run.projectPath,
    branch: run.branch,
    sha: run.sha,
    state: run.state,
    metadata: renderEvidence(run),
    summary: renderSummary({ ...page, run: { ...run, jobs }, dashboard: false }, of),
    jobs: of,
    removed: removedInWords(run.removed),
  }
}

/** What there is to fetch of a job. */
export function resultsOfJob(job: Job): ResultsOfJob {
  const attempt = job.attempts.at(-1) ?? null
  const folder = copyFolder(job.name)
  const files: ResultFile[] = []
  const left: string[] = []
  const tasks = (job.tasks ?? []).flatMap(({ index, attempt: number }) => {
    const of = job.attempts.find(one => one.number === number)
    return of === undefined ? [] : [{ index, attempt: of.id }]
  })
  if (attempt !== null) {
    const own = { attempt: attempt.id, size: null, sha256: null }
    if (job.tasks === undefined) files.push({ ...own, in: 'log', path: '', local: `${folder}/log.txt` })
    for (const task of tasks)
      files.push({
        ...own,
        ...{ attempt: task.attempt, task: task.index },
        in: 'log',
        path: '',
        local: `${folder}/logs/${task.index}.txt`,
      })
    for (const [path, local] of Object.entries(filesOfAttempt))
      files.push({ ...own, in: 'attempt', path, local: `${folder}/${local}` })
  }
  const outputs = attempt?.collected?.outputs ?? []
  for (const output of outputs) {
    if (/[\0-\x1f\x7f\ufffd]/.test(output.path) || /^\s|\s$/.test(output.path)) {
      left.push(`${JSON.stringify(output.path)}: its name cannot be asked for`)
      continue
    }
    const place = placeOf(output)
    const local = `${folder}/${place === 'output' ? 'output-directory' : 'outputs'}/${branchFile(output.path)}`
    const { path, size, sha256 } = output
    files.push({ attempt: attemptOfOutput(output.at) ?? attempt!.id, in: place, path, size, sha256, local })
  }
  const omitted = attempt?.collected?.outputsOmitted ?? 0
  if (omitted > 0) left.push(`${omitted} more outputs that were not listed`)
  return {
    id: job.id,
    name: job.name,
    state: job.state,
    attempt: attempt?.id ?? null,
    tasks,
    metrics: attempt?.collected?.metrics ?? {},
    files,
    left,
  }
}
