import { z } from 'zod'
import { noSuch } from '../auth/access.ts'
import type { Desk } from '../auth/desk.ts'
import type { Context } from '../context.ts'
import { ResultsAnswer, RunAnswer } from '../model/api.ts'
import { largestPiece, piecesOf } from '../model/results.ts'
import { answerPiece } from '../results/answer.ts'
import { readForPerson } from '../results/log-piece.ts'
import { createLogReader, type LogReader } from '../results/log-reader.ts'
import { resultsOf } from '../results/manifest.ts'
import { loadRun } from '../store/runs.ts'
import { type Endpoint, endpoint, jobParam, runParam } from './endpoint.ts'
import { showRun } from './show.ts'

/** Reading: a run with its jobs, what it left behind, what a job printed. */
export function runEndpoints(context: Context, desk: Desk, log: LogReader = createLogReader(context)): Endpoint[] {
  const { db, config } = context
  return [
    endpoint({
      method: 'get',
      path: '/runs/{run}',
      name: 'run',
      summary: 'A run with its jobs, their attempts, and how many tasks of an array stand in which state.',
      params: runParam,
      answer: RunAnswer,
      async handle({ caller, params }) {
        const { run } = await desk.run(caller, params.run)
        return showRun(await loadRun(db, run.id, 'collected'))
      },
    }),
    endpoint({
      method: 'get',
      path: '/runs/{run}/results',
      name: 'results',
      summary: 'What a run left behind: its record, a summary, and the files that `attempts/{attempt}/file` brings.',
      params: runParam,
      query: { job: z.string().max(63).optional().describe('Only of this job.') },
      answer: ResultsAnswer,
      async handle({ caller, params, query }) {
        await desk.run(caller, params.run)
        const run = await loadRun(db, params.run, 'collected')
        const jobs = query.job === undefined ? run.jobs : run.jobs.filter(job => job.name === query.job)
        if (query.job !== undefined && jobs.length === 0) throw noSuch(`job in run ${run.id}`)
        const { timeZone, publicUrl } = config
        return resultsOf(run, jobs, { timeZone, publicUrl, at: run.endedAt ?? context.clock.now() })
      },
    }),
    endpoint({
      method: 'get',
      path: '/attempts/{attempt}/file',
      name: 'file',
      summary: `A piece of a file that an attempt left behind, at most ${largestPiece / 1024 / 1024} MiB; the headers x-compops-size, -offset and -ended say where it lies.`,
      params: { attempt: z.uuid() },
      query: {
        in: z.enum(piecesOf),
        path: z.string().max(4_096).default(''),
        offset: z.coerce
          .number()
          .int()
          .default(0)
          .describe('Where it begins; below zero: so many bytes before the end.'),
        bytes: z.coerce.number().int().min(0).max(largestPiece).default(largestPiece),
        task: z.coerce.number().int().min(0).optional().describe('Whose log, of an array.'),
      },
      answer: 'bytes',
      async handle({ caller, params, query }) {
        await desk.attempt(caller, params.attempt)
        return answerPiece(await readForPerson(context, { ...query, attempt: params.attempt }))
      },
    }),
    endpoint({
      method: 'get',
      path: '/jobs/{job}/log',
      name: 'log',
      summary:
        'What a job printed, from a byte on (`offset`, or a Range). `wait`: the answer comes as soon as there is more, or the attempt has ended, or the seconds are over. ' +
        'The headers x-compops-size, -offset, -ended and -attempt say where to go on.',
      params: jobParam,
      query: {
        attempt: z.uuid().optional().describe('One of the job; without it the latest.'),
        task: z.coerce.number().int().min(0).optional().describe('Of an array: whose.'),
        offset: z.coerce.number().int().default(0).describe('Below zero: so many bytes before the end.'),
        bytes: z.coerce.number().int().min(1).max(largestPiece).default(largestPiece),
        wait: z.coerce.number().min(0).max(60).default(0).describe('Seconds.'),
      },
      answer: 'bytes',
      async handle({ caller, params, query, headers, signal }) {
        const { job } = await desk.job(caller, params.job)
        return log(job, { ...query, range: headers.get('range') }, signal)
      },
    }),
  ]
}
