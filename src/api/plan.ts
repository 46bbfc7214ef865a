import type { z } from 'zod'
import type { Desk, Seen } from '../auth/desk.ts'
import { Refusal } from '../auth/refusal.ts'
import type { Caller } from '../auth/sign-in.ts'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import { ensureCommit, type Mirror, readHead } from '../git/mirror.ts'
import { PlanAnswer, PlanAsked } from '../model/api.ts'
import { costOf } from '../model/cost.ts'
import type { JobSpec } from '../model/job-spec.ts'
import { jobNeeds, needInWords } from '../model/needs.ts'
import { branchRefused } from '../run/branch-refused.ts'
import { readComputation, readSpecFile } from '../run/computation.ts'
import { planJob, valuesOf } from '../run/plan.ts'
import { explainProblems } from '../spec/index.ts'
import { fullRef } from '../why/find.ts'
import { type Endpoint, endpoint, projectParam } from './endpoint.ts'

/** What would run, without running it: of a branch as it stands in GitLab, or of a file that is not committed yet. */
export function planEndpoints(context: Context, desk: Desk): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/projects/{project}/plan',
      name: 'plan',
      summary:
        'What would run: each job with its resources, the script that would be submitted, where each value came from, and what it can cost at most; or every mistake of the file.',
      params: projectParam,
      body: PlanAsked,
      answer: PlanAnswer,
      async handle({ caller, params, body }) {
        const seen = await desk.project(caller, params.project)
        return plan(context, caller, seen, body)
      },
    }),
  ]
}

async function plan(
  context: Context,
  caller: Caller,
  seen: Seen,
  asked: z.output<typeof PlanAsked>,
): Promise<PlanAnswer> {
  const { project, rule } = seen
  const mirror = await context.mirror(project)
  const branch = asked.branch ?? project.defaultBranch ?? 'main'
  const ref = fullRef(branch)
  // A branch that was not pushed yet begins where it will be compared with: its other files are those of the default branch.
  const sha =
    (await readHead(mirror, ref)) ??
    (asked.text === undefined || project.defaultBranch === null
      ? null
      : await readHead(mirror, fullRef(project.defaultBranch)))
  if (sha === null || !(await ensureCommit(mirror, sha))) throw new Refusal(404, `GitLab has no branch ${branch}`)
  const file = asked.text === undefined ? await committed(mirror, sha, branch) : { text: asked.text }
  const read = await readComputation(context, {
    // As a push of it would be read.
    ...{ rule, project, branch: { ref }, sha, mirror, file, cause: 'head:0' as const },
    ...(asked.text === undefined ? {} : { uncommitted: true }),
    ...(asked.files === undefined ? {} : { files: new Map(Object.entries(asked.files)) }),
  })
  const jobs = read.spec?.jobs ?? []
  const person = caller.person
  return {
    ...{ branch, sha, refused: branchRefused(rule, project, ref), notices: [...read.notices] },
    left_out: read.leftOut.map(job => ({ ...job })),
    problems: [...read.problems],
    explained: read.spec === null ? explainProblems(read.problems, read.text ?? '') : null,
    cost: showCost(jobs),
    jobs: jobs.map(spec => {
      const script = inWords(() => planJob(context, { project, rule, spec, branch, sha, by: person }))
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
