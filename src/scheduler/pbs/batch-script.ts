import type { Resources } from '../../model/job-spec.ts'
import type { BatchDirectives, DroppedDirective } from '../dialect.ts'
import { longestDirective, tooLong } from '../long-lines.ts'
import { readOption } from './directives.ts'
import { isEssential, takesNone } from './options.ts'
import { readOldNodes, readPlacement } from './select.ts'
import { readDuration } from './values.ts'

/** What others wrote behind `#PBS`. */

/** An option as it stands in a line, one resource or attribute each. */
interface Written {
  readonly letter: string
  readonly value: string
  readonly line: number
}

/**
 * The `#PBS` lines of a batch script: up to the first line that is neither blank nor a comment, several options on a line, quotes, and a
 * backslash at the end of a line that goes on in the next (qsub(1B), and its check_job_script.c). The last one wins, as with qsub.
 */
export function readDirectives(text: string): BatchDirectives {
  const { options, dropped } = readLines(text)
  const resources: { [key: string]: unknown } = {}
  const lines: Record<string, number> = {}
  const kept = new Map<string, { directive: string; line: number }>()
  const set = (found: Resources, line: number) => {
    for (const [key, value] of Object.entries(found)) {
      resources[key] = value
      lines[key] = line
    }
  }
  const keep = ({ letter, value, line }: Written) => {
    const option = readOption(value === '' ? `-${letter}` : `-${letter} ${value}`)
    const written = value === '' ? `-${letter}` : `-${letter} ${value}`
    if (typeof option === 'string') {
      const essential = isEssential(letter, value.split('=', 1)[0] ?? null)
      dropped.push({ directive: written, line, reason: option, ...(essential ? { essential: true } : {}) })
    } else kept.set(`${letter} ${option.name ?? ''}`, { directive: option.text, line })
  }
  const places = new Map<string, Written>()
  let array: BatchDirectives['array']
  for (const option of options) {
    const { letter, value, line } = option
    const name = value.split('=', 1)[0]!
    if (letter === 'J') array = { text: value, line }
    else if (letter === 'l' && placing.has(name)) places.set(name, option)
    else {
      const found = readResource(letter, value)
      if (found === null) keep(option)
      else set(found, line)
    }
  }
  const found = readPlaces(places)
  if (found === null) for (const option of places.values()) keep(option)
  else
    for (const [key, value] of Object.entries(found))
      set({ [key]: value }, Math.max(...[...places.values()].map(p => p.line)))
  return {
    resources: resources as Resources,
    lines,
    directives: [...kept.values()],
    ...(array === undefined ? {} : { array }),
    dropped,
  }
}

/** Resources that say together where a job runs. */
const placing: ReadonlySet<string> = new Set([
  'select',
  'place',
  'nodes',
  'ncpus',
  'mem',
  'ngpus',
  'mpiprocs',
  'ompthreads',
])

/** In our keys, or null where these do not say the same. */
function readPlaces(places: ReadonlyMap<string, Written>): Resources | null {
  const value = (name: string) => {
    const option = places.get(name)
    return option === undefined ? undefined : option.value.slice(name.length + 1)
  }
  if (places.size === 0) return {}
  const [select, place, nodes, mem] = ['select', 'place', 'nodes', 'mem'].map(value)
  const only = (...names: string[]) => [...places.keys()].every(name => names.includes(name))
  if (select !== undefined) return only('select', 'place') ? readPlacement(select, place) : null
  if (nodes !== undefined) return only('nodes', 'mem') ? readOldNodes(nodes, mem) : null
  // Without either they are those of a job of one host.
  if (!only('ncpus', 'mem', 'ngpus')) return null
  const parts = [...places.values()].map(option => option.value)
  return readPlacement(`1:${parts.join(':')}`, undefined)
}

/** An option in our words; null where we have none for it, or not for this value: it stays as it is. */
function readResource(letter: string, value: string): Resources | null {
  switch (letter) {
    case 'q':
      return /^[A-Za-z0-9][\w.-]*$/.test(value) ? { partition: value } : null
    case 'A':
      return /^[A-Za-z0-9][\w.:@/+-]*$/.test(value) ? { account: value } : null
    case 'p': {
      const priority = /^[+-]?\d{1,4}$/.test(value) ? Number(value) : null
      return priority === null || Math.abs(priority) > 1023 ? null : { nice: priority === 0 ? 0 : -priority }
    }
    case 'l': {
      const seconds = value.startsWith('walltime=') ? readDuration(value.slice('walltime='.length)) : null
      return seconds === null || seconds < 1 ? null : { time: Math.ceil(seconds) }
    }
    default:
      return null
  }
}

function readLines(text: string): { options: Written[]; dropped: DroppedDirective[] } {
  const options: Written[] = []
  const dropped: DroppedDirective[] = []
  const rows = text.split('\n').map(row => row.replace(/\r$/, ''))
  for (let i = 0; i < rows.length; i++) {
    const line = i + 1
    const row = rows[i]!
    if (!/^\s*#PBS/.test(row)) {
      if (/^\s*[^\s#]/.test(row) && !row.startsWith(':')) break
      continue
    }
    const parts: string[] = []
    let part = row.replace(/^\s*#PBS/, '')
    for (; /\\\s*$/.test(part) && i + 1 < rows.length; part = rows[++i]!.replace(/^\s*#PBS/, ''))
      parts.push(part.replace(/\\\s*$/, ''))
    const whole = [...parts, part].join('')
    if (parts.length > 0 && whole.length > longestDirective) {
      dropped.push({ directive: row.slice(0, 60), line, reason: tooLong, essential: true })
      continue
    }
    const { words, problem } = splitWords(whole)
    if (problem !== null) dropped.push({ directive: row, line, reason: problem })
    readWords(words, line, options, dropped)
  }
  return { options, dropped }
}

/** getopt(3): `-x value`, `-xvalue`, and letters without a value in a row. */
function readWords(words: readonly string[], line: number, options: Written[], dropped: DroppedDirective[]): void {
  for (let i = 0; i < words.length; i++) {
    let word = words[i]!
    while (/^-[A-Za-z]/.test(word) && takesNone.has(word[1]!)) {
      options.push({ letter: word[1]!, value: '', line })
      word = word.length > 2 ? `-${word.slice(2)}` : ''
    }
    if (word === '') continue
    const letter = /^-([A-Za-z])/.exec(word)?.[1]
    if (letter === undefined) {
      // Behind a #, and behind what is no option, qsub reads no further.
      if (!word.startsWith('#')) dropped.push({ directive: word, line, reason: 'not an option' })
      return
    }
    const value = word.length > 2 ? word.slice(2) : words[++i]
    if (value === undefined) {
      dropped.push({ directive: word, line, reason: `${word} needs a value` })
      return
    }
    for (const part of letter === 'l' || letter === 'W' ? splitList(value) : [value])
      options.push({ letter, value: part, line })
  }
}

/** `a=1,b=2` is two; a comma that begins no name belongs to the value. */
function splitList(value: string): string[] {
  return value.split(/,(?=[A-Za-z]\w*=)/)
}

function splitWords(text: string): { words: string[]; problem: string | null } {
  const words: string[] = []
  let word: string | null = null
  let quote: string | null = null
  for (const c of text) {
    if (quote !== null) {
      if (c === quote) quote = null
      else word = (word ?? '') + c
    } else if (c === '"' || c === "'") {
      quote = c
      word ??= ''
    } else if (/\s/.test(c)) {
      if (word !== null) words.push(word)
      word = null
    } else word = (word ?? '') + c
  }
  if (quote !== null) return { words: [], problem: `a quote (${quote}) is not closed` }
  if (word !== null) words.push(word)
  return { words, problem: null }
}
