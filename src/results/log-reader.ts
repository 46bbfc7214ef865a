import { and, desc, eq } from 'drizzle-orm'
import { Refusal } from '../auth/refusal.ts'
import type { Context } from '../context.ts'
import { readTasks } from '../model/array.ts'
import { isFinal } from '../model/job-state.ts'
import { pieceHeaders } from '../model/results.ts'
import type { AttemptRow, JobRow } from '../store/runs.ts'
import { attempts } from '../store/schema.ts'
import { readLogPiece } from './log-piece.ts'

export interface LogAsked {
  readonly attempt?: string | undefined
  readonly task?: number | undefined
  readonly offset: number
  readonly bytes: number
  /** Seconds. */
  readonly wait: number
  /** The header. */
  readonly range: string | null
}

export type LogReader = (job: JobRow, asked: LogAsked, signal: AbortSignal) => Promise<Response>

/** So many may wait at once; others are answered at once and ask again. Each costs its cluster a look every `pause`. */
const mostWaiting = 40
const pause = 1_500

type Piece = Awaited<ReturnType<typeof readLogPiece>>

export function createLogReader(context: Context): LogReader {
  let waiting = 0
  /** Those who ask for the same at the same time share one look. */
  const looks = new Map<string, Promise<Piece>>()

  function look(attempt: string, task: number | undefined, offset: number, bytes: number): Promise<Piece> {
    const key = `${attempt} ${task} ${offset} ${bytes}`
    const known = looks.get(key)
    if (known !== undefined) return known
    const made = readLogPiece(context, {
      attempt,
      in: 'log',
      path: '',
      offset,
      bytes,
      task,
    }).finally(() => looks.delete(key))
    looks.set(key, made)
    return made
  }

  return async function readLog(job, asked, signal) {
    const range = readRange(asked.range)
    const offset = range?.offset ?? asked.offset
    const bytes = Math.min(asked.bytes, range?.bytes ?? asked.bytes)
    const until = context.clock.now().getTime() + asked.wait * 1_000
    for (;;) {
      const attempt = await attemptOf(context, job, asked)
      const piece = attempt === null ? null : await look(attempt.id, asked.task, offset, bytes)
      const more = piece !== null && ('problem' in piece ? piece.ended : piece.bytes.length > 0 || piece.ended)
      const over = context.clock.now().getTime() >= until || signal.aborted || waiting >= mostWaiting
      if (more || over) return answer(job, attempt, piece, range !== null)
      waiting++
      await context.clock.sleep(pause, signal).finally(() => waiting--)
    }
  }
}

async function attemptOf(
  { db }: Pick<Context, 'db'>,
  job: JobRow,
  { attempt, task }: LogAsked,
): Promise<Pick<AttemptRow, 'id'> | null> {
  if (job.spec.array !== undefined && task === undefined)
    throw new Refusal(400, `${job.name} is an array: name one of its tasks (\`task\`)`)
  if (job.spec.array === undefined && task !== undefined)
    throw new Refusal(400, `${job.name} is no array and has no tasks`)
  const wanted = attempt === undefined ? undefined : eq(attempts.id, attempt)
  const found = await db
    .select({ id: attempts.id, array: attempts.array })
    .from(attempts)
    .where(and(eq(attempts.jobId, job.id), wanted))
    .orderBy(desc(attempts.number))
  if (attempt !== undefined && found.length === 0) throw new Refusal(404, `${job.name} has no attempt ${attempt}`)
  return (
    found.find(one => task === undefined || (one.array !== null && readTasks(one.array.tasks).includes(task))) ?? null
  )
}

function answer(job: JobRow, attempt: Pick<AttemptRow, 'id'> | null, piece: Piece | null, partial: boolean): Response {
  const headers = new Headers({ 'cache-control': 'no-store' })
  if (attempt !== null) headers.set(attemptHeader, attempt.id)
  if (piece === null || 'problem' in piece) {
    const ended = piece === null ? isFinal(job.state) : piece.ended
    headers.set(pieceHeaders.ended, ended ? 'yes' : 'no')
    const why =
      piece === null ? `${job.name} has not been handed to its cluster: it is ${job.state}` : `the log ${piece.problem}`
    return Response.json({ error: why }, { status: 404, headers })
  }
  headers.set('content-type', 'text/plain; charset=utf-8')
  headers.set(pieceHeaders.size, String(piece.size))
  headers.set(pieceHeaders.offset, String(piece.offset))
  headers.set(pieceHeaders.ended, piece.ended ? 'yes' : 'no')
  headers.set('accept-ranges', 'bytes')
  if (!partial) return new Response(new Uint8Array(piece.bytes), { headers })
  if (piece.bytes.length === 0) {
    headers.set('content-range', `bytes */${piece.size}`)
    return new Response(null, { status: 416, headers })
  }
  const last = piece.offset + piece.bytes.length - 1
  headers.set('content-range', `bytes ${piece.offset}-${last}/${piece.size}`)
  return new Response(new Uint8Array(piece.bytes), { status: 206, headers })
}

export const attemptHeader = 'x-compops-attempt'

/** One range of RFC 9110: `bytes=100-`, `bytes=100-199`, `bytes=-500`. Anything else is no range, as the RFC allows. */
export function readRange(header: string | null): { readonly offset: number; readonly bytes?: number } | null {
  const [, from = '', to = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '') ?? []
  if (from === '') return to === '' || Number(to) === 0 ? null : { offset: -Number(to) }
  if (to === '') return { offset: Number(from) }
  return Number(to) < Number(from) ? null : { offset: Number(from), bytes: Number(to) - Number(from) + 1 }
}
