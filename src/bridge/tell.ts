import { Refusal } from '../auth/refusal.ts'
import type { Context } from '../context.ts'
import { verdictOf } from '../model/ci.ts'
import type { ResultFile, ResultsOfJob } from '../model/results.ts'
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

export const isOver = (job: WantedJob) => verdictOf([job]).code !== null

export function sentenceOf(job: WantedJob): string {
  const { said } = verdictOf([job])
  return job.nativeId === null ? said : `${said} on ${job.connection.split('#')[0]} as ${job.nativeId}`
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
