/** Text that is already HTML. Everything else that meets a template is escaped. */
export interface Markup {
  readonly markup: string
}

type Piece = Markup | string | number | null | undefined | false | readonly Piece[]

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, char => `&#${char.charCodeAt(0)};`)
}

export function raw(markup: string): Markup {
  return { markup }
}

function write(piece: Piece): string {
  if (piece === null || piece === undefined || piece === false) return ''
  if (typeof piece === 'string') return escapeHtml(piece)
  if (typeof piece === 'number') return String(piece)
  if ('markup' in piece) return piece.markup
  return piece.map(write).join('')
}

/** html`<p>${text}</p>`: `text` is escaped, nested templates and lists of them are not. */
export function html(strings: TemplateStringsArray, ...pieces: Piece[]): Markup {
  return { markup: strings.reduce((text, string, index) => `${text}${string}${write(pieces[index])}`, '') }
}
