import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Figure } from './figure.ts'
import { verdictOf } from './table.ts'

const file = join(import.meta.dirname, '../README.md')
const begin = '<!-- bench -->'
const end = '<!-- /bench -->'

export interface Run {
  readonly command: string
  readonly machine: string
  readonly seconds: string
}

/** Puts the table into test/README.md, between its two marks. */
export async function writeTable(figures: readonly Figure[], run: Run): Promise<void> {
  const text = await readFile(file, 'utf8')
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from === -1 || to < from) throw new Error(`${file} has no place for the table: ${begin} … ${end}`)
  await writeFile(file, `${text.slice(0, from)}${markdownTable(figures, run)}${text.slice(to + end.length)}`)
}

export function markdownTable(figures: readonly Figure[], { command, machine, seconds }: Run): string {
  const cell = (text: string) => text.replaceAll('|', '\\|')
  // What belongs to the line above it is set in; spaces alone would be lost.
  const name = (what: string) => cell(what.replace(/^ +/, '&emsp;'))
  const promised = figures.filter(({ kept }) => kept !== null)
  const kept = promised.filter(figure => figure.kept).length
  return [
    begin,
    `\`${command}\` on ${new Date().toISOString().slice(0, 10)}, in ${seconds} s: ${kept} of ${promised.length} promises kept.`,
    '',
    `${machine}.`,
    '',
    '| what | measured | promise | |',
    '|---|---|---|---|',
    ...figures.map(one => `| ${name(one.what)} | ${cell(one.measured)} | ${one.promise} | ${verdictOf(one)} |`),
    end,
  ].join('\n')
}
