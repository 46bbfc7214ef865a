import { isId } from '../model/id.ts'
import { pieceHeaders, piecesOf } from '../model/results.ts'
import type { PieceWanted, readPiece } from './piece.ts'

/** What a query asks for as a piece of a file: `attempt`, `in`, `path`, `offset`, `bytes`, `task`. null where it is none. */
export function pieceAsked(query: Readonly<Record<string, string | undefined>>): PieceWanted | null {
  const { attempt = '', in: place, path = '', offset = '0', bytes = '', task } = query
  const kind = piecesOf.find(one => one === place)
  if (task !== undefined && !/^\d{1,9}$/.test(task)) return null
  if (!isId(attempt) || kind === undefined || !/^-?\d{1,15}$/.test(offset) || !/^\d{1,10}$/.test(bytes)) return null
  return {
    ...{ attempt, in: kind, path, offset: Number(offset), bytes: Number(bytes) },
    task: task === undefined ? undefined : Number(task),
  }
}

/** The piece as an HTTP answer: bytes, and in headers where it begins, how large the file is and whether the attempt has ended. 404 with the reason where there is none. */
export function answerPiece(piece: Awaited<ReturnType<typeof readPiece>>): Response {
  if ('problem' in piece) return Response.json({ error: `it ${piece.problem}`, ended: piece.ended }, { status: 404 })
  return new Response(new Uint8Array(piece.bytes), {
    headers: {
      'content-type': 'application/octet-stream',
      [pieceHeaders.size]: String(piece.size),
      [pieceHeaders.offset]: String(piece.offset),
      [pieceHeaders.ended]: piece.ended ? 'yes' : 'no',
    },
  })
}
