import { eq } from 'drizzle-orm'
import { Refusal } from '../auth/refusal.ts'
import type { Context } from '../context.ts'
import { notBegun } from '../model/job-state.ts'
import { runUrl } from '../render/links.ts'
import { readLogPiece } from '../results/log-piece.ts'
import type { CiJobRow, WantedJob } from '../store/ci-jobs.ts'
import { attempts } from '../store/schema.ts'
import type { Answer } from './answer.ts'
import { costOf, fromLine, headThatFits, tailThatFits } from './log-room.ts'
import { isOver, sentenceOf, tellState } from './tell.ts'
import { tellTask } from './tell-tasks.ts'

/** The most of a log in one answer. */
const logPiece = 512 * 1024
/** The end of a log that is longer than a CI log may be. */
const tail = { bytes: 8_000, lines: 100 }

export interface LogAsked {
  /** The place of the job among those that the CI job waits for. */
  readonly job: number
  /** Whose log the offset is of; another has begun anew since. */
  readonly attempt: string
  readonly offset: number
  /** How much the CI log may still take, in GitLab's count (log-room.ts). */
  readonly room: number
  /** The log has been shown up to this byte, and there is room for no more of it but its end. */
  readonly after: number | null
}

/**
 * The log of a job from a byte on. Cut at the end of a line as long as more may come: no letter and no sentence is told in two halves. Whoever asks remembers `next` and
 * `attempt`, and may come back after any time. `full`: more is here than there is room for; then `after` brings the last lines, once the job has ended, and says what was left out.
 */
export async function tellLog(context: Context, row: CiJobRow, asked: LogAsked): Promise<Answer> {
  const { jobs, ...whole } = await tellState(context, row)
  const job = jobs[asked.job]
  if (job === undefined) throw new Refusal(404, `There are ${jobs.length} jobs, counted from 0`)
  const same = job.attemptId === asked.attempt
  const answer = (words: Answer['words'], body: Answer['body'] = '', said = sentenceOf(job)): Answer => ({
    ...whole,
    ...{ said, body },
    words: { ...whole.words, attempt: job.attemptId, ...words },
  })
  const from = same || asked.offset < 0 ? asked.offset : 0
  const nothing = { next: Math.max(0, from) }
  const over = job.settled && isOver(job)
  // Nobody knocks at a cluster for the log of what has not begun.
  if (job.attemptId === null || notBegun.some(state => state === job.attemptState))
    return answer({ ...nothing, done: over })
  if (job.array) {
    if (!over) return answer({ ...nothing, done: false })
    const { room, after } = asked
    return tellTask(context, { row, job, from: same ? (after ?? asked.offset) : 0, room, after }, answer)
  }
  if (asked.after !== null) {
    if (!over) return answer({ next: asked.after, done: false })
    return tellEnd(context, row, job, { shown: same ? asked.after : 0, room: asked.room }, answer)
  }
  const piece = await readLogPiece(context, {
    ...{ attempt: job.attemptId, in: 'log', path: '', offset: from, bytes: logPiece },
  })
  if ('problem' in piece) return answer({ ...nothing, done: piece.ended && isOver(job) })
  const { bytes, rest } = wholeLines(Buffer.from(piece.bytes), piece.ended)
  const shown = headThatFits(bytes, asked.room)
  const next = piece.offset + shown.length
  return answer(
    {
      ...{ next, size: piece.size, cost: costOf(shown), full: shown.length < bytes.length },
      done: piece.ended && isOver(job) && rest === 0 && next >= piece.size,
    },
    shown,
  )
}

/** The last lines of a log of which no more is shown, and what was left out before them. */
async function tellEnd(
  context: Context,
  row: CiJobRow,
  job: WantedJob,
  { shown, room }: { readonly shown: number; readonly room: number },
  answer: (words: Answer['words'], body?: Answer['body'], said?: string) => Answer,
): Promise<Answer> {
  const attempt = job.attemptId!
  const piece = await readLogPiece(context, {
    ...{ attempt, in: 'log', path: '', offset: -tail.bytes, bytes: tail.bytes },
  })
  if ('problem' in piece)
    return answer({ next: shown, done: true }, '', `the rest of the log of ${job.name} ${piece.problem}`)
  const from = Math.max(piece.offset, Math.min(shown, piece.size))
  const read = Buffer.from(piece.bytes).subarray(from - piece.offset)
  const body = tailThatFits(from > shown ? fromLine(read) : read, tail.lines, room)
  const left = Math.max(0, piece.size - body.length - shown)
  const parts = [
    `${job.name} printed ${piece.size} bytes, more than log_limit: ${left} bytes are left out${body.length === 0 ? '' : ' before these last lines'}`,
    `all of it: ${await whereLogLies(context, attempt)}; compops logs ${row.runId} ${job.name} --all; ${runUrl(context.config.publicUrl, { id: row.runId! })}`,
  ]
  const ended = body.length === 0 || body.at(-1) === 10 ? body : Buffer.concat([body, Buffer.from('\n')])
  return answer({ next: piece.size, size: piece.size, cost: costOf(ended), done: true }, ended, parts.join('; '))
}

/** On its cluster, for persons. */
export async function whereLogLies({ db, clusterOf }: Context, attemptId: string, task?: number): Promise<string> {
  const [attempt] = await db.select().from(attempts).where(eq(attempts.id, attemptId))
  if (attempt === undefined) return 'on its cluster'
  return `${attempt.connection.split('#')[0]}:${clusterOf(attempt.connection).files.logPath(attempt, task)}`
}

/** Up to the last end of a line; a line that fills a whole piece goes as it is. */
export function wholeLines(bytes: Buffer, ended: boolean): { bytes: Buffer; rest: number } {
  if (ended && bytes.length < logPiece) return { bytes, rest: 0 }
  const end = bytes.lastIndexOf(10) + 1
  if (end > 0) return { bytes: bytes.subarray(0, end), rest: bytes.length - end }
  return bytes.length >= logPiece ? { bytes, rest: 0 } : { bytes: bytes.subarray(0, 0), rest: bytes.length }
}
