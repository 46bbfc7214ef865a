/** The rows that wait for a person, as a table for a terminal. */
import type { ParkedRow } from '../model/parked.ts'
import { countOf, formatTime } from './amounts.ts'
import { cut } from './markdown.ts'
import { createPaint, safe } from './paint.ts'
import { formatAgo } from './why.ts'

export interface ParkedStyle {
  readonly colour?: boolean
  readonly width?: number | undefined
  readonly timeZone: string
  readonly now: Date
}

export function renderParked(rows: readonly ParkedRow[], style: ParkedStyle): string {
  const paint = createPaint(style.colour ?? false)
  if (rows.length === 0) return '\n  Nothing is parked.\n\n'
  const width = style.width ?? Number.POSITIVE_INFINITY
  const fitted = (text: string) => (Number.isFinite(width) ? cut(text, Math.max(40, width - 4)) : text)
  const lines = rows.flatMap(row => {
    const at = formatTime(row.parkedAt, style.timeZone, { seenFrom: style.now, seconds: true })
    const where = row.projectPath === null ? '' : ` in ${safe(row.projectPath)}`
    return [
      `  ${paint('bold', row.id)}  ${fitted(`${row.table}: ${safe(row.what)}${where}`)}`,
      `    ${paint('dim', `parked ${at}, ${formatAgo(row.parkedAt, style.now)}, after ${row.tries} tries`)}`,
      `    ${paint('bad', fitted(safe(row.lastError ?? 'no error is known')))}`,
      '',
    ]
  })
  return `\n${lines.join('\n')}\n  ${countOf(rows.length, 'row')}. \`compops retry ID\` or \`compops retry --all\` gives another chance.\n\n`
}
