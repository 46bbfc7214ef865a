import type { Figure } from './figure.ts'

/** One line a figure, in columns. */
export function formatTable(figures: readonly Figure[]): string {
  const verdict = (kept: boolean | null) => (kept === null ? '' : kept ? 'kept' : 'missed')
  const rows = [
    ['what', 'measured', 'promise', ''],
    ...figures.map(({ what, measured, promise, kept }) => [what, measured, promise, verdict(kept)]),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  const lines = rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
  return [
    lines[0],
    widths
      .map(width => '-'.repeat(width))
      .join('  ')
      .trimEnd(),
    ...lines.slice(1),
  ].join('\n')
}
