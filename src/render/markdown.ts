/**
 * Text of others inside GitLab's Markdown. Everything that comes from a repository, a log or a scheduler passes one of these before it is
 * put into a page: nobody is mentioned by it, no quick action runs, no table breaks, no HTML stands.
 */

const zeroWidth = '\u200b'

/** One line of plain text: control and direction characters out, white space single, at most `max` characters. */
export function oneLine(text: string, max = 500): string {
  const line = stripTerminal(text.slice(0, max * 8).toWellFormed())
    .replace(/\p{Cf}/gu, '')
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
  return cut(line, max)
}

/** At most `max` characters, the last of them `…` where something is missing; never half a character. */
export function cut(text: string, max: number): string {
  return text.length <= max
    ? text
    : `${text
        .slice(0, max - 1)
        .toWellFormed()
        .replace(/\u{fffd}$/u, '')}…`
}

/** As `cut`, but the end is kept as well: the end of a branch name says more than its middle. */
export function cutMiddle(text: string, max: number): string {
  if (text.length <= max) return text
  const tail = Math.floor((max - 1) / 2)
  const head = max - 1 - tail
  return `${text.slice(0, head)}…${text.slice(-tail)}`.toWellFormed().replaceAll('\u{fffd}', '')
}

/** Text that stands for itself in a paragraph or a table cell. A backslash also keeps GitLab from reading `#1`, `!1`, `~x` as references. */
export function inline(text: string, max?: number): string {
  // At the start of a line these would begin a list, a heading or a quick action.
  return escapePunctuation(oneLine(text, max)).replace(/^([-+=/]|\d+[.)])/, `${zeroWidth}$1`)
}

function escapePunctuation(line: string): string {
  return line.replace(/[\\`*_{}[\]<>|~#!$^&]/g, '\\$&').replace(/@(?=[\p{L}\p{N}_])/gu, `@${zeroWidth}`)
}

/** A code span, in a table too: there a pipe must be escaped, elsewhere it must not. Our marker cannot be forged in it. */
export function code(text: string, place: 'paragraph' | 'table' = 'paragraph', max?: number): string {
  const line = oneLine(text, max)
  if (line === '') return ''
  const ticks = '`'.repeat(longestRun(line) + 1)
  const padded = line.startsWith('`') || line.endsWith('`') ? ` ${line} ` : line
  // `\\|` is an escaped backslash and the end of a cell to one reader, an escaped pipe to another: the two are kept apart.
  const whole = padded.replaceAll('<!--', `<!${zeroWidth}--`)
  const safe = place === 'table' ? whole.replaceAll('\\|', `\\${zeroWidth}|`).replaceAll('|', '\\|') : whole
  return `${ticks}${safe}${ticks}`
}

/** Sentences of ours with names of theirs in backticks: the names become code spans, all the rest stands for itself. */
export function prose(text: string, place: 'paragraph' | 'table' = 'paragraph', max = 500): string {
  const parts = oneLine(text, max).split('`')
  // An odd backtick out: nobody knows which of them was meant.
  if (parts.length % 2 === 0) return inline(text, max)
  return parts
    .map((part, index) => {
      if (index % 2 === 1) return code(part, place)
      return index === 0 && part.trim() !== '' ? `${inline(part)}${/\s*$/.exec(part)?.[0]}` : escapePunctuation(part)
    })
    .join('')
}

/** An amount in a narrow cell stays on one line. */
export function together(text: string): string {
  return text.replaceAll(' ', '\u00a0')
}

/** Text inside an HTML element such as `<summary>`, where Markdown is not read but references are. */
export function html(text: string, max?: number): string {
  return oneLine(text, max)
    .replace(/([@#!~%$])(?=[\p{L}\p{N}_"])/gu, `$1${zeroWidth}`)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** A link to an address of our making. */
export function link(text: string, url: string): string {
  return `[${text}](${url.replace(/[\s()<>\\|]/g, encodeURIComponent).replace(/[()]/g, paren => (paren === '(' ? '%28' : '%29'))})`
}

/** A fenced block; the fence is longer than any run of backticks inside. */
export function fence(text: string, language = ''): string {
  const ticks = '`'.repeat(Math.max(3, longestRun(text) + 1))
  return `${ticks}${language}\n${harmless(text)}\n${ticks}`
}

/**
 * GitLab looks for quick actions before it reads Markdown, and does not take a fence longer than three for one. Only what looks like one
 * is touched, so that a path at the start of a line can be copied. A comment is broken too: our note is known by one.
 */
function harmless(text: string): string {
  return text
    .replace(/^([^\S\n]*)(\/[a-z_]+)(?=\s|$)/gim, `$1${zeroWidth}$2`)
    .replace(/@(?=[\p{L}\p{N}_])/gu, `@${zeroWidth}`)
    .replaceAll('<!--', `<!${zeroWidth}--`)
}

export interface TailLimits {
  readonly lines: number
  /** Of each line. */
  readonly width: number
}

/**
 * The last lines of a log as a terminal would show them: colours and cursor movements out, a line that was overwritten shows its last
 * state, empty lines at the end dropped, long lines cut.
 */
export function lastLines(log: string, limits: TailLimits): string[] {
  const lines = stripTerminal(log.slice(-256 * 1024).toWellFormed()).split(/\r?\n/)
  while (lines.length > 0 && lines.at(-1)?.trim() === '') lines.pop()
  return lines.slice(-limits.lines).map(line => {
    const shown = (line.split('\r').findLast(part => part !== '') ?? '')
      .replaceAll('\t', '    ')
      .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
      .trimEnd()
    if (shown.length <= limits.width) return shown
    return `${cut(shown, limits.width)} (line cut)`
  })
}

/** Escape sequences of terminals (ECMA-48: CSI, OSC and other strings, single ones), also cut ones at the end. */
function stripTerminal(text: string): string {
  return text
    .replace(/\x1b\[[0-?]*[ -/]*(?:[@-~]|$)/g, '')
    .replace(/\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)/g, '')
    .replace(/\x1b[ -/]*[0-~]?/g, '')
    .replace(/[^\n]\x08/g, '')
}

function longestRun(text: string): number {
  let longest = 0
  for (const run of text.match(/`+/g) ?? []) longest = Math.max(longest, run.length)
  return longest
}
