import { nearest } from './nearest.ts'
import {
  inQuotes,
  type Located,
  type LocatedEntry,
  type LocatedList,
  type LocatedMap,
  type LocatedScalar,
  type Place,
  quote,
  showKey,
} from './yaml.ts'

/** One mistake: where, what, and what to do. */
export type Report = (at: Place, path: string, message: string, remedy: string | null) => void

/** Reads a value, or reports what is wrong with it and gives undefined. */
export type Read<T> = (node: Located, path: string, report: Report) => T | undefined

export function isEmpty(node: Located): boolean {
  return node.kind === 'scalar' && node.value === null
}

export function asMap(node: Located, path: string, report: Report): LocatedMap | undefined {
  if (node.kind === 'map') return node
  report(
    node,
    path,
    `${nameOf(path)} must hold keys and values${foundInstead(node)}.`,
    'Write `key: value` lines below it, indented.',
  )
  return undefined
}

export function asList(node: Located, path: string, report: Report): LocatedList | undefined {
  if (node.kind === 'list') return node
  report(
    node,
    path,
    `${nameOf(path)} must be a list${foundInstead(node)}.`,
    'Write `[a, b]`, or lines that begin with `- `.',
  )
  return undefined
}

export function asScalar(node: Located, path: string, report: Report): LocatedScalar | undefined {
  if (node.kind === 'scalar' && node.value !== null) return node
  const found = node.kind === 'scalar' ? 'is empty' : `must be a single value${foundInstead(node)}`
  report(
    node,
    path,
    `${nameOf(path)} ${found}.`,
    node.kind === 'scalar' ? 'Write a value, or leave the key out.' : null,
  )
  return undefined
}

/** A text; numbers, `true` and the like are refused, since YAML may have changed them on the way (1.10 becomes 1.1). */
export function asText(node: Located, path: string, report: Report): string | undefined {
  const scalar = asScalar(node, path, report)
  if (scalar === undefined) return undefined
  if (typeof scalar.value === 'string') return scalar.value
  report(
    node,
    path,
    `${nameOf(path)} must be a text, but ${quote(scalar.source)} is a ${typeof scalar.value === 'number' ? 'number' : 'truth value'}.`,
    `Write it in quotes: ${inQuotes(scalar.source)}.`,
  )
  return undefined
}

/** A text on one line: no line ends, no NUL, no other control characters. */
export function asLine(node: Located, path: string, report: Report): string | undefined {
  const text = asText(node, path, report)
  if (text === undefined) return undefined
  const message = refuseControl(text)
  if (message === null) return text
  report(node, path, `${nameOf(path)} ${message}.`, 'Write it on one line.')
  return undefined
}

export function refuseControl(text: string): string | null {
  if (/[\r\n\u2028\u2029]/.test(text)) return 'holds a line end'
  if (text.includes('\0')) return 'holds a NUL character'
  return /[\u0000-\u001f\u007f-\u009f]/.test(text) ? 'holds a control character' : null
}

export function listOf<T>(read: Read<T>): Read<T[]> {
  return (node, path, report) => {
    const list = asList(node, path, report)
    return list?.items.flatMap((item, i) => {
      const value = read(item, `${path}[${i}]`, report)
      return value === undefined ? [] : [value]
    })
  }
}

export function choice<const T extends string>(options: readonly T[]): Read<T> {
  return (node, path, report) => {
    const scalar = asScalar(node, path, report)
    if (scalar === undefined) return undefined
    const found = options.find(option => option === scalar.value)
    if (found !== undefined) return found
    const near = nearest(scalar.source, options)
    report(
      node,
      path,
      `${nameOf(path)} cannot be ${quote(scalar.source)}.`,
      `${near === null ? '' : `Did you mean \`${near}\`? `}It is one of ${options.map(o => `\`${o}\``).join(', ')}.`,
    )
    return undefined
  }
}

/** `true`, `false`, `on` and `off`: YAML 1.2 reads the last two as texts. */
export const asSwitch: Read<boolean> = (node, path, report) => {
  const scalar = asScalar(node, path, report)
  if (scalar === undefined) return undefined
  if (scalar.value === true || scalar.value === 'on' || scalar.value === 'true') return true
  if (scalar.value === false || scalar.value === 'off' || scalar.value === 'false') return false
  report(node, path, `${nameOf(path)} cannot be ${quote(scalar.source)}.`, 'Write `true` or `false`.')
  return undefined
}

/** `what` is the owner with its article, as in "is not a key of a job". */
export function reportUnknown(
  entry: LocatedEntry,
  path: string,
  what: string,
  known: Iterable<string>,
  report: Report,
): void {
  const near = nearest(entry.key, known)
  report(
    entry,
    path,
    `${quote(entry.key)} is not a key of ${what}.`,
    near === null ? null : `Did you mean \`${near}\`?`,
  )
}

export function join(path: string, key: string): string {
  return path === '' ? showKey(key) : `${path}.${showKey(key)}`
}

/** The last part of a path, for the beginning of a sentence. */
export function nameOf(path: string): string {
  return path === '' ? 'The file' : quote(/[^.]*$/.exec(path)?.[0] || path)
}

function foundInstead(node: Located): string {
  if (node.kind === 'map') return ', not keys and values'
  if (node.kind === 'list') return ', not a list'
  return node.value === null ? ', but it is empty' : `, but it is ${quote(node.source)}`
}
