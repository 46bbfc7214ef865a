import { createRequire } from 'node:module'
import type { Command } from './order.ts'

/** What people may write in a note besides `/compops`. */
export interface Spelling {
  /** Our user's name: `@compops run`. null: not known yet. */
  readonly bot: string | null
  /** `/test`, `/retest`, `/cancel`, `/hold`, `/unhold`, `/ok-to-test`, as other projects' bots know them. */
  readonly aliases: boolean
  /** Words behind `@bot` that are meant as an order: others are just talk about it. */
  readonly verbs: ReadonlySet<string>
}

/** A line that is meant as a command, and what is wrong with it where it cannot be read. */
export interface Written {
  readonly line: string
  readonly command: Command
  readonly problem: string | null
}

const aliases: ReadonlySet<string> = new Set(['test', 'retest', 'cancel', 'hold', 'unhold', 'ok-to-test'])
const valued: ReadonlySet<string> = new Set(['why', 'lines', 'task', 'mem', 'time'])
const switches: ReadonlySet<string> = new Set(['subtree'])
/** Of one note. */
export const mostCommands = 10
const longestLine = 1_000
const longestNote = 30_000

/** Commands of a note: lines that begin with one, outside of code, quotes, lists, tables and comments, as GitLab shows them. */
export function parseNote(text: string, spelling: Spelling): Written[] {
  if (text.length > longestNote || !mayHold(text)) return []
  const found: Written[] = []
  for (const line of plainLines(text)) {
    if (found.length === mostCommands) break
    const words = commandOf(line, spelling)
    if (words !== null) found.push(readWords(line, words))
  }
  return found
}

/** Whether any line begins as a command might: cheap, for the door. */
export const mayHold = (text: string): boolean => /^[/@]\S/m.test(text)

/** What stands behind `/compops`, `@compops` or an alias; null where the line is none. */
function commandOf(line: string, { bot, aliases: known, verbs }: Spelling): string | null {
  const ours = /^\/compops(?:\s+(.*))?$/is.exec(line)
  if (ours !== null) return ours[1]?.trim() || 'help'
  const said = /^@(\S+?)[,:]?\s+(.*)$/s.exec(line)
  if (said !== null) {
    if (bot === null || said[1]!.toLowerCase() !== bot.toLowerCase()) return null
    return verbs.has(/^\S*/.exec(said[2]!)![0].toLowerCase()) ? said[2]! : null
  }
  const alias = known ? /^\/([a-z-]+)(?=\s|$)(.*)$/.exec(line) : null
  return alias !== null && aliases.has(alias[1]!) ? `${alias[1]}${alias[2]}` : null
}

/** `test solve --lines 80 -- degree=3` */
export function readWords(line: string, text: string): Written {
  const [verb = '', ...rest] = wordsOf(text.slice(0, longestLine))
  const options: Record<string, string | true> = {}
  const values: Record<string, string> = {}
  const words: string[] = []
  let problem: string | null = text.length > longestLine ? 'The line is too long.' : null
  let behind = false
  for (let at = 0; at < rest.length; at++) {
    const { word, quoted } = rest[at]!
    if (!behind && !quoted && word === '--') behind = true
    else if (behind) {
      const [, name, value] = /^([A-Za-z0-9_][A-Za-z0-9_.-]{0,199})=([\s\S]*)$/.exec(word) ?? []
      if (name === undefined) problem ??= 'Behind `--` stand values like `degree=3`.'
      else values[name] = value!
    } else if (!quoted && /^--[a-z]/.test(word)) {
      const [, name = '', value] = /^--([a-z-]+)(?:=([\s\S]*))?$/.exec(word) ?? []
      if (switches.has(name) && value === undefined) options[name] = true
      else if (valued.has(name)) {
        const next = value ?? rest[++at]?.word
        if (next === undefined) problem ??= `\`--${name}\` wants a value.`
        else options[name] = next
      } else
        problem ??= `There is no such option; there are ${[...valued, ...switches].map(one => `\`--${one}\``).join(', ')}.`
    } else words.push(word)
  }
  const [target = null, ...further] = words
  return { line, problem, command: { verb: verbWord(verb), target, args: { options, values, words: further } } }
}

const verbWord = (first: { readonly word: string } | string) =>
  (typeof first === 'string' ? first : first.word).toLowerCase()

/** Words between white space; quotes keep it together: `--why "the data comes"`, `name="a b"`. */
function wordsOf(text: string): { word: string; quoted: boolean }[] {
  const found: { word: string; quoted: boolean }[] = []
  for (const [whole] of text.matchAll(/(?:"[^"]*"|'[^']*'|\S)+/g)) {
    const word = whole.replace(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? '')
    found.push({ word, quoted: /^["']/.test(whole) })
  }
  return found
}

interface Token {
  readonly type: string
  readonly level: number
  readonly map: [number, number] | null
  readonly content: string
  readonly children: readonly Token[] | null
}

interface Markdown {
  parse(text: string, env: object): Token[]
}

const require = createRequire(import.meta.url)
let markdown: Markdown | undefined

/** Loaded with the first note that may hold one. */
function reader(): Markdown {
  const load = () => {
    const made = require('markdown-it') as unknown
    const Maker = ((made as { default?: unknown }).default ?? made) as new (preset: string, options: object) => Markdown
    return new Maker('commonmark', { html: true })
  }
  markdown ??= load()
  return markdown
}

/** Lines of paragraphs that stand at the left edge, outside of everything: in the source too they begin in the first column. */
function* plainLines(text: string): Generator<string> {
  const source = withoutLongQuotes(text.replace(/\r\n?/g, '\n'))
  const lines = source.split('\n')
  const tokens = reader().parse(source, {})
  for (const [at, token] of tokens.entries()) {
    if (token.type !== 'inline' || token.map === null) continue
    const opened = tokens[at - 1]
    if (opened?.type !== 'paragraph_open' || opened.level !== 0) continue
    // A code span or a tag may go over several lines: only what is text from the beginning of a line counts.
    const begins = beginnings(token.children ?? [])
    // The reader makes one line of a code span over several: where the lines cannot be told apart, none of them counts.
    if (begins.length !== token.map[1] - token.map[0]) continue
    for (let line = token.map[0], nth = 0; line < token.map[1]; line++, nth++) {
      const written = lines[line] ?? ''
      if (begins[nth] === true && /^[/@]/.test(written)) yield written.trimEnd()
    }
  }
}

/** For each line of a paragraph whether it begins as plain text. */
function beginnings(children: readonly Token[]): boolean[] {
  const lines: boolean[] = []
  let fresh = true
  let open = 0
  for (const child of children) {
    if (child.type === 'softbreak' || child.type === 'hardbreak') {
      if (fresh) lines.push(false)
      fresh = true
      continue
    }
    const within = child.type === 'text' ? 0 : child.content.split('\n').length - 1
    if (fresh && !(child.type === 'text' && child.content === '')) {
      lines.push(child.type === 'text' && open === 0)
      fresh = false
    }
    if (child.type === 'html_inline') open += /^<!--/.test(child.content) ? 0 : /^<\//.test(child.content) ? -1 : 1
    if (open < 0) open = 0
    // Line ends inside of a code span or a tag: what stands behind them is no beginning.
    for (let more = 0; more < within; more++) lines.push(false)
  }
  return lines
}

/** GitLab's quotes over many lines: between two lines `>>>`. */
function withoutLongQuotes(text: string): string {
  let quoted = false
  return text
    .split('\n')
    .map(line => {
      const mark = /^>>>\s*$/.test(line)
      if (mark) quoted = !quoted
      return mark || quoted ? '' : line
    })
    .join('\n')
}
