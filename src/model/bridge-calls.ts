import { z } from 'zod'
import { ciModes, formerNames, ownWorkKeys } from './ci.ts'
import { jobStateNames } from './job-state.ts'

/** What CI jobs may call below `/bridge/v1`: one table for the routes and for `/openapi.json`. */

type Shape = Readonly<Record<string, z.ZodType>>

export interface BridgeCall {
  readonly method: 'get' | 'post'
  readonly path: string
  readonly name: string
  readonly summary: string
  readonly query: Shape
  readonly form?: z.ZodType
  /** The words of the answer; beside them stand `said`, a sentence for people, and where something follows it `body`. */
  readonly words: Shape
  /** What follows, in words; none: nothing does. */
  readonly body?: string
}

const text = (description: string) => z.string().optional().describe(description)
const lines = 'One a line.'

/** The order of a CI job. Every value is text, so that a shell can write it; a key without a value is one that was not said. */
export const orderForm = z
  .object({
    mode: z
      .enum(ciModes)
      .describe(
        '`attach`: it stays and follows. `detach`: it ends at once, the result is a commit status. `gate`: the manual CI job `gate` is played at the end.',
      ),
    name: text('Of the CI job: the status is called after it.'),
    job: text('Jobs of `.compops.yml`, with spaces between; without it, and no work of its own, all of them.'),
    gate: text('The manual CI job that is played, where the mode is `gate`.'),
    max_wait: text('How long it may wait for its begin: seconds, or `12h`.'),
    script: text('Commands, run instead of a job of `.compops.yml`.'),
    ...Object.fromEntries([...ownWorkKeys.text, ...ownWorkKeys.count].map(key => [key, text('As in `.compops.yml`.')])),
    ...Object.fromEntries(ownWorkKeys.list.map(key => [key, text(`As in \`.compops.yml\`. ${lines}`)])),
    SCHEDULER_PARAMETERS: text('Options of the scheduler, as in the head of a batch script.'),
    SLURM_EXCLUSIVE: text('Whole nodes, whatever its value.'),
    ...Object.fromEntries(
      Object.entries(formerNames).map(([name, key]) => [name, text(`\`${key}\`, as other bridges call it.`)]),
    ),
  })
  .catchall(z.string().describe('`env.NAME`: a variable of the job. Anything else is refused.'))

const gate = {
  gate: z
    .string()
    .optional()
    .describe(
      'The CI job is the gate of this name: then it is about what the job before it in the pipeline asked for.',
    ),
}
const offset = z.coerce.number().int().min(-1e15).max(1e15)
const state = {
  run: z.uuid(),
  state: z.enum(jobStateNames),
  ended: z.boolean().describe('All that counts has ended, and its results are here.'),
  code: z.number().int().nullable().describe('What the CI job should exit with; null before it has ended.'),
  jobs: z.number().int(),
}
const piece = {
  next: z.number().int().describe('Where the next piece begins.'),
  size: z.number().int().optional().describe('As far as it goes at present.'),
  done: z.boolean().describe('Nothing more comes.'),
}

export const bridgeCalls = {
  start: {
    ...{ method: 'post', path: '/job', name: 'ciStart', query: {}, form: orderForm, words: state },
    summary: 'Hands a computation over. Asked again, with whatever, the same CI job gets the same run.',
    body: 'A line for each job: name, state and native id, with tabs between.',
  },
  state: {
    ...{ method: 'get', path: '/job', name: 'ciState', query: gate, words: state },
    summary:
      'How it stands with what the CI job asked for. A gate that asks too early is played again when it has ended.',
    body: 'A line for each job: name, state and native id, with tabs between.',
  },
  log: {
    ...{ method: 'get', path: '/job/log', name: 'ciLog' },
    summary:
      'The log of a job from a byte on, up to the end of a line; of an array the last lines of its tasks, one an answer, when all have ended.',
    query: {
      ...gate,
      job: z.coerce.number().int().min(0).max(9_999).default(0).describe('Which of them, counted from 0.'),
      attempt: z
        .string()
        .max(64)
        .default('-')
        .describe('`attempt` of the answer before: of another attempt the log is told from its begin.'),
      offset: offset.default(0).describe('`next` of the answer before; below zero: so many bytes before the end.'),
      room: z.coerce
        .number()
        .int()
        .min(0)
        .max(1e15)
        .optional()
        .describe('How much the CI log may still take, as gitlab-runner counts it: 32 bytes more for each line.'),
      after: z.coerce
        .number()
        .int()
        .min(0)
        .max(1e15)
        .optional()
        .describe('It was shown up to here, and no more is asked for but its last lines and what was left out.'),
    },
    words: {
      ...{ ...state, ...piece, attempt: z.uuid().nullable() },
      cost: z.number().int().optional().describe('How much of `room` the piece takes.'),
      full: z.boolean().optional().describe('More is here than there is room for.'),
    },
    body: 'The piece of the log.',
  },
  files: {
    ...{ method: 'get', path: '/job/files', name: 'ciFiles', query: gate },
    summary: 'The outputs that can be fetched.',
    words: { files: z.number().int(), left: z.number().int().describe('What was left on the cluster.') },
    body: 'A line for each: size, SHA-256 and path, with tabs between; the first is number 0.',
  },
  file: {
    ...{ method: 'get', path: '/job/file', name: 'ciFile' },
    summary: 'A piece of an output, at most 4 MiB; whole only as `text/vnd.compops`, since JSON holds text.',
    query: {
      ...gate,
      number: z.coerce.number().int().min(0).max(999_999).describe('Its place in the list of outputs.'),
      offset: offset.min(0).default(0),
    },
    words: piece,
    body: 'The piece of the file.',
  },
  metrics: {
    ...{ method: 'get', path: '/job/metrics', name: 'ciMetrics', query: gate },
    summary: 'The metrics of the jobs as OpenMetrics, for `artifacts:reports:metrics`.',
    words: { metrics: z.number().int() },
    body: 'OpenMetrics.',
  },
  junit: {
    ...{ method: 'get', path: '/job/junit', name: 'ciJUnit', query: gate },
    summary: 'The jobs as test cases, for `artifacts:reports:junit`.',
    words: { jobs: z.number().int() },
    body: 'XML.',
  },
  cancel: {
    ...{ method: 'post', path: '/job/cancel', name: 'ciCancel' },
    summary: 'Cancels the jobs that have not ended.',
    query: {
      ...gate,
      status: z
        .string()
        .max(40)
        .optional()
        .describe('`CI_JOB_STATUS`: where it `failed`, what a push has started goes on.'),
    },
    words: { canceled: z.number().int() },
  },
} as const satisfies Readonly<Record<string, BridgeCall>>
