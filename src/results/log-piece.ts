import type { Context } from '../context.ts'
import { largestPiece } from '../model/results.ts'
import { knowSecrets } from '../run/known-secrets.ts'
import { type PieceWanted, readPiece } from './piece.ts'

type Read = Awaited<ReturnType<typeof readPiece>>

/** The longest secret that is looked for across the edges of a piece. */
const widest = 256 * 1024

/** A piece of what an attempt left behind, for persons: of its log without the secrets that it was given. Outputs are as the job wrote them. */
export function readForPerson(context: Context, wanted: PieceWanted): Promise<Read> {
  return wanted.in === 'log' ? readLogPiece(context, wanted) : readPiece(context.db, context.clusterOf, wanted)
}

/**
 * A piece of a log with each secret under stars of the same length, so that bytes keep their places. Read somewhat wider than asked, for a secret that lies across an edge; what may be
 * the beginning of one at the end of a log that goes on is kept back, and the log counts as ending before it.
 */
export async function readLogPiece(context: Context, wanted: PieceWanted): Promise<Read> {
  await knowSecrets(context, wanted.attempt)
  const { secrets } = context
  const margin = Math.min(secrets.longest(), widest)
  const bytes = Math.min(wanted.bytes, largestPiece - 2 * margin)
  const offset = wanted.offset < 0 ? wanted.offset - margin : Math.max(0, wanted.offset - margin)
  const before = wanted.offset - offset
  const piece = await readPiece(context.db, context.clusterOf, {
    ...wanted,
    ...{ offset, bytes: before + bytes + margin },
  })
  if ('problem' in piece) return piece
  // It may have grown since it was measured.
  const end = Math.max(piece.size, piece.offset + piece.bytes.length)
  const isEnd = piece.offset + piece.bytes.length >= piece.size
  const held = isEnd && !piece.ended ? secrets.begun(piece.bytes) : 0
  const start = wanted.offset < 0 ? Math.max(0, piece.size + wanted.offset) : wanted.offset
  const stop = Math.min(start + bytes, isEnd ? end - held : end)
  return {
    ended: piece.ended,
    offset: start,
    size: held === 0 ? piece.size : end - held,
    bytes: secrets.mask(piece.bytes).subarray(start - piece.offset, Math.max(start, stop) - piece.offset),
  }
}
