/** Handlebars, for the site's own templates alone: no HTML escaping, our Markdown helpers instead, each template compiled once. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { code, fence, html, inline, prose } from './markdown.ts'

type Handlebars = typeof import('handlebars')

const settings = { noEscape: true, strict: true, preventIndent: true } as const
const require = createRequire(import.meta.url)
let made: Handlebars | undefined

/** Loaded when something is first rendered: with its compiler it is a good part of what a start would load. */
function engine(): Handlebars {
  if (made !== undefined) return made
  made = (require('handlebars') as Handlebars).create()
  for (const [name, write] of Object.entries(helpers))
    made.registerHelper(name, (value: unknown) => write(String(value ?? '')))
  for (const name of ['away', 'mistakes', 'tree', 'jobs', 'metrics', 'failures', 'plots', 'history', 'footer'])
    made.registerPartial(name, made.compile(source(name), settings))
  return made
}

/** `{{inline x}}` in a paragraph, `{{cell x}}` in a table, `{{code x}}`, `{{codeCell x}}`, `{{prose x}}`, `{{html x}}` inside an element, `{{fence x}}`. */
const helpers: Readonly<Record<string, (text: string) => string>> = {
  inline: text => inline(text),
  cell: text => inline(text),
  code: text => code(text),
  codeCell: text => code(text, 'table'),
  prose: text => prose(text),
  html: text => html(text),
  fence: text => fence(text),
}

function source(name: string): string {
  return readFileSync(new URL(`./templates/${name}.hbs`, import.meta.url), 'utf8')
}

/** A template of `templates/` as a function from its view to text: no trailing space, at most one empty line in a row outside fences, one line end at the end. */
export function template<View extends object>(name: string): (view: View) => string {
  let render: ((view: View) => string) | undefined
  return view => {
    render ??= engine().compile<View>(source(name), settings)
    return tidy(render(view))
  }
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
