import { Refusal } from '../auth/refusal.ts'
import type { Context } from '../context.ts'
import { verdictOf } from '../model/ci.ts'
import { notBegun } from '../model/job-state.ts'
import type { ResultFile, ResultsOfJob } from '../model/results.ts'
import { readLogPiece } from '../results/log-piece.ts'
import { resultsOfJob } from '../results/manifest.ts'
import { readPiece } from '../results/piece.ts'
import { type CiJobRow, type WantedJob, wantedJobs } from '../store/ci-jobs.ts'
import { loadRun } from '../store/runs.ts'
import type { Answer } from './answer.ts'

/** How it stands with what a CI job asked for. `ended`: also its results are here. */
export async function tellState(context: Context, row: CiJobRow): Promise<Answer & { readonly jobs: WantedJob[] }> {
  const jobs = await wantedJobs(context.db, row)
  const verdict = verdictOf(jobs)
  const ended = verdict.code !== null && jobs.every(job => job.settled)
  const at = jobs.find(job => job.nativeId !== null)
  return {
    jobs,
    words: {
      run: row.runId,
      state: verdict.state,
      ended,
      code: ended ? verdict.code : null,
      jobs: jobs.length,
    },
    said: `${verdict.said}${ended || at === undefined ? '' : ` on ${at.connection.split('#')[0]} as ${at.nativeId}`}`,
    body: jobs.map(job => `${job.name}\t${job.state}\t${job.nativeId ?? '-'}\n`).join(''),
  }
}

/** The most of a log in one answer. */
const logPiece = 512 * 1024

export interface LogAsked {
  /** The place of the job among those that the CI job waits for. */
  readonly job: number
  /** Whose log the offset is of; another has begun anew since. */
  readonly attempt: string
  readonly offset: number
}

/**
 * The log of a job from a byte on. Cut at the end of a line as long as more may come: no letter and no sentence is told in two halves. Whoever asks remembers `next` and
 * `attempt`, and may come back after any time.
 */
export async function tellLog(context: Context, row: CiJobRow, asked: LogAsked): Promise<Answer> {
  const { jobs, ...whole } = await tellState(context, row)
  const job = jobs[asked.job]
  if (job === undefined) throw new Refusal(404, `There are ${jobs.length} jobs, counted from 0`)
  const same = job.attemptId === asked.attempt
  const from = same || asked.offset < 0 ? asked.offset : 0
  const nothing = { next: Math.max(0, from), attempt: job.attemptId }
  // Nobody knocks at a cluster for the log of what has not begun.
  if (job.attemptId === null || notBegun.some(state => state === job.attemptState))
    return {
      ...whole,
      said: sentenceOf(job),
      body: '',
      words: { ...whole.words, ...nothing, done: job.settled && isOver(job) },
    }
  const piece = await readLogPiece(context, {
    ...{ attempt: job.attemptId, in: 'log', path: '', offset: from, bytes: logPiece },
  })
  if ('problem' in piece)
    return {
      ...whole,
      said: sentenceOf(job),
      body: '',
      words: { ...whole.words, ...nothing, done: piece.ended && isOver(job) },
    }
  const { bytes, rest } = wholeLines(Buffer.from(piece.bytes), piece.ended)
  const next = piece.offset + bytes.length
  return {
    ...whole,
    said: sentenceOf(job),
    words: {
      ...whole.words,
      ...{ attempt: job.attemptId, next, size: piece.size },
      done: piece.ended && isOver(job) && rest === 0 && next >= piece.size,
    },
    body: bytes,
  }
}

const isOver = (job: WantedJob) => verdictOf([job]).code !== null

function sentenceOf(job: WantedJob): string {
  const { said } = verdictOf([job])
  return job.nativeId === null ? said : `${said} on ${job.connection.split('#')[0]} as ${job.nativeId}`
}

/** Up to the last end of a line; a line that fills a whole piece goes as it is. */
export function wholeLines(bytes: Buffer, ended: boolean): { bytes: Buffer; rest: number } {
  if (ended && bytes.length < logPiece) return { bytes, rest: 0 }
  const end = bytes.lastIndexOf(10) + 1
  if (end > 0) return { bytes: bytes.subarray(0, end), rest: bytes.length - end }
  return bytes.length >= logPiece ? { bytes, rest: 0 } : { bytes: bytes.subarray(0, 0), rest: bytes.length }
}

interface Fetchable {
  readonly job: string
  readonly file: ResultFile
}

async function outputsOf(
  context: Context,
  row: CiJobRow,
): Promise<{ list: Fetchable[]; left: string[]; jobs: readonly ResultsOfJob[] }> {
  const run = await loadRun(context.db, row.runId!, 'collected')
  const jobs = run.jobs.filter(job => row.wanted === null || row.wanted.includes(job.name))
  const results = jobs.map(resultsOfJob)
  return {
    jobs: results,
    list: results.flatMap(job =>
      job.files
        .filter(file => (file.in === 'checkout' || file.in === 'output') && isPlain(file.path))
        .map(file => ({ job: job.name, file })),
    ),
    left: results.flatMap(job => job.left),
  }
}

/** A path that stays below the directory it is written to. */
const isPlain = (path: string) => !path.startsWith('/') && !path.split('/').some(part => part === '..' || part === '')

/** The outputs that can be fetched, a line each: size, digest, path. Their number is how a piece is asked for. */
export async function tellFiles(context: Context, row: CiJobRow): Promise<Answer> {
  const { list, left } = await outputsOf(context, row)
  return {
    words: { files: list.length, left: left.length },
    said: `${list.length} ${list.length === 1 ? 'output' : 'outputs'}${left.length === 0 ? '' : `; ${left.join('; ').slice(0, 500)}`}`,
    body: list.map(({ file }) => `${file.size ?? '-'}\t${file.sha256 ?? '-'}\t${file.path}\n`).join(''),
  }
}

const filePiece = 4 * 1024 * 1024

export async function tellFile(context: Context, row: CiJobRow, number: number, offset: number): Promise<Answer> {
  const one = (await outputsOf(context, row)).list[number]
  if (one === undefined) throw new Refusal(404, 'There is no such output')
  const piece = await readPiece(context.db, context.clusterOf, { ...one.file, offset, bytes: filePiece })
  if ('problem' in piece) throw new Refusal(404, `${one.file.path} ${piece.problem}`)
  const next = piece.offset + piece.bytes.length
  return {
    words: { next, size: piece.size, done: next >= piece.size || piece.bytes.length === 0 },
    said: one.file.path,
    body: new Uint8Array(piece.bytes),
  }
}

/** OpenMetrics, as `artifacts:reports:metrics` wants it. */
export async function tellMetrics(context: Context, row: CiJobRow): Promise<Answer> {
  const { jobs } = await outputsOf(context, row)
  const lines = jobs.flatMap(job =>
    Object.entries(job.metrics).map(
      ([name, value]) => `${metricName(jobs.length === 1 ? name : `${job.name}_${name}`)} ${value}\n`,
    ),
  )
  return {
    words: { metrics: lines.length },
    said: `${lines.length} metrics`,
    body: lines.length === 0 ? '' : `${lines.join('')}# EOF\n`,
  }
}

const metricName = (name: string) => name.replace(/[^A-Za-z0-9_:]/g, '_').replace(/^(?=\d)/, '_')
