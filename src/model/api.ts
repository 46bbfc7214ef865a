/** What `/api/v1` answers: one contract for the service, for `/openapi.json` and for the command line. Names are in GitLab's style, times in ISO 8601, amounts in the unit of their name. */
import { z } from 'zod'
import { capacityShape } from './capacity.ts'
import { failureReasonNames, jobStateNames } from './job-state.ts'
import { oneLine } from './one-line.ts'
import { piecesOf } from './results.ts'

const State = z.enum(jobStateNames)
const Reason = z.enum(failureReasonNames)
const time = z.iso.datetime()
const Id = z.uuid()

export const PersonAnswer = z.object({ id: z.number().int(), username: z.string(), name: z.string() })

export const Me = PersonAnswer.extend({
  may_write: z.boolean().describe('The token has the scope `api`; with `read_api` it may only look.'),
})

export const About = z.object({
  name: z.literal('compops'),
  version: z.string(),
  gitlab: z
    .string()
    .describe('The GitLab whose tokens are taken and whose projects are computed, e.g. `https://gitlab.example.org`.'),
  time_zone: z.string(),
})

export const ProjectAnswer = z.object({
  id: z.number().int().describe("GitLab's id of the project."),
  path: z.string(),
  default_branch: z.string().nullable(),
  web_url: z.string(),
  access_level: z
    .number()
    .int()
    .describe(
      'Your role there, as GitLab numbers them: 0 none, 10 guest, 20 reporter, 30 developer, 40 maintainer, 50 owner.',
    ),
  clusters: z.array(z.string()).describe('Those that the project may use; the first is the default.'),
})

const counts = z
  .partialRecord(State, z.number().int())
  .describe('How many jobs stand in each state; states without a job are left out.')

const Parent = z.object({ branch: z.string(), why: z.string().describe('How it was found.') })

export const RunSummary = z.object({
  id: Id,
  project: z.string(),
  branch: z.string(),
  sha: z.string(),
  subject: z.string().nullable().describe("The first line of the commit's message."),
  state: State.describe('Of all its jobs: the one that a person should look at first.'),
  jobs: counts,
  cause: z.string(),
  caused_by: PersonAnswer.nullable(),
  caused_how: z.string(),
  problem: z.string().nullable().describe('Why there are no jobs; null where all is well.'),
  created_at: time,
  ended_at: time.nullable(),
  superseded_by: Id.nullable(),
})

export const AttemptAnswer = z.object({
  id: Id,
  number: z.number().int(),
  native_id: z.string().nullable().describe("The scheduler's own id."),
  state: State,
  reason: Reason.nullable(),
  message: z.string().nullable(),
  queue: z.string().nullable(),
  nodes: z.array(z.string()),
  submitted_at: time.nullable(),
  started_at: time.nullable(),
  ended_at: time.nullable(),
  exit_code: z.number().int().nullable(),
  signal: z.number().int().nullable(),
  max_rss_bytes: z.number().nullable(),
  cpu_seconds: z.number().nullable(),
})

export const JobAnswer = z.object({
  id: Id,
  name: z.string(),
  state: State,
  reason: Reason.nullable(),
  message: z.string().nullable().describe('Why it waits, what failed: a sentence for people.'),
  cluster: z.string(),
  scheduler: z.string().nullable(),
  needs: z.array(z.string()),
  resources: z
    .record(z.string(), z.unknown())
    .describe('What it asks of the scheduler: time in seconds, memory in MiB.'),
  progress: z.object({ percent: z.number().nullable(), text: z.string() }).nullable(),
  metrics: z.record(z.string(), z.number()),
  tasks: z
    .object({
      total: z.number().int(),
      states: counts,
      failed: z.array(z.number().int()).describe('The first hundred that failed.'),
    })
    .nullable()
    .describe('Of an array; null of any other job.'),
  attempts: z.array(AttemptAnswer),
})

export const RunAnswer = RunSummary.extend({
  parent: Parent.nullable(),
  problems: z.array(
    z.object({
      path: z.string(),
      line: z.number().int().nullable(),
      column: z.number().int().nullable(),
      message: z.string(),
      remedy: z.string().nullable(),
    }),
  ),
  removed: z.array(z.string()).describe('Sentences about directories on clusters that are gone.'),
  job_list: z.array(JobAnswer),
})

export const RunList = z.object({
  runs: z.array(RunSummary),
  next: z.string().nullable().describe('`after` of the next page; null on the last.'),
})

export const BranchAnswer = z.object({
  name: z.string(),
  state: z.enum(['active', 'gone']),
  head: z.string().nullable(),
  parent: Parent.nullable(),
  stale: z
    .object({ branch: z.string(), sha: z.string(), run: Id })
    .nullable()
    .describe(
      'The newer result of an ancestor than the one that it was computed from; null: it is computed from the newest.',
    ),
  run: RunSummary.nullable().describe('The run that the branch shows.'),
})

export const BranchList = z.object({ branches: z.array(BranchAnswer), next: z.string().nullable() })

export const Tree = z.object({
  project: z.string(),
  branches: z.array(BranchAnswer),
  whole: z.boolean().describe('false: there are more; `branches` lists them page by page.'),
})

export const ResultsAnswer = z.object({
  run: Id,
  project: z.string(),
  branch: z.string(),
  sha: z.string(),
  state: z.string(),
  metadata: z.string().describe('The record of the run in YAML, as the evidence has it.'),
  summary: z.string().describe('The same for people, in Markdown.'),
  jobs: z
    .array(
      z
        .object({
          id: Id,
          name: z.string(),
          state: z.string(),
          attempt: Id.nullable(),
          tasks: z.array(z.object({ index: z.number().int(), attempt: Id }).readonly()).readonly(),
          metrics: z.record(z.string(), z.number()).readonly(),
          files: z
            .array(
              z
                .object({
                  attempt: Id,
                  in: z.enum(piecesOf),
                  task: z.number().int().exactOptional(),
                  path: z.string(),
                  size: z.number().int().nullable(),
                  sha256: z.string().nullable(),
                  local: z.string().describe('A safe path below a directory of results.'),
                })
                .readonly(),
            )
            .readonly(),
          left: z.array(z.string()).readonly().describe('Outputs that cannot be fetched, each with the reason.'),
        })
        .readonly(),
    )
    .readonly(),
  removed: z.array(z.string()).readonly(),
})

const short = z.string().min(1).max(1_000)

const Values = z
  .record(z.string().max(200), z.string().max(1_000))
  .optional()
  .describe(
    'Other values than those of the file, for this one run: `degree`, `solve.mem`, `cluster`, `env.OMP_NUM_THREADS`.',
  )

export const CommandAsked = z.strictObject({
  branch: short.describe('The branch that it is given on.'),
  target: short.nullable().optional().describe('A job of its run, or another branch; without it the run as a whole.'),
  options: z.record(z.string().max(40), z.union([z.string().max(1_000), z.literal(true)])).optional(),
  values: Values,
  words: z.array(short).max(20).optional(),
})

export const CommandAnswer = z.object({
  outcome: z.enum(['done', 'nothing to do']),
  said: z.string().describe('For people, in Markdown.'),
  run: RunSummary.nullable().describe('The run that the branch shows now.'),
})

export const CompareAnswer = z.object({
  runs: z
    .array(
      z.object({
        id: Id,
        branch: z.string(),
        sha: z.string(),
        state: State,
        created_at: time,
        ended_at: time.nullable(),
      }),
    )
    .describe('In the order in which they were asked for; the first is what the others are compared with.'),
  metrics: z.array(
    z.object({
      name: z.string(),
      values: z
        .array(
          z.object({
            value: z.number().nullable(),
            against_first: z
              .enum(['better', 'worse', 'noise', 'same', 'lower', 'higher'])
              .nullable()
              .describe('`better` and `worse` only where the file says which way is better.'),
          }),
        )
        .describe('One for each run.'),
    }),
  ),
  asked: z
    .array(z.object({ name: z.string(), values: z.array(z.string().nullable()) }))
    .describe('Parameters, resources, clusters and variables that differ, as `job: key`.'),
  points: z.array(
    z.object({
      run: Id,
      label: z.string().describe('The job, or the job and its task.'),
      values: z
        .record(z.string(), z.number())
        .describe('`params.<name>`, `metrics.<name>`, `task`, `seconds` (how long it ran).'),
    }),
  ),
  whole: z.boolean().describe('false: there are more points.'),
})

const HoldShown = z.object({
  mode: z.enum(['pause', 'drain']),
  reason: z.string().nullable(),
  by: z.string(),
  since: time,
  until: time.nullable().describe('null: until somebody resumes it.'),
})

export const LoadAnswer = z.object({
  promised_commands_per_second: z.number().describe('At most so many commands of a scheduler, over an hour.'),
  clusters: z.array(
    z.object({
      name: z.string(),
      scheduler: z.string(),
      hold: HoldShown.nullable().describe('Who holds it back; null: nobody.'),
      hours: z
        .array(
          z.object({
            account: z.string().describe("The cluster's name, or `name#user`."),
            began_at: time,
            logins: z.int().describe('Connections made.'),
            programs: z.int().describe('Programs of ours that were run over them.'),
            scheduler_commands: z.int(),
          }),
        )
        .describe('By account, newest first; hours without any use are left out.'),
    }),
  ),
})

export const ClusterList = z.object({
  clusters: z.array(
    z.object({
      name: z.string(),
      scheduler: z.string(),
      tells: z.boolean().describe('Whether its scheduler can tell what it has.'),
      told_at: time.nullable(),
      trouble: z.string().nullable().describe('Why nothing was told the last time; what it told before stands.'),
      troubled_since: time.nullable(),
      has: capacityShape.nullable().describe('What it has and what is free; parts that it does not tell are left out.'),
    }),
  ),
})

export const HoldAsked = z.strictObject({
  reason: z.string().max(300).transform(oneLine).nullable().optional().describe('Everybody whose jobs wait reads it.'),
  until: z
    .string()
    .max(40)
    .nullable()
    .optional()
    .describe('`2h`, `3d`, `18:00`, `2026-12-01 08:00`, `2026-12-01T08:00Z`; without it until somebody resumes it.'),
})

export const HoldAnswer = z.object({
  outcome: z.enum(['done', 'nothing to do']),
  said: z.string().describe('For people.'),
  hold: HoldShown.nullable(),
})

const Cost = z
  .object({
    core_hours: z.number(),
    gpu_hours: z.number(),
    unknown: z.array(z.string()).describe('Jobs without a time limit: of them nothing can be said.'),
  })
  .describe('At most: what is asked for, for the whole of the time limits.')

export const PlanAsked = z.strictObject({
  branch: short.optional().describe('Whose file, as it stands in GitLab; of `text`: where it would be committed.'),
  text: z.string().max(300_000).optional().describe('A `.compops.yml` that need not be committed.'),
  files: z
    .record(short, z.string().max(1_200_000))
    .optional()
    .describe('Files that it names (batch scripts, templates), by path; others are read from the commit.'),
  values: Values,
})

export const PlanAnswer = z.object({
  branch: z.string(),
  sha: z.string().describe('The commit that other files are read from.'),
  refused: z.string().nullable().describe('Why a push to this branch would run nothing; null where it would.'),
  problems: RunAnswer.shape.problems,
  explained: z.string().nullable().describe('The mistakes with the lines around them, in Markdown.'),
  notices: z.array(z.string()),
  left_out: z
    .array(z.object({ name: z.string(), why: z.string() }))
    .describe('Jobs that a push would not run, by their `rules`; `notices` tell of them too.'),
  cost: Cost,
  approval: z
    .string()
    .nullable()
    .default(null)
    .describe('Why its jobs would be held until a Maintainer approves; null where none has to.'),
  jobs: z.array(
    z.object({
      name: z.string(),
      cluster: z.string(),
      needs: z.array(z.string()),
      resources: z.record(z.string(), z.unknown()),
      tasks: z.string().nullable().describe('Of an array.'),
      cost: Cost,
      values: z.array(z.object({ key: z.string(), value: z.unknown(), from: z.string() })),
      script: z.array(z.object({ text: z.string(), from: z.string().nullable() })).describe('What would be submitted.'),
      problem: z.string().nullable().describe('Why its scheduler would not take it.'),
    }),
  ),
})

export const ErrorAnswer = z
  .object({
    type: z.string().optional().describe('`about:blank`: the status says what kind it is.'),
    title: z.string().optional(),
    status: z.int().optional(),
    detail: z.string().optional().describe('For people.'),
    error: z.string().describe('The same, under the name that it had before.'),
    details: z.array(z.string()).optional().describe('Each mistake of the request.'),
    ended: z.boolean().optional().describe('Of a file of an attempt: nothing will come any more.'),
  })
  .describe('Problem details as of RFC 9457.')

export type Me = z.infer<typeof Me>
export type About = z.infer<typeof About>
export type ProjectAnswer = z.infer<typeof ProjectAnswer>
export type RunSummary = z.infer<typeof RunSummary>
export type RunAnswer = z.infer<typeof RunAnswer>
export type JobAnswer = z.infer<typeof JobAnswer>
export type AttemptAnswer = z.infer<typeof AttemptAnswer>
export type BranchAnswer = z.infer<typeof BranchAnswer>
export type BranchList = z.infer<typeof BranchList>
export type RunList = z.infer<typeof RunList>
export type Tree = z.infer<typeof Tree>
export type CommandAnswer = z.infer<typeof CommandAnswer>
export type HoldShown = z.infer<typeof HoldShown>
export type PlanAnswer = z.infer<typeof PlanAnswer>
