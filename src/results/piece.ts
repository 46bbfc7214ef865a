import { eq } from 'drizzle-orm'
import type { Cluster, Piece } from '../cluster/cluster.ts'
import { CompopsError } from '../errors.ts'
import { type AttemptArray, nativeNumber } from '../model/array.ts'
import { largestPiece, type PieceOf } from '../model/results.ts'
import type { Db } from '../store/open.ts'
import { attempts } from '../store/schema.ts'

export interface PieceWanted {
  readonly attempt: string
  readonly in: PieceOf
  readonly path: string
  /** Whose log, of an array. */
  readonly task?: number | undefined
  readonly offset: number
  readonly bytes: number
}

/** What may be read in the directory of an attempt, and as what it is kept. Beside them lie, while the job runs, its secrets. */
export const filesOfAttempt: Readonly<Record<string, string>> = {
  script: 'script.sh',
  commands: 'commands.sh',
  'params.json': 'params.json',
}

/**
 * A piece of a file of an attempt, over the service's own connection: for `compops logs` and `collect`, a page, or a CI job that follows. It knows its place by
 * byte offset alone, so whoever follows may come back after any time. `ended`: the attempt has; asked before the file is read, so that nothing comes after it.
 */
export async function readPiece(
  db: Db,
  clusterOf: (connection: string) => Cluster,
  wanted: PieceWanted,
): Promise<Piece & { readonly ended: boolean }> {
  const [attempt] = await db.select().from(attempts).where(eq(attempts.id, wanted.attempt))
  if (attempt === undefined) throw new CompopsError(`there is no attempt ${wanted.attempt}`)
  const { files } = clusterOf(attempt.connection)
  const bytes = Math.min(wanted.bytes, largestPiece)
  const { offset } = wanted
  if (wanted.in === 'attempt' && !Object.hasOwn(filesOfAttempt, wanted.path))
    return { problem: 'is not to be had', ended: attempt.final }
  const piece =
    wanted.in === 'log'
      ? await files.log(attempt, { offset, bytes, ...taskOf(attempt.array, wanted.task) })
      : (await files.read(attempt, [{ in: wanted.in, path: wanted.path, offset, bytes }]))[0]!
  return { ...piece, ended: attempt.final }
}

function taskOf(array: AttemptArray | null, task: number | undefined): { task?: number; native?: number } {
  if (task === undefined) return {}
  return array === null ? { task } : { task, native: nativeNumber(array, task) }
}
