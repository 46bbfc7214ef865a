import {
  Alias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
} from 'yaml'

/** Where something stands in a file; both count from 1. Line 0: in no file, and `file` says where instead. */
export interface Place {
  readonly line: number
  readonly column: number
  /** Only where it is another file than the one that is read: one that it includes. */
  readonly file?: string
}

/** YAML as plain data with places: nothing but values, so that it can cross threads. */
export type Located = LocatedMap | LocatedList | LocatedScalar

export interface LocatedMap extends Place {
  readonly kind: 'map'
  readonly entries: readonly LocatedEntry[]
}

export interface LocatedEntry extends Place {
  readonly key: string
  readonly value: Located
}

export interface LocatedList extends Place {
  readonly kind: 'list'
  readonly items: readonly Located[]
}

export interface LocatedScalar extends Place {
  readonly kind: 'scalar'
  readonly value: string | number | boolean | null
  /** Written without quotes, on one line. */
  readonly plain: boolean
  /** As written: for messages, since a value may hold what a variable of the environment put there. */
  readonly source: string
  /** Variables of the environment that stand in the value; only in compops.config.yml. */
  readonly variables?: readonly string[]
}

export interface YamlMistake extends Place {
  readonly path: string
  readonly message: string
  readonly remedy: string | null
}

export type LocateResult =
  | { readonly ok: true; readonly root: Located }
  | { readonly ok: false; readonly mistakes: readonly YamlMistake[] }

export interface YamlLimits {
  readonly depth: number
  /** Values in all, aliases counted as often as they are used. */
  readonly values: number
  readonly aliases: number
}

export const yamlLimits: YamlLimits = { depth: 32, values: 20_000, aliases: 100 }

const mistakesShown = 20

/**
 * One YAML 1.2 document as a located tree, or its mistakes. Refused beside bad syntax: a key twice, `__proto__` and its like, tags, merge keys, several documents, nesting and aliases
 * beyond the limits. Duplicate keys are looked for here with a set, since the `yaml` package compares each key with all before it (0.9 MB: seconds).
 */
export function locateYaml(text: string, limits: YamlLimits = yamlLimits): LocateResult {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    merge: false,
    uniqueKeys: false,
    prettyErrors: false,
    // Not `silent`: that would also keep quiet about a second document.
    logLevel: 'error',
    lineCounter: lines,
  })
  const mistakes: YamlMistake[] = []
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }

  for (const error of document.errors.slice(0, mistakesShown)) {
    const [message, remedy] = explainSyntax(error.code, error.message, text, error.pos[0])
    // One slip makes the parser stumble several times in the same place; the first says it.
    const place = placeAt(Math.min(error.pos[0], text.length))
    if (!mistakes.some(m => m.line === place.line)) mistakes.push({ ...place, path: '', message, remedy })
  }
  if (mistakes.length > 0) return { ok: false, mistakes }
  if (/^%YAML/m.test(text.slice(0, 1_000)) && document.directives.yaml.version !== '1.2')
    return {
      ok: false,
      mistakes: [
        { line: 1, column: 1, path: '', message: 'Only YAML 1.2 is read here.', remedy: 'Take the `%YAML` line out.' },
      ],
    }

  const walk: Walk = {
    limits,
    placeAt,
    mistakes,
    anchors: new Map(),
    open: new Set(),
    values: 0,
    aliases: 0,
    stopped: false,
    text,
  }
  const root = document.contents === null ? emptyScalar(placeAt(0)) : locate(document.contents, '', 0, walk)
  return mistakes.length > 0 ? { ok: false, mistakes } : { ok: true, root }
}

interface Walk {
  readonly limits: YamlLimits
  readonly placeAt: (offset: number) => Place
  readonly mistakes: YamlMistake[]
  /** Anchors seen so far, each with its node and how many values it holds. */
  readonly anchors: Map<string, { node: Located; values: number }>
  /** Anchors whose node is being read: an alias to one of them would never end. */
  readonly open: Set<string>
  values: number
  aliases: number
  stopped: boolean
  readonly text: string
}

function locate(node: Node, path: string, depth: number, walk: Walk): Located {
  const place = walk.placeAt(node.range?.[0] ?? 0)
  if (walk.stopped) return emptyScalar(place)
  const refuse = (message: string, remedy: string | null) => {
    if (walk.mistakes.length < mistakesShown) walk.mistakes.push({ ...place, path, message, remedy })
  }
  const stop = (message: string, remedy: string | null) => {
    refuse(message, remedy)
    walk.stopped = true
    return emptyScalar(place)
  }

  walk.values++
  if (walk.values > walk.limits.values)
    return stop(`The file holds more than ${walk.limits.values} values.`, 'Move data into files of the repository.')
  if (depth > walk.limits.depth)
    return stop(`The nesting is deeper than ${walk.limits.depth} levels.`, 'Make it flatter.')

  if (node instanceof Alias) {
    if (++walk.aliases > walk.limits.aliases)
      return stop(`There are more than ${walk.limits.aliases} aliases.`, 'Use `defaults` instead.')
    if (walk.open.has(node.source))
      return stop(`The alias ${quote(`*${node.source}`)} stands inside its own anchor.`, 'Take it out.')
    const anchored = walk.anchors.get(node.source)
    if (anchored === undefined) {
      refuse(
        `${quote(`*${node.source}`)} is an alias, but no anchor ${quote(`&${node.source}`)} stands before it.`,
        'A text that begins with `*` needs quotes, for example "*.csv".',
      )
      return emptyScalar(place)
    }
    // The shared node is counted again: what aliases multiply is what the limit is for.
    walk.values += anchored.values
    if (walk.values > walk.limits.values)
      return stop(`The aliases multiply the file to more than ${walk.limits.values} values.`, 'Use fewer aliases.')
    return anchored.node
  }

  const anchor = isScalar(node) || isCollection(node) ? node.anchor : undefined
  if (node.tag !== undefined && node.tag !== null)
    refuse(`The tag ${quote(node.tag)} is not supported.`, 'Take it out, or write the value in quotes.')
  if (anchor !== undefined) walk.open.add(anchor)
  const before = walk.values
  const located = isMap(node)
    ? { kind: 'map' as const, ...place, entries: locateEntries(node.items, path, depth, walk) }
    : isSeq(node)
      ? {
          kind: 'list' as const,
          ...place,
          items: node.items.map((item, i) =>
            isNode(item) ? locate(item, `${path}[${i}]`, depth + 1, walk) : emptyScalar(place),
          ),
        }
      : locateScalar(node as Scalar, place, refuse)
  if (anchor !== undefined) {
    walk.open.delete(anchor)
    walk.anchors.set(anchor, { node: located, values: walk.values - before })
  }
  return located
}

function locateScalar(
  node: Scalar,
  place: Place,
  refuse: (message: string, remedy: string | null) => void,
): LocatedScalar {
  const { value } = node
  const plain = node.type === 'PLAIN'
  const source = node.source ?? (value === null ? '' : String(value))
  if (value !== null && typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
    refuse('This value is of no kind that is known here.', 'Write it in quotes.')
    return { kind: 'scalar', ...place, value: null, plain, source }
  }
  return { kind: 'scalar', ...place, value, plain, source }
}

function locateEntries(
  pairs: readonly { key: unknown; value: unknown }[],
  path: string,
  depth: number,
  walk: Walk,
): LocatedEntry[] {
  const entries: LocatedEntry[] = []
  const seen = new Map<string, number>()
  for (const pair of pairs) {
    if (walk.stopped) break
    const node = pair.key
    if (!isScalar(node)) {
      const place = walk.placeAt(isNode(node) ? (node.range?.[0] ?? 0) : 0)
      if (walk.mistakes.length < mistakesShown)
        walk.mistakes.push({
          ...place,
          path,
          message: 'A key must be a simple word.',
          remedy: 'A value with `{` or `[` in front needs quotes.',
        })
      continue
    }
    const place = walk.placeAt(node.range?.[0] ?? 0)
    const key = typeof node.value === 'string' ? node.value : (node.source ?? String(node.value))
    const here = path === '' ? showKey(key) : `${path}.${showKey(key)}`
    const first = seen.get(key)
    const problem = refuseKey(key, node.type === 'PLAIN', first)
    if (problem !== null) {
      if (walk.mistakes.length < mistakesShown) walk.mistakes.push({ ...place, path: here, ...problem })
      continue
    }
    seen.set(key, place.line)
    // `key:` and nothing behind it: the value stands, empty, where the key ends.
    const value = isNode(pair.value) ? locate(pair.value, here, depth + 1, walk) : emptyScalar(place)
    entries.push({ key, ...place, value })
  }
  return entries
}

function refuseKey(
  key: string,
  plain: boolean,
  firstLine: number | undefined,
): { message: string; remedy: string } | null {
  if (key === '__proto__' || key === 'constructor' || key === 'prototype')
    return { message: `${quote(key)} cannot be a key.`, remedy: 'Choose another name.' }
  if (plain && key === '<<')
    return {
      message: 'Merge keys (`<<`) belong to YAML 1.1 and are not supported.',
      remedy: 'Use `defaults`, or repeat the values.',
    }
  if (firstLine !== undefined)
    return { message: `${quote(key)} stands here twice; line ${firstLine} has it first.`, remedy: 'Keep one.' }
  return null
}

function emptyScalar(place: Place): LocatedScalar {
  return { kind: 'scalar', line: place.line, column: place.column, value: null, plain: true, source: '' }
}

function explainSyntax(code: string, message: string, text: string, offset: number): [string, string | null] {
  switch (code) {
    case 'TAB_AS_INDENT':
      return ['A tab stands where YAML wants spaces.', 'Replace it by spaces.']
    case 'MULTIPLE_DOCS':
      return ['`---` begins a second document.', 'Keep one document in the file.']
    case 'RESOURCE_EXHAUSTION':
      return ['The nesting is far too deep.', 'Make it flatter.']
    case 'BLOCK_AS_IMPLICIT_KEY':
      return [
        'YAML sees a key inside a value here.',
        'Indent it as a line of its own, or put a text that contains `: ` in quotes.',
      ]
    case 'BAD_SCALAR_START':
      return [`A value cannot begin with ${quote(text.charAt(offset))}.`, 'Put it in quotes.']
    case 'MISSING_CHAR':
      return [
        `Something is not closed: ${lowerFirst(oneLine(message))}.`,
        'Look for a missing quote or bracket here or above.',
      ]
    case 'BAD_INDENT':
    case 'MULTILINE_IMPLICIT_KEY':
      return ['The indentation does not fit.', 'Begin keys that belong together in the same column.']
    case 'UNEXPECTED_TOKEN':
      return [
        'YAML did not expect what stands here.',
        'Put the whole value in quotes, and look for a quote or bracket too many.',
      ]
    default:
      return [`This is not YAML: ${lowerFirst(oneLine(message))}.`, null]
  }
}

// What follows a colon quotes the file, which may hold a secret.
function oneLine(message: string): string {
  return visible(message.split(': ')[0] ?? '')
    .slice(0, 120)
    .replace(/\.$/, '')
    .replaceAll('`', 'ˋ')
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

/** Control characters, line ends and marks that turn the direction of writing, made visible: text of strangers stands in what we say. */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g,
    c =>
      c === '\n'
        ? '\\n'
        : c === '\t'
          ? '\\t'
          : c === '\r'
            ? '\\r'
            : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** A stranger's text inside a sentence: as Markdown code which it cannot leave, on one line, not longer than `max`. */
export function quote(text: string, max = 60): string {
  const shown = visible(text.length > max ? `${text.slice(0, max - 1)}…` : text).replaceAll('`', 'ˋ')
  return `\`${shown === '' ? ' ' : shown}\``
}

/** As it would be written in double quotes, for "write it in quotes": on one line, not long. */
export function inQuotes(source: string): string {
  return `"${visible(source.length > 60 ? `${source.slice(0, 59)}…` : source).replaceAll('`', 'ˋ')}"`
}

/** A key as part of a path like `jobs.mesh.time`. */
export function showKey(key: string): string {
  return /^[\w-]{1,64}$/.test(key) ? key : `"${visible(key.slice(0, 64))}"`
}
