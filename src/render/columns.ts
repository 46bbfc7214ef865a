import { cut } from './markdown.ts'
import type { Paint, Tone } from './paint.ts'

/** A cell of a table for a terminal: its text, without colours, and its tone. */
export type Cell = string | readonly [Tone, string]

/** Rows as columns, two spaces apart; no line is wider than `width`, which the last column gives up for. */
export function columns(rows: readonly (readonly Cell[])[], paint: Paint, width = Number.POSITIVE_INFINITY): string[] {
  const widths: number[] = []
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, lengthOf(textOf(cell)))
    })
  return rows.map(row => {
    let line = ' '
    let used = 1
    const last = row.findLastIndex(cell => textOf(cell) !== '')
    row.slice(0, last + 1).forEach((cell, i) => {
      const room = width - used - 1
      const text = i < last ? textOf(cell) : room < 4 ? '' : cut(textOf(cell), room)
      const pad = i === last ? '' : ' '.repeat((widths[i] ?? 0) - lengthOf(text))
      line += ` ${paint(toneOf(cell), text)}${pad} `
      used += lengthOf(text) + pad.length + 2
    })
    return line.trimEnd()
  })
}

const textOf = (cell: Cell) => (typeof cell === 'string' ? cell : cell[1])
const toneOf = (cell: Cell) => (typeof cell === 'string' ? 'plain' : cell[0])
const lengthOf = (text: string) => [...text].length
