import type { AttemptAnswer, BranchAnswer, JobAnswer, RunAnswer, RunSummary } from '../model/api.ts'
import { isFinal, type JobState } from '../model/job-state.ts'
import { jobNeeds, needInWords } from '../model/needs.ts'
import type { Attempt, Job, Run, Task } from '../model/run.ts'
import { removedInWords } from '../results/removed.ts'
import type { ListedBranch, ListedRun } from '../store/lists.ts'
import { shortBranch } from '../store/runs.ts'

const timeOf = (date: Date | null) => date?.toISOString() ?? null

export function showListed(project: string, run: ListedRun): RunSummary {
  return {
    ...{ id: run.id, project, branch: shortBranch(run.ref), sha: run.sha, subject: run.subject },
    ...{ state: run.state, jobs: run.jobs, cause: run.cause },
    ...{ caused_by: run.causedBy, caused_how: run.causedHow, problem: run.problem },
    ...{ created_at: run.createdAt.toISOString(), ended_at: timeOf(run.endedAt), superseded_by: run.supersededBy },
  }
}

export function showBranch(project: string, branch: ListedBranch): BranchAnswer {
  return {
    name: shortBranch(branch.ref),
    state: branch.state,
    head: branch.headSha,
    parent: branch.parent,
    stale: branch.stale === null ? null : { branch: branch.stale.branch, sha: branch.stale.sha, run: branch.stale.run },
    run: branch.run === null ? null : showListed(project, branch.run),
  }
}

export function showRun(run: Run): RunAnswer {
  return {
    ...{ id: run.id, project: run.projectPath, branch: run.branch, sha: run.sha, subject: run.commit?.subject ?? null },
    ...{ state: run.state, jobs: countStates(run.jobs), cause: run.cause },
    ...{ caused_by: run.causedBy, caused_how: run.causedHow, problem: run.problem },
    ...{ created_at: run.createdAt.toISOString(), ended_at: timeOf(run.endedAt), superseded_by: run.supersededBy },
    parent: showParent(run.parent),
    problems: [...(run.spec?.problems ?? [])],
    removed: removedInWords(run.removed),
    job_list: run.jobs.map(showJob),
  }
}

function showParent(parent: Run['parent']): RunAnswer['parent'] {
  return parent === null ? null : { branch: parent.branch, why: parent.why }
}

function showJob(job: Job): JobAnswer {
  const last = job.attempts.at(-1) ?? null
  const progress = isFinal(job.state) ? null : (last?.progress ?? null)
  return {
    ...{ id: job.id, name: job.name, state: job.state, reason: job.reason, message: job.message },
    ...{
      cluster: job.cluster,
      scheduler: job.scheduler,
      needs: jobNeeds(job.spec.needs).map(needInWords),
      resources: { ...job.spec.resources },
    },
    progress: progress === null ? null : { percent: progress.percent, text: progress.text },
    metrics: { ...last?.collected?.metrics },
    tasks: job.tasks === undefined ? null : showTasks(job.tasks),
    attempts: job.attempts.map(showAttempt),
  }
}

function showTasks(tasks: readonly Task[]): JobAnswer['tasks'] {
  const failed = tasks.filter(task => task.state === 'failed').map(task => task.index)
  return { total: tasks.length, states: countStates(tasks), failed: failed.slice(0, 100) }
}

function showAttempt(attempt: Attempt): AttemptAnswer {
  return {
    ...{ id: attempt.id, number: attempt.number, native_id: attempt.nativeId },
    ...{ state: attempt.state, reason: attempt.reason, message: attempt.message },
    ...{ queue: attempt.queue, nodes: [...attempt.nodes] },
    ...{
      submitted_at: timeOf(attempt.submittedAt),
      started_at: timeOf(attempt.startedAt),
      ended_at: timeOf(attempt.endedAt),
    },
    ...{ exit_code: attempt.exitCode, signal: attempt.signal },
    max_rss_bytes: attempt.accounting?.maxRss ?? null,
    cpu_seconds: attempt.accounting?.cpuSeconds ?? null,
  }
}

function countStates(things: readonly { readonly state: JobState }[]): Partial<Record<JobState, number>> {
  const counts: Partial<Record<JobState, number>> = {}
  for (const { state } of things) counts[state] = (counts[state] ?? 0) + 1
  return counts
}
