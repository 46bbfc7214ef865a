/** Handlebars, for the site's own templates alone: no HTML escaping, our Markdown helpers instead, each template compiled once. */
import { readFileSync } from 'node:fs'
import Handlebars from 'handlebars'
import { code, fence, html, inline, prose } from './markdown.ts'

const handlebars = Handlebars.create()
const settings = { noEscape: true, strict: true, preventIndent: true } as const

/** `{{inline x}}` in a paragraph, `{{cell x}}` in a table, `{{code x}}`, `{{codeCell x}}`, `{{prose x}}`, `{{html x}}` inside an element, `{{fence x}}`. */
for (const [name, write] of Object.entries({
  inline: (text: string) => inline(text),
  cell: (text: string) => inline(text),
  code: (text: string) => code(text),
  codeCell: (text: string) => code(text, 'table'),
  prose: (text: string) => prose(text),
  html: (text: string) => html(text),
  fence: (text: string) => fence(text),
}))
  handlebars.registerHelper(name, (value: unknown) => write(String(value ?? '')))

for (const name of ['away', 'mistakes', 'tree', 'jobs', 'metrics', 'failures', 'history', 'footer'])
  handlebars.registerPartial(name, handlebars.compile(source(name), settings))

function source(name: string): string {
  return readFileSync(new URL(`./templates/${name}.hbs`, import.meta.url), 'utf8')
}

/** A template of `templates/` as a function from its view to text: no trailing space, at most one empty line in a row outside fences, one line end at the end. */
export function template<View extends object>(name: string): (view: View) => string {
  const render = handlebars.compile<View>(source(name), settings)
  return view => tidy(render(view))
}

function tidy(text: string): string {
  const lines: string[] = []
  let fenced: string | null = null
  for (const line of text.split('\n')) {
    const ticks: string | undefined = /^(`{3,})[^`]*$/.exec(line)?.[1]
    if (fenced === null && ticks !== undefined) fenced = ticks
    else if (fenced !== null && line === fenced) fenced = null
    else if (fenced === null && line.trim() === '' && (lines.at(-1) ?? '') === '') continue
    lines.push(fenced === null ? line.trimEnd() : line)
  }
  return `${lines.join('\n').trimEnd()}\n`
}
