import { CompopsError } from '../../errors.ts'
import type { BatchDirectives, Directive, DirectiveSpec, DroppedDirective } from '../dialect.ts'
import { matches } from '../glob.ts'
import { essential, neverAllowed, takesValue } from './options.ts'
import { readOption } from './read-option.ts'
import { bsubOptions } from './resources.ts'
import { show } from './values.ts'

/** What we write behind `#BSUB`, and what others wrote there. A directive is `-flag` or `-flag value`, the value in quotes where it needs them. */

export function directives(spec: DirectiveSpec): Directive[] {
  return [
    ...bsubOptions(spec.resources, spec.exclude).map(({ flag, value, key }) => ({
      option: writeOption(flag, value),
      key,
    })),
    ...spec.directives.map((directive, i) => {
      rawOption(directive)
      return { option: directive, key: `directives[${i}]` }
    }),
  ]
}

export function writeOption(flag: string, value: string | null): string {
  if (value === null) return `-${flag}`
  return /^[\w.:,@%+/=-]+$/.test(value) ? `-${flag} ${value}` : `-${flag} "${value}"`
}

/** A raw directive as words of bsub, one option only. Throws CompopsError. */
export function rawOption(directive: string): { flag: string; value: string | null } {
  const reason = refuse(directive)
  if (reason !== null) throw new CompopsError(`directives: ${reason}`)
  const [, flag = '', quoted, plain] = shape.exec(directive)!
  return { flag, value: quoted ?? plain ?? null }
}

// In quotes a value may hold blanks, brackets and comparisons; never what a shell or the reader of #BSUB lines takes for something else.
const shape = /^-([A-Za-z][A-Za-z_]*)(?: (?:"([^"'\\$`#]+)"|([^\s"'\\$`#;<>|&()-][^\s"'\\$`#;<>|&()]*)))?$/

function refuse(directive: string): string | null {
  if (/[\0-\x1f\x7f]/.test(directive)) return `${show(directive)} holds a newline or another control character`
  const found = shape.exec(directive)
  if (found === null)
    return `${show(directive)} is not an option as bsub has them: write -flag or -flag value, the value in double quotes where it holds blanks or brackets`
  const [, flag = '', quoted, plain] = found
  const never = neverAllowed(flag)
  if (never !== null) return never
  if (takesValue(flag) !== ((quoted ?? plain) !== undefined))
    return `-${flag} ${takesValue(flag) ? 'needs a value' : 'takes no value'}`
  return null
}

/** `true`, or why not. Globs of the site: `*` stands for anything. */
export function allowedDirective(allowed: readonly string[], directive: string): true | string {
  const reason = refuse(directive)
  if (reason !== null) return reason
  if (allowed.some(pattern => matches(pattern, directive))) return true
  const list = allowed.length === 0 ? 'it allows none' : `it allows ${allowed.join(', ')}`
  return `${directive.split(' ')[0]} is not among the directives that this cluster allows (allow_directives): ${list}`
}

/**
 * The `#BSUB` lines of a batch script. bsub reads them wherever they stand, several options on a line, words in quotes; a `#` that is not quoted
 * ends the line. The last one wins, but several `-R` count together (bsub(1), "Submit a job script").
 */
export function readDirectives(text: string): BatchDirectives {
  const resources: Record<string, unknown> = {}
  const lines: Record<string, number> = {}
  const kept: { directive: string; line: number }[] = []
  const dropped: DroppedDirective[] = []
  let array: BatchDirectives['array']
  for (const [i, written] of text.split('\n').entries()) {
    const line = i + 1
    const row = written.replace(/\r$/, '')
    const options = /^#BSUB(?=[\s-])(.*)$/.exec(row)?.[1]
    if (options === undefined) continue
    const { words, problem } = splitWords(options)
    if (problem !== null) dropped.push({ directive: row, line, reason: problem })
    for (const option of readOptions(words)) {
      const directive = option.flag === null ? option.text : writeOption(option.flag, option.value)
      const drop = (reason: string, must: boolean) =>
        dropped.push({ directive, line, reason, ...(must ? { essential: true } : {}) })
      if (option.flag === null) {
        drop('not an option', false)
        continue
      }
      // `name[1-10]%4`: the name is ours, the tasks are not.
      const tasks = option.flag === 'J' ? /\[([^\]]*)\](%\d+)?$/.exec(option.value ?? '') : null
      if (tasks !== null) {
        array = { text: `${tasks[1]}${tasks[2] ?? ''}`, line }
        continue
      }
      const reason = refuse(directive)
      if (reason !== null) {
        drop(reason, essential.has(option.flag))
        continue
      }
      const known = readOption(option.flag, option.value)
      if (known === null) {
        const before =
          option.flag === 'R' ? -1 : kept.findIndex(one => one.directive.split(' ')[0] === `-${option.flag}`)
        if (before !== -1) kept.splice(before, 1)
        kept.push({ directive, line })
      } else {
        Object.assign(resources, known)
        for (const key of Object.keys(known)) lines[key] = line
      }
    }
  }
  return { resources, lines, directives: kept, ...(array === undefined ? {} : { array }), dropped }
}

function splitWords(text: string): { words: string[]; problem: string | null } {
  const words: string[] = []
  let word: string | null = null
  let quote: string | null = null
  for (const c of text) {
    if (quote !== null) {
      if (c === quote) quote = null
      else word += c
    } else if (c === '"' || c === "'") {
      quote = c
      word ??= ''
    } else if (c === '#' && word === null) break
    else if (/\s/.test(c)) {
      if (word !== null) words.push(word)
      word = null
    } else word = (word ?? '') + c
  }
  if (quote !== null) return { words: [], problem: `a quote (${quote}) is not closed` }
  if (word !== null) words.push(word)
  return { words, problem: null }
}

type ReadOption =
  | { readonly flag: string; readonly value: string | null }
  | { readonly flag: null; readonly text: string }

function readOptions(words: readonly string[]): ReadOption[] {
  const found: ReadOption[] = []
  for (let i = 0; i < words.length; i++) {
    const flag = /^-([A-Za-z][A-Za-z_]*)$/.exec(words[i]!)?.[1]
    if (flag === undefined) {
      // `-n4`, `-W1:30`: a letter and its value in one word (getopt(3)).
      const joined = /^-([A-Za-z])([\d[].*)$/.exec(words[i]!)
      if (joined !== null) found.push({ flag: joined[1]!, value: joined[2]! })
      else found.push({ flag: null, text: words[i]! })
    } else found.push({ flag, value: takesValue(flag) ? (words[++i] ?? null) : null })
  }
  return found
}
