import type { Figure } from './figure.ts'

export const verdictOf = ({ kept }: Figure): string => (kept === null ? '' : kept ? 'kept' : 'missed')

/** One line a figure, in columns. */
export function formatTable(figures: readonly Figure[]): string {
  const rows = [
    ['what', 'measured', 'promise', ''],
    ...figures.map(one => [one.what, one.measured, one.promise, verdictOf(one)]),
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
