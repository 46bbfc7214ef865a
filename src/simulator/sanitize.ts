import { escapeHtml } from './pages/html.ts'

/** Lets a small list of HTML through, balanced, and nothing else: rendered Markdown holds whatever people wrote. */

const TAGS = new Set(
  'a abbr b blockquote br code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img input ins kbd li ol p pre q s samp span strong sub summary sup table tbody td tfoot th thead tr tt ul var'.split(
    ' ',
  ),
)
const VOID = new Set(['br', 'hr', 'img', 'input'])
/** Their content goes with them. */
const DROPPED = new Set([
  'script',
  'style',
  'iframe',
  'object',
  'embed',
  'template',
  'noscript',
  'textarea',
  'title',
  'svg',
  'math',
])

/** Deeper than anybody writes on purpose. */
const MAX_DEPTH = 200

type Check = (value: string) => boolean
const anything: Check = () => true
const oneOf = (...values: string[]): Check => {
  return value => values.includes(value)
}

const ATTRIBUTES: Record<string, Record<string, Check>> = {
  a: { href: isSafeAddress, title: anything },
  abbr: { title: anything },
  img: { src: isSafeAddress, alt: anything, title: anything, width: isLength, height: isLength },
  details: { open: anything },
  ol: { start: value => /^\d{1,9}$/.test(value) },
  input: { type: oneOf('checkbox'), checked: anything, disabled: anything },
  td: { align: isAlign, style: isTextAlign, colspan: isLength, rowspan: isLength },
  th: { align: isAlign, style: isTextAlign, colspan: isLength, rowspan: isLength },
}
const EVERYWHERE: Record<string, Check> = {
  id: value => /^user-content-[\w\p{L}-]+$/u.test(value),
  class: value => /^(task-list|task-list-item|mention|code)$/.test(value),
}

function isAlign(value: string): boolean {
  return ['left', 'right', 'center'].includes(value)
}

function isTextAlign(value: string): boolean {
  return /^text-align: ?(left|right|center);?$/.test(value)
}

function isLength(value: string): boolean {
  return /^\d{1,4}%?$/.test(value)
}

/** Relative, or http, https, mailto. Browsers ignore spaces and control characters inside a scheme, so they are ignored here too. */
export function isSafeAddress(value: string): boolean {
  const plain = value.replace(/[\s\x00-\x20]/g, '').toLowerCase()
  const scheme = /^([^/?#:]*):/.exec(plain)?.[1]
  return scheme === undefined || ['http', 'https', 'mailto'].includes(scheme)
}

const TAG = /<(\/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))?)*)\s*\/?>/y
const ATTRIBUTE = /([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?/g

function decode(value: string): string {
  return value
    .replace(/&#x([0-9a-f]{1,6});?/gi, (_, code: string) => codePoint(Number.parseInt(code, 16)))
    .replace(/&#(\d{1,7});?/g, (_, code: string) => codePoint(Number(code)))
    .replace(/&quot;/g, '"')
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&colon;/g, ':')
    .replace(/&(tab|newline);/gi, '')
    .replace(/&amp;/g, '&')
}

function codePoint(code: number): string {
  return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) ? String.fromCodePoint(code) : ''
}

function writeAttributes(name: string, text: string): string {
  let written = ''
  for (const [, key = '', double, single, bare] of text.matchAll(ATTRIBUTE)) {
    const attribute = key.toLowerCase()
    const own = Object.hasOwn(ATTRIBUTES, name) ? ATTRIBUTES[name] : undefined
    const check =
      own && Object.hasOwn(own, attribute)
        ? own[attribute]
        : Object.hasOwn(EVERYWHERE, attribute)
          ? EVERYWHERE[attribute]
          : undefined
    const value = decode(double ?? single ?? bare ?? '')
    if (check?.(value)) written += ` ${attribute}="${escapeHtml(value)}"`
  }
  // An input that is not a disabled box could be typed into.
  if (name === 'input' && !written.includes(' disabled=')) written += ' disabled=""'
  if (name === 'a') written += ' rel="nofollow noreferrer noopener"'
  return written
}

/** `block` is the name of the placeholder tag (`<NAME-3>`) that stands for trusted markup `blocks[3]`. */
export function sanitize(source: string, block: string, blocks: readonly string[]): string {
  const lower = source.toLowerCase()
  const open: string[] = []
  let result = ''
  let at = 0
  while (at < source.length) {
    const next = source.indexOf('<', at)
    if (next === -1) break
    result += source.slice(at, next).replace(/>/g, '&gt;')
    at = next
    if (source.startsWith('<!--', at)) {
      const end = source.indexOf('-->', at + 4)
      // An open comment hides the rest, as browsers have it.
      at = end === -1 ? source.length : end + 3
      continue
    }
    TAG.lastIndex = at
    const match = TAG.exec(source)
    if (!match) {
      result += '&lt;'
      at += 1
      continue
    }
    at = TAG.lastIndex
    const [, slash, given = '', attributes = ''] = match
    const name = given.toLowerCase()
    if (name.startsWith(`${block}-`)) {
      if (slash === '') result += blocks[Number(name.slice(block.length + 1))] ?? ''
    } else if (DROPPED.has(name)) {
      if (slash === '') {
        const end = lower.indexOf(`</${name}`, at)
        at = end === -1 ? source.length : end
      }
    } else if (TAGS.has(name)) {
      if (slash === '') {
        if (open.length >= MAX_DEPTH) continue
        if (name === 'input' && !/type\s*=\s*["']?checkbox/i.test(attributes)) continue
        result += `<${name}${writeAttributes(name, attributes)}>`
        if (!VOID.has(name)) open.push(name)
      } else if (open.includes(name)) {
        for (let closed = open.pop(); closed !== undefined; closed = open.pop()) {
          result += `</${closed}>`
          if (closed === name) break
        }
      }
    }
  }
  if (at < source.length) result += source.slice(at).replace(/>/g, '&gt;')
  return (
    result +
    open
      .toReversed()
      .map(name => `</${name}>`)
      .join('')
  )
}
