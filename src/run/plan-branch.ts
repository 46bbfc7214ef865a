import { Refusal } from '../auth/refusal.ts'
import type { ProjectConfig } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { ensureCommit, type Mirror, readHead } from '../git/mirror.ts'
import type { PlanAnswer } from '../model/api.ts'
import { costOf } from '../model/cost.ts'
import type { JobSpec } from '../model/job-spec.ts'
import { jobNeeds, needInWords } from '../model/needs.ts'
import type { Cause, Person } from '../model/run.ts'
import { approvalWanted } from '../render/approval.ts'
import { explainProblems } from '../spec/index.ts'
import type { ProjectRow } from '../store/projects.ts'
import { branchRefused } from './branch-refused.ts'
import { readComputation, readSpecFile } from './computation.ts'
import { planJob, valuesOf } from './plan.ts'
import { approvalFor } from './start.ts'

export interface BranchToPlan {
  readonly project: ProjectRow
  readonly rule: ProjectConfig
  readonly by: Person
  /** Short; left out: the default branch. */
  readonly branch?: string | undefined
  /** A file that need not be committed. */
  readonly text?: string | undefined
  readonly files?: Readonly<Record<string, string>> | undefined
  /** Other values than those of the file, see spec/overrides.ts. */
  readonly values?: Readonly<Record<string, string>> | undefined
  /** As what it would be read; left out: a push. */
  readonly cause?: Cause
}

/** What would run, without running it: of a branch as it stands in GitLab, or of a file that is not committed yet. Throws Refusal 404 where there is nothing to read, CompopsError for values that mean nothing there. */
export async function planBranch(context: Context, asked: BranchToPlan): Promise<PlanAnswer> {
  const { project, rule, by } = asked
  const mirror = await context.mirror(project)
  const branch = asked.branch ?? project.defaultBranch ?? 'main'
  const ref = branch.startsWith('refs/') ? branch : `refs/heads/${branch}`
  // A branch that was not pushed yet begins where it will be compared with: its other files are those of the default branch.
  const sha =
    (await readHead(mirror, ref)) ??
    (asked.text === undefined || project.defaultBranch === null
      ? null
      : await readHead(mirror, `refs/heads/${project.defaultBranch}`))
  if (sha === null || !(await ensureCommit(mirror, sha))) throw new Refusal(404, `GitLab has no branch ${branch}`)
  const file = asked.text === undefined ? await committed(mirror, sha, branch) : { text: asked.text }
  const read = await readComputation(context, {
    ...{ rule, project, branch: { ref }, sha, mirror, file, cause: asked.cause ?? 'head:0', values: asked.values },
    ...(asked.text === undefined ? {} : { uncommitted: true }),
    ...(asked.files === undefined ? {} : { files: new Map(Object.entries(asked.files)) }),
  })
  const jobs = read.spec?.jobs ?? []
  const approval = approvalFor(rule, jobs)
  return {
    ...{ branch, sha, refused: branchRefused(rule, project, ref), notices: [...read.notices] },
    left_out: read.leftOut.map(job => ({ ...job })),
    problems: [...read.problems],
    explained: read.spec === null ? explainProblems(read.problems, read.text ?? '') : null,
    cost: showCost(jobs),
    approval: approval === null ? null : approvalWanted(approval, by.username),
    jobs: jobs.map(spec => {
      const script = inWords(() => planJob(context, { project, rule, spec, branch, sha, by }))
      return {
        ...{ name: spec.name, cluster: spec.cluster, needs: jobNeeds(spec.needs).map(needInWords) },
        ...{ resources: { ...spec.resources }, tasks: spec.array?.tasks ?? null, cost: showCost([spec]) },
        ...{ values: valuesOf(spec), script: script.lines, problem: script.problem },
      }
    }),
  }
}

async function committed(mirror: Mirror, sha: string, branch: string) {
  const file = await readSpecFile(mirror, sha)
  if (file === 'absent') throw new Refusal(404, `${branch} has no .compops.yml at ${sha.slice(0, 8)}`)
  return file
}

function showCost(jobs: readonly JobSpec[]): PlanAnswer['cost'] {
  const { coreHours, gpuHours, unknown } = costOf(jobs)
  return { core_hours: coreHours, gpu_hours: gpuHours, unknown: [...unknown] }
}

/** A scheduler that has no words for a job says so in the plan. */
function inWords(work: () => ReturnType<typeof planJob>): {
  lines: { text: string; from: string | null }[]
  problem: string | null
} {
  try {
    return { lines: work().map(line => ({ ...line })), problem: null }
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    return { lines: [], problem: error.message }
  }
}
