import type { ArrayDialect } from './dialect.ts'

/** The tasks that are handed over as one array of the scheduler. */
export interface Chunk {
  readonly tasks: readonly number[]
  /** The scheduler cannot give them these numbers: there they are 1, 2, 3 … */
  readonly renumbered: boolean
}

/** The first of these tasks, as many as one array may have and there is room for; with their own numbers where the scheduler can. */
export function nextChunk(
  dialect: ArrayDialect,
  tasks: readonly number[],
  { maxArraySize, room }: { readonly maxArraySize: number | null; readonly room: number },
): Chunk {
  const most = Math.max(1, Math.min(tasks.length, room, maxArraySize ?? Number.POSITIVE_INFINITY))
  const first = tasks.slice(0, most)
  if (dialect.canNumber(first, maxArraySize)) return { tasks: first, renumbered: false }
  // Slurm's MaxArraySize is one more than the largest number: counted from 1 one task less fits.
  const counted = Array.from({ length: most }, (_, i) => i + 1)
  while (counted.length > 1 && !dialect.canNumber(counted, maxArraySize)) counted.pop()
  return { tasks: first.slice(0, counted.length), renumbered: true }
}
