import { randomBytes } from 'node:crypto'
import type { Token } from 'markdown-it'
import MarkdownIt from 'markdown-it'
import { highlightLines } from './highlight.ts'
import { drawMermaid } from './mermaid.ts'
import { escapeHtml } from './pages/html.ts'
import { sanitize } from './sanitize.ts'

/** GitLab-flavoured Markdown, as far as notes and evidence use it. */
export interface MarkdownContext {
  /** Where a link or picture that is not a full address points to. */
  resolve: (address: string, kind: 'link' | 'image') => string
  /** Address of a merge request (`!3`), null to leave it as text. */
  mergeRequest?: (iid: number) => string | null
  /** True for a person that `@name` may mention. */
  isUser?: (username: string) => boolean
  /** Comments and descriptions; on project home and file pages GitLab draws diagrams of any size. */
  mermaidLimited: boolean
}

// app/assets/javascripts/behaviors/markdown/render_sandboxed_mermaid.js
const MERMAID_CHARACTERS = 2_000
const MERMAID_BLOCKS = 50
const MERMAID_AMPERSANDS = 30

const EMOJI: Record<string, string> = {
  tada: '🎉',
  rocket: '🚀',
  eyes: '👀',
  warning: '⚠️',
  white_check_mark: '✅',
  x: '❌',
  thumbsup: '👍',
  thumbsdown: '👎',
  '+1': '👍',
  '-1': '👎',
  heart: '❤️',
  fire: '🔥',
  bug: '🐛',
  hourglass: '⌛',
  hourglass_flowing_sand: '⏳',
  clock1: '🕐',
  bulb: '💡',
  robot: '🤖',
  chart_with_upwards_trend: '📈',
  construction: '🚧',
  lock: '🔒',
  no_entry: '⛔',
  question: '❓',
  exclamation: '❗',
  smile: '😄',
  recycle: '♻️',
  stop_button: '⏹️',
  pause_button: '⏸️',
  arrows_counterclockwise: '🔄',
  speech_balloon: '💬',
}

export function emoji(name: string): string {
  return Object.hasOwn(EMOJI, name) ? (EMOJI[name] ?? '') : `:${name}:`
}

interface Environment {
  context: MarkdownContext
  block: string
  blocks: string[]
  mermaidCharacters: number
  mermaidBlocks: number
  slugs: Map<string, number>
}

const parser = new MarkdownIt({ html: true, linkify: true })
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false })

/** Markup of ours goes around the sanitiser as a numbered placeholder. */
function trust(environment: Environment, markup: string): string {
  environment.blocks.push(markup)
  return `<${environment.block}-${environment.blocks.length - 1}>`
}

function renderCode(environment: Environment, content: string, language: string): string {
  const lines = highlightLines(content.replace(/\n$/, ''), language)
  return trust(environment, `<pre class="code"><code>${lines.join('\n')}</code></pre>\n`)
}

function renderMermaid(environment: Environment, content: string): string {
  environment.mermaidBlocks += 1
  environment.mermaidCharacters += content.length
  const tooMuch =
    environment.context.mermaidLimited &&
    (environment.mermaidCharacters > MERMAID_CHARACTERS ||
      environment.mermaidBlocks > MERMAID_BLOCKS ||
      (content.match(/&/g)?.length ?? 0) > MERMAID_AMPERSANDS)
  const drawing = tooMuch ? null : drawMermaid(content)
  if (drawing !== null) return trust(environment, `<figure class="diagram">${drawing}</figure>\n`)
  const why = tooMuch
    ? `<p class="hint">Shown as source: a comment draws diagrams up to ${MERMAID_CHARACTERS} characters in all.</p>`
    : ''
  return trust(environment, `${why}<pre class="code"><code>${escapeHtml(content.replace(/\n$/, ''))}</code></pre>\n`)
}

parser.renderer.rules.fence = (tokens, index, _options, env: unknown) => {
  const token = tokens[index]
  const language = token?.info.trim().split(/\s/, 1)[0]?.toLowerCase() ?? ''
  const environment = env as Environment
  const content = token?.content ?? ''
  return language === 'mermaid' ? renderMermaid(environment, content) : renderCode(environment, content, language)
}

parser.renderer.rules.code_block = (tokens, index, _options, env: unknown) =>
  renderCode(env as Environment, tokens[index]?.content ?? '', '')

parser.core.ruler.push('gitlab', state => {
  const environment = state.env as unknown as Environment
  const { context } = environment
  for (const [index, token] of state.tokens.entries()) {
    if (token.type === 'heading_open') {
      const text = state.tokens[index + 1]?.content ?? ''
      const slug = text
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s+/g, '-')
      const seen = environment.slugs.get(slug) ?? 0
      environment.slugs.set(slug, seen + 1)
      if (slug !== '') token.attrSet('id', `user-content-${slug}${seen === 0 ? '' : `-${seen}`}`)
    }
    if (token.type !== 'inline') continue
    const children = token.children ?? []
    for (const child of children) {
      const name = child.type === 'image' ? 'src' : child.type === 'link_open' ? 'href' : null
      const address = name === null ? null : child.attrGet(name)
      if (name !== null && address !== null) child.attrSet(name, resolveAddress(context, String(address), name))
    }
    markTask(state.tokens, index)
    token.children = linkReferences(children, context, (type, content) => {
      const made = new state.Token(type, '', 0)
      made.content = content
      return made
    })
  }
})

function resolveAddress(context: MarkdownContext, address: string, attribute: 'src' | 'href'): string {
  if (address.startsWith('#')) return `#user-content-${address.slice(1)}`
  if (/^([a-z][a-z0-9+.-]*:|\/\/)/i.test(address)) return address
  return context.resolve(address, attribute === 'src' ? 'image' : 'link')
}

/** `- [x] done`: the box is drawn, the list item loses its bullet. */
function markTask(tokens: Token[], index: number): void {
  const inline = tokens[index]
  const [first] = inline?.children ?? []
  const item = tokens[index - 2]
  const match = /^\[([ xX])\]\s/.exec(first?.content ?? '')
  if (!match || !first || first.type !== 'text' || item?.type !== 'list_item_open') return
  item.attrSet('class', 'task-list-item')
  first.content = `\u0000${match[1] === ' ' ? 'o' : 'x'}${first.content.slice(4)}`
}

/** `@alice`, `!3` and `:tada:` in running text. */
function linkReferences(
  children: Token[],
  context: MarkdownContext,
  make: (type: string, content: string) => Token,
): Token[] {
  let insideLink = 0
  return children.flatMap(child => {
    if (child.type === 'link_open') insideLink += 1
    if (child.type === 'link_close') insideLink -= 1
    if (child.type !== 'text') return [child]
    let { content } = child
    const tokens: Token[] = []
    if (content.startsWith('\u0000')) {
      const checked = content[1] === 'x' ? ' checked=""' : ''
      tokens.push(make('html_inline', `<input type="checkbox" disabled=""${checked}>`))
      content = content.slice(2)
    }
    let at = 0
    for (const match of content.matchAll(/(?<![\w/@!:.])(?:@([\w][\w.-]*)|!(\d{1,9})\b|:([a-z0-9_+-]{1,40}):)/g)) {
      const [whole, username, iid, name] = match
      let markup: string | null = null
      if (username !== undefined && context.isUser?.(username.replace(/[.-]+$/, ''))) {
        const plain = username.replace(/[.-]+$/, '')
        markup = `<span class="mention">@${escapeHtml(plain)}</span>${escapeHtml(username.slice(plain.length))}`
      } else if (iid !== undefined && insideLink === 0) {
        const address = context.mergeRequest?.(Number(iid)) ?? null
        if (address !== null) markup = `<a href="${escapeHtml(address)}">!${iid}</a>`
      } else if (name !== undefined && Object.hasOwn(EMOJI, name)) markup = emoji(name)
      if (markup === null) continue
      if (match.index > at) tokens.push(make('text', content.slice(at, match.index)))
      tokens.push(make('html_inline', markup))
      at = match.index + whole.length
    }
    if (at === 0 && tokens.length === 0) return [child]
    if (at < content.length) tokens.push(make('text', content.slice(at)))
    return tokens
  })
}

/** Safe HTML. Whatever the text holds, only a short list of tags and attributes comes out, balanced. */
export function renderMarkdown(text: string, context: MarkdownContext): string {
  const environment: Environment = {
    context,
    block: `trusted-${randomBytes(8).toString('hex')}`,
    blocks: [],
    mermaidCharacters: 0,
    mermaidBlocks: 0,
    slugs: new Map(),
  }
  return sanitize(parser.render(text, { ...environment }), environment.block, environment.blocks)
}
