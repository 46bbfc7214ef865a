import { escapeHtml } from './pages/html.ts'

/** Light colouring of source text: enough to read by, one pass over each line. */

const span = (kind: string, text: string) => (text === '' ? '' : `<span class="hl-${kind}">${escapeHtml(text)}</span>`)

function yamlScalar(text: string): string {
  const parts = /^(\s*)((?:[&*!][^\s]+\s*)*)([\s\S]*?)(\s+#.*)?$/.exec(text)
  if (!parts) return escapeHtml(text)
  const [, space = '', anchor = '', value = '', comment = ''] = parts
  let shown = escapeHtml(value)
  if (/^(["']).*\1$/.test(value)) shown = span('string', value)
  else if (/^[|>][+-]?\d?$/.test(value)) shown = span('mark', value)
  else if (/^-?(0x[\da-f]+|\d[\d_]*(\.\d+)?(e[+-]?\d+)?)$/i.test(value)) shown = span('number', value)
  else if (/^(true|false|null|~|yes|no|on|off)$/i.test(value)) shown = span('word', value)
  else if (/^[[{]/.test(value))
    shown = value
      .split(/("[^"]*"|'[^']*'|[[\]{},:]|\s+)/)
      .map(flowPiece)
      .join('')
  return `${space}${span('mark', anchor)}${shown}${span('comment', comment)}`
}

function flowPiece(piece: string): string {
  if (/^["']/.test(piece)) return span('string', piece)
  if (/^[[\]{},:]$/.test(piece)) return span('mark', piece)
  if (/^-?\d+(\.\d+)?$/.test(piece)) return span('number', piece)
  return escapeHtml(piece)
}

function yamlLine(line: string): string {
  if (/^\s*#/.test(line)) return span('comment', line)
  if (/^(---|\.\.\.)/.test(line)) return span('mark', line)
  const dash = /^(\s*(?:- +)*-?)(.*)$/.exec(line)
  const [lead, rest] = [dash?.[1] ?? '', dash?.[2] ?? line]
  const key = /^((?:"[^"]*"|'[^']*'|[^\s#:'"[\]{},&*!|>][^:#]*?)\s*)(:)(\s.*|)$/.exec(rest)
  const front = lead.includes('-') ? span('mark', lead) : escapeHtml(lead)
  if (!key) return `${front}${yamlScalar(rest)}`
  return `${front}${span('key', key[1] ?? '')}${span('mark', ':')}${yamlScalar(key[3] ?? '')}`
}

function jsonLine(line: string): string {
  return line
    .split(/("(?:[^"\\]|\\.)*"\s*:?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b)/)
    .map(piece => {
      if (/^".*:$/.test(piece)) return `${span('key', piece.slice(0, -1))}${span('mark', ':')}`
      if (piece.startsWith('"')) return span('string', piece)
      if (/^-?\d/.test(piece)) return span('number', piece)
      if (/^(true|false|null)$/.test(piece)) return span('word', piece)
      return escapeHtml(piece)
    })
    .join('')
}

function diffLine(line: string): string {
  if (line.startsWith('@@')) return span('mark', line)
  if (line.startsWith('+')) return span('added', line)
  if (line.startsWith('-')) return span('removed', line)
  return escapeHtml(line)
}

function shellLine(line: string): string {
  if (/^\s*#(SBATCH|BSUB|PBS|\$)/.test(line)) return span('word', line)
  if (/^\s*#/.test(line)) return span('comment', line)
  return line
    .split(/("[^"]*"|'[^']*'|\$\{?\w+\}?)/)
    .map(piece =>
      /^["']/.test(piece) ? span('string', piece) : piece.startsWith('$') ? span('key', piece) : escapeHtml(piece),
    )
    .join('')
}

const LINES: Record<string, (line: string) => string> = {
  yaml: yamlLine,
  yml: yamlLine,
  json: jsonLine,
  diff: diffLine,
  sh: shellLine,
  bash: shellLine,
  shell: shellLine,
}

/** HTML of each line of `text`; languages it does not know are only escaped. */
export function highlightLines(text: string, language: string): string[] {
  const line = Object.hasOwn(LINES, language) ? LINES[language] : undefined
  // A very long line is data, not something to colour.
  return text.split('\n').map(l => (line && l.length < 2_000 ? line(l) : escapeHtml(l)))
}

export function languageOf(path: string): string {
  const name = path.split('/').at(-1) ?? path
  const extension = name.includes('.') ? (name.split('.').at(-1) ?? '').toLowerCase() : ''
  if (extension === 'patch') return 'diff'
  if (['slurm', 'sbatch', 'lsf', 'pbs', 'sge'].includes(extension)) return 'sh'
  return extension
}
