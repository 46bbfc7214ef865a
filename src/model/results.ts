/** What `compops logs` and `compops collect` ask of the service, as data. */

export interface Results {
  readonly run: string
  readonly project: string
  readonly branch: string
  readonly sha: string
  readonly state: string
  /** The record of the run, as the evidence has it. */
  readonly metadata: string
  /** The same for people, in Markdown. */
  readonly summary: string
  readonly jobs: readonly ResultsOfJob[]
  /** Sentences about directories that are gone. */
  readonly removed: readonly string[]
}

export interface ResultsOfJob {
  readonly id: string
  readonly name: string
  readonly state: string
  /** The latest; null while there is none. */
  readonly attempt: string | null
  /** Of an array, the tasks that were handed over, and the attempt that has each. */
  readonly tasks: readonly { readonly index: number; readonly attempt: string }[]
  readonly metrics: Readonly<Record<string, number>>
  readonly files: readonly ResultFile[]
  /** Outputs that cannot be fetched, each with the reason. */
  readonly left: readonly string[]
}

export interface ResultFile {
  /** An array may be several attempts, each with files of its own. */
  readonly attempt: string
  readonly in: PieceOf
  /** Whose log, of an array. */
  readonly task?: number
  readonly path: string
  /** null where it is not known before it is asked for. */
  readonly size: number | null
  readonly sha256: string | null
  /** Below the directory of results: safe on this machine, whatever the output is called. */
  readonly local: string
}

export const piecesOf = ['checkout', 'output', 'attempt', 'log'] as const
export type PieceOf = (typeof piecesOf)[number]

/** Headers of a piece: the size of the whole file, where the piece begins, and whether the attempt has ended. */
export const pieceHeaders = {
  size: 'x-compops-size',
  offset: 'x-compops-offset',
  ended: 'x-compops-ended',
} as const

export const largestPiece = 4 * 1024 * 1024
